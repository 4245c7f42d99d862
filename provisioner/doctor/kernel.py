"""What the kernel has to have: its drivers, KVM, and device nodes that may be made and opened."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import field
from typing import Final

from provisioner.dataclass import dataclass
from provisioner.doctor.findings import Item, Severity, first, table

AREA: Final = "kernel"


@dataclass(frozen=True, slots=True)
class Need:
    """A driver, the module it is in, and who goes without when the kernel lacks it."""

    name: str
    module: str
    option: str  # of the kernel's configuration
    without: str
    state: str


NEEDS: Final = tuple(Need(**row) for row in table("drivers"))


@dataclass(frozen=True, slots=True)
class Kernel:
    """What was found out about the running kernel."""

    release: str
    version: str = ""  # uname -v: distributions name the upstream version in it
    # By driver: whether it is there; None where the kernel would not say.
    answers: Mapping[str, bool | None] = field(default_factory=dict)
    loaded: frozenset[str] = frozenset()  # modules, from /proc/modules
    loadable: frozenset[str] = frozenset()  # modules, from /lib/modules
    options: Mapping[str, str] = field(default_factory=dict)  # "MACVTAP": "y", "m" or "n"
    no_guard: str = ""
    no_nat: str = ""
    no_loss: str = ""
    vhost: bool = False  # /dev/vhost-net can be opened
    container: str = ""  # "docker", "podman" …; "" on a host


@dataclass(frozen=True, slots=True)
class Kvm:
    """What a test boot under KVM came to; `trouble` is "" when it worked."""

    exists: bool
    trouble: str = ""
    untested: str = ""  # why no test boot was made


@dataclass(frozen=True, slots=True)
class Nodes:
    """Whether device nodes come by themselves, can be made, and may be opened."""

    major: int = 0  # of macvtap, from /proc/devices; 0: it has none
    devtmpfs: bool = True
    mknod: str = ""  # why none can be made
    open: str = ""  # why one that was made cannot be opened
    tun: str = ""  # "", "missing", or why /dev/net/tun cannot be opened


def kernel(found: Kernel) -> Iterator[Item]:
    """Check the kernel's drivers."""
    yield Item(AREA, f"Linux {found.release}")
    if set(found.answers.values()) == {None}:
        what = "the kernel tells root only which drivers it has"
        yield Item(AREA, what, Severity.UNKNOWN, "run it as root: sudo vmnet doctor")
    else:
        yield from (_driver(need, bool(found.answers.get(need.name)), found) for need in NEEDS)
    yield _rules("spoof guards can be set", found.no_guard, "`spoof_guard:` guards nothing")
    yield _rules("addresses can be translated", found.no_nat, "no `switch: {nat: true}`")
    if found.no_loss:
        what = f"frames cannot be lost on purpose: {found.no_loss}"
        fix = "modprobe -a nft_numgen nft_limit; it is for vmnet link only"
        yield Item(AREA, what, Severity.NOTE, fix)
    yield _vhost(found)


def _driver(need: Need, there: bool, found: Kernel) -> Item:  # noqa: FBT001
    if there:
        how = "a module, loaded" if need.module in found.loaded else "built in"
        return Item(AREA, f"{need.name}: works ({how})")
    what = f"{need.name}: this kernel has no such driver: {need.without}"
    return Item(AREA, what, Severity(need.state), _loading(need, found))


def _loading(need: Need, found: Kernel) -> str:
    built = found.options.get(need.option)
    if need.module in found.loadable:
        return f"modprobe {need.module}"
    if built == "m" or (built is None and found.container):
        where = "on the host of this container: " if found.container else ""
        return f"{where}modprobe {need.module} (from the modules of Linux {found.release})"
    return (
        f"it was built without CONFIG_{need.option}: boot another kernel (Debian and Ubuntu: the "
        "generic one, not a cloud or cut-down one)"
    )


def _rules(works: str, trouble: str, without: str) -> Item:
    fix = "install nftables and run as root, on Linux 5.16 or newer with nf_tables"
    what = f"nftables: {trouble}: {without}"
    return first(AREA, f"nftables: {works}", (trouble, what, Severity.LACKS, fix))


# CVE-2024-41090 and 41091: by a short frame a guest crashes its host through vhost-net. The first
# release of each line of kernels that fixes it; 6.11 never had it.
_FIXED_IN: Final = {(5, 4): 281, (5, 10): 223, (5, 15): 164, (6, 1): 102, (6, 6): 43, (6, 10): 2}
_NEVER_HAD: Final = (6, 11)


def _vhost(found: Kernel) -> Item:
    if not found.vhost:
        what = "vhost-net: cannot be used: QEMU passes every frame itself, at some cost in speed"
        fix = "modprobe vhost_net (in a container: --device /dev/vhost-net); slower, not wrong"
        return Item(AREA, what, Severity.NOTE, fix)
    upstream = _upstream(found)
    line, patch = upstream[:2], upstream[2]
    if line >= _NEVER_HAD or patch >= _FIXED_IN.get(line, patch + 1):
        return Item(AREA, "vhost-net: can be used")
    what = "vhost-net: can be used, but by its number this kernel may have CVE-2024-41090"
    fix = "see whether your distribution has fixed it; else write vhost: off for hostile guests"
    return Item(AREA, what, Severity.NOTE, fix)


def _upstream(found: Kernel) -> tuple[int, int, int]:
    """Return the upstream version: Debian has it in `uname -v`, with a name of its own before."""
    match = re.search(r"Debian (\d+)\.(\d+)\.(\d+)", found.version)
    match = match or re.match(r"(\d+)\.(\d+)\.(\d+)", found.release)
    if not match:
        return 0, 0, 0
    major, minor, patch = map(int, match.groups())
    return major, minor, patch


def kvm(found: Kvm, container: str = "") -> Item:
    """Check whether guests run under KVM."""
    slow = "guests are computed by QEMU (TCG), several times slower"
    enable = (
        "turn on virtualisation in the firmware (in a VM: nested virtualisation), then: "
        "modprobe kvm_intel or kvm_amd"
    )
    if container:
        enable = "if its host has one, start the container with --device /dev/kvm"
    unknown = f"KVM: /dev/kvm is there, whether a guest boots is not known: {found.untested}"
    fix = "write accel: tcg, or leave it out: vmnet then takes TCG; the fault is below this host"
    if "ermission" in found.trouble:
        fix = "vmnet doctor --ci prints the udev rule that lets QEMU's user open /dev/kvm"
    return first(
        AREA,
        "KVM: a test boot worked",
        (not found.exists, f"KVM: there is no /dev/kvm: {slow}", Severity.NOTE, enable),
        (found.untested, unknown, Severity.UNKNOWN, "vmnet image build, then vmnet doctor"),
        (found.trouble, f"KVM: {found.trouble}: {slow}", Severity.NOTE, fix),
    )


def nodes(found: Nodes, container: str = "") -> Iterator[Item]:
    """Check whether /dev/tapN can be had: QEMU opens it, and nothing else will do."""
    flags = docker_flags(found.major)
    yield _taps(found, flags, container)
    if found.tun:
        what = f"/dev/net/tun: {found.tun}; macvtaps do without, libvirt's own networks do not"
        fix = "modprobe tun (in a container: --device /dev/net/tun), if anything else needs it"
        yield Item(AREA, what, Severity.NOTE, fix)
    if container:
        what = f"this is a container ({container}): what it may do is up to who started it"
        yield Item(AREA, what, fix=f"the flags that vmnet wants: {flags}")


def _taps(found: Nodes, flags: str, container: str) -> Item:
    fix = f"start the container with {flags}" if container else "run it as root"
    refused = found.open or ("" if found.devtmpfs else found.mknod)
    none = "macvtap has no device number yet, so none could be tried"
    untried = f"the kernel makes them (devtmpfs), none could be tried: {found.mknod}"
    good = "no devtmpfs here, but vmnet can make and open them"
    if found.devtmpfs:
        good = "the kernel makes them (devtmpfs), and they can be opened"
    load, unknown = "load the driver first: modprobe macvtap", Severity.UNKNOWN
    return first(
        AREA,
        f"/dev/tapN: {good}",
        (not found.major, f"/dev/tapN: {none}", unknown, load),
        (refused, f"/dev/tapN: {refused}: no guest can be attached", Severity.BAD, fix),
        (found.mknod, f"/dev/tapN: {untried}", unknown, fix),
    )


def docker_flags(major: int) -> str:
    """Return the flags of `docker run` and `podman run` that guests on macvtaps need."""
    capabilities = ("NET_ADMIN", "NET_RAW", "SYS_ADMIN", "SYS_PTRACE", "MKNOD")
    rule = f"'c {major or 'MAJOR'}:* rwm'"
    where = "" if major else " (MAJOR: that of macvtap in /proc/devices)"
    added = " ".join(f"--cap-add {name}" for name in capabilities)
    return f"{added} --device-cgroup-rule {rule} --device /dev/kvm{where}"
