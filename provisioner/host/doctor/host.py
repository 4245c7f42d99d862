"""Looks at a host for vmnet doctor: what is below the guests. Nothing is left of what it tries."""

import os
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from provisioner.doctor.host import FreeSpace
from provisioner.doctor.kernel import NEEDS, Kernel, Kvm, Nodes
from provisioner.errors import VmnetError
from provisioner.guest.domain import EMULATOR
from provisioner.host.image import micro
from provisioner.host.libvirt import accelerator
from provisioner.host.netlink import drivers, links
from provisioner.host.network import nftables, tap_node
from provisioner.host.system import paths, programs
from provisioner.network import impairment
from provisioner.network.facts import Facts
from provisioner.network.impairment import Impairment

_PATIENCE_S: Final = 30
_MIB: Final = 1 << 20
_NOBODYS_MINOR: Final = (1 << 20) - 1
_MARKS: Final = {"/.dockerenv": "docker", "/run/.containerenv": "podman"}


def facts() -> tuple[Facts, frozenset[str]]:
    """Read links, routes and firewall, and the names of macvtaps that some program holds."""
    found, routes = links.observe()
    indexes = {x.name: x.index for x in found if x.kind == "macvtap"}
    try:
        held = frozenset(tap_node.holders(indexes))
    except VmnetError:
        held = frozenset(indexes)  # nobody can tell: none is called left over
    return Facts(links=found, routes=routes, firewall=nftables.firewall()), held


def kernel(firewall_of: Facts) -> Kernel:
    """Ask the running kernel for its drivers, and read what its build has."""
    uname = os.uname()
    dependencies = _lines(Path("/lib/modules", uname.release, "modules.dep"))
    files = [line.partition(":")[0] for line in dependencies]
    return Kernel(
        release=uname.release,
        version=uname.version,
        answers=drivers.answers(need.name for need in NEEDS),
        loaded=frozenset(line.split()[0] for line in _lines(Path("/proc/modules"))),
        loadable=frozenset(Path(x).name.partition(".")[0].replace("-", "_") for x in files),
        options=_options(uname.release),
        no_guard=firewall_of.firewall.no_guard,
        no_nat=firewall_of.firewall.no_nat,
        no_loss="" if firewall_of.firewall.no_guard else _no_loss(),
        vhost=os.access("/dev/vhost-net", os.R_OK | os.W_OK),
        container=container(),
    )


def kvm() -> Kvm:
    """Boot a kernel under KVM, now: what was known of it may be old."""
    if not Path("/dev/kvm").exists():
        return Kvm(exists=False)
    if not os.access(EMULATOR, os.X_OK):
        return Kvm(exists=True, untested="QEMU is not installed")
    try:
        image = micro.installed()
        if image is None:
            return Kvm(exists=True, untested="the micro image has not been built yet")
        return Kvm(exists=True, trouble=accelerator.test(Path(image.kernel), paths.cache()))
    except OSError as error:
        return Kvm(exists=True, untested=f"{error.filename}: {error.strerror}")


def qemu() -> tuple[str, str]:
    """Return QEMU's version, and what is wrong with it."""
    try:
        version = programs.run([EMULATOR, "--version"], timeout_s=_PATIENCE_S).stdout
    except VmnetError as error:
        return "", error.what
    return (version.splitlines() or [""])[0], ""


def nodes() -> Nodes:
    """Try whether a device node of macvtap's can be made and opened; it is gone afterwards."""
    major = next((int(n) for n, name in _character_devices() if name == "macvtap"), 0)
    devtmpfs = any(
        line.split()[1:3] == ["/dev", "devtmpfs"] for line in _lines(Path("/proc/mounts"))
    )
    mknod, opened = _tried_node(os.makedev(major, _NOBODYS_MINOR)) if major else ("", "")
    return Nodes(major, devtmpfs, mknod, opened, _opened(Path("/dev/net/tun")))


def free_space() -> list[FreeSpace]:
    """Measure the free space in the folders that vmnet writes to."""
    return [
        _measured(paths.state, "consoles, seeds and disks", 20 * _MIB, 1024 * _MIB),
        _measured(paths.cache, "images", 20 * _MIB, 512 * _MIB),
        _measured(paths.run, "locks and libvirt's sockets", _MIB, 16 * _MIB),
    ]


def container() -> str:
    """Return what contains this process; "" on a host or in a virtual machine."""
    for mark, name in _MARKS.items():
        if Path(mark).exists():
            return name
    with suppress(OSError):
        for word in Path("/proc/1/environ").read_bytes().split(b"\0"):
            if word.startswith(b"container="):
                return word.partition(b"=")[2].decode(errors="replace")
    return ""


def _no_loss() -> str:
    script = impairment.script("lo", Impairment(loss=0.5, rate=1e6))
    argv = ["nft", "--check", "-f", "-"]
    done = programs.run(argv, timeout_s=_PATIENCE_S, input=script, check=False)
    return programs.last_lines(done.stderr) if done.returncode else ""


def _tried_node(number: int) -> tuple[str, str]:
    """Return why a node cannot be made, and why it cannot be opened."""
    file = Path("/dev", f".vmnet-doctor-{os.getpid()}")
    try:
        os.mknod(file, stat.S_IFCHR | 0o600, number)
    except OSError as error:
        return f"device nodes cannot be made ({error.strerror})", ""
    try:
        return "", _not_allowed(file)
    finally:
        file.unlink(missing_ok=True)


def _not_allowed(file: Path) -> str:
    """Open a node that no device is behind: ENODEV or ENXIO is how it should fail."""
    try:
        os.close(os.open(file, os.O_RDWR | os.O_NONBLOCK))
    except PermissionError as error:
        return f"the container's rules forbid macvtap's devices ({error.strerror})"
    except OSError:
        return ""
    return ""


def _opened(device: Path) -> str:
    if not device.exists():
        return "missing"
    try:
        os.close(os.open(device, os.O_RDWR | os.O_NONBLOCK))
    except OSError as error:
        return f"cannot be opened ({error.strerror})"
    return ""


def _measured(where: Callable[[], Path], purpose: str, enough: int, good: int) -> FreeSpace:
    try:
        folder = where()
    except VmnetError as error:
        return FreeSpace("no folder", purpose, 0, -1, enough, good, error.what)
    # Who may not even look there gets False, not an error.
    there = next(p for p in (folder, *folder.parents) if os.path.exists(p))  # noqa: PTH110
    trouble = "" if os.access(there, os.W_OK | os.X_OK) else f"{there} cannot be written to"
    found = os.statvfs(there)
    inodes = found.f_favail if found.f_files else -1
    free = found.f_bavail * found.f_frsize
    return FreeSpace(str(folder), purpose, free, inodes, enough, good, trouble)


def _character_devices() -> list[tuple[str, str]]:
    text = "\n".join(_lines(Path("/proc/devices"))).partition("Block devices:")[0]
    return [
        (n, name) for n, _, name in (x.strip().partition(" ") for x in text.splitlines()[1:]) if n
    ]


def _options(release: str) -> dict[str, str]:
    """Read how the kernel was configured, where it says so: "y", "m", "n" by option."""
    import gzip

    for file in (Path("/proc/config.gz"), Path(f"/boot/config-{release}")):
        with suppress(OSError, EOFError):
            raw = file.read_bytes()
            text = (gzip.decompress(raw) if file.suffix == ".gz" else raw).decode(errors="replace")
            wanted = {need.option for need in NEEDS}
            lines = (x.removeprefix("CONFIG_").partition("=") for x in text.splitlines())
            return dict.fromkeys(wanted, "n") | {k: v for k, _, v in lines if k in wanted}
    return {}


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
