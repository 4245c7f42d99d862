"""What the host has to have besides its kernel: rights, QEMU, libvirt, free space."""

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from provisioner.dataclass import dataclass
from provisioner.doctor.findings import Item, Severity, first, table

_MIB: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Libvirt:
    """libvirt as it answered, or why it did not."""

    library: int = 0  # version, as libvirt counts: 9 * 1,000,000 + 0 * 1,000 + 0
    chosen: str = ""  # the connection, and why this one
    opened: str = ""  # its version, "" when it cannot be opened
    trouble: str = ""
    fix: str = "apt-get install libvirt-daemon-driver-qemu: it brings libvirt_driver_qemu.so"


@dataclass(frozen=True, slots=True)
class FreeSpace:
    """A folder that vmnet writes to."""

    path: str
    purpose: str
    free: int  # bytes that may be used
    inodes: int  # -1: the file system does not count them
    enough: int  # bytes below which nothing works
    good: int  # bytes above which nobody has to think about it
    trouble: str = ""  # why it cannot be written to


def rights(missing: Iterable[tuple[str, str]], user: str) -> Item:
    """Check the capabilities that vmnet lacks: name and what it is for."""
    lacking = ", ".join(f"{name} ({why})" for name, why in missing)
    fix = (
        "run it as root: sudo vmnet …; or have root make devices for you: "
        "vmnet net create --uplink NIC --mode MODE --owner USER"
    )
    good = f"vmnet has all it needs, as {user}"
    return first("rights", good, (lacking, f"as {user}, vmnet lacks {lacking}", Severity.BAD, fix))


def qemu(version: str, trouble: str, user: str) -> Item:
    """Check QEMU; `user` is who it will run as."""
    good = f"{version}; guests run as {user}"
    fix = "apt-get install qemu-system-x86"
    return first("virtualisation", good, (trouble, trouble, Severity.BAD, fix))


def walls(
    users: str, alone: str, served: str, label: str, groups: str, usual: str = ""
) -> Iterator[Item]:
    """Say which walls stand between guests, and between them and the host.

    `users` are those that guests have one each of, or `alone` says why they share one, and `served`
    why the servers of DHCP do; `label` is the security module that confines QEMU, `groups` why a
    cgroup of their own is not made, `usual` the security module of this distribution.
    """
    area = "walls"
    if users:
        yield Item(area, f"each guest's QEMU runs as a user of its own, of {users}")
    else:
        what = f"all guests' QEMUs run as one user: {alone}; they can reach each other's files"
        yield Item(area, what, Severity.NOTE, "see docs/explanation/guest-users.md")
    if served:
        what = f"each switch's dnsmasq runs as its package's user, nobody mostly: {served}"
        yield Item(area, what, Severity.NOTE, "see docs/explanation/guest-users.md")
    else:
        yield Item(area, "each switch's dnsmasq runs as a user of its own, and never as root")
    yield Item(
        area,
        "QEMU has no capabilities, no new privileges, seccomp; no core dumps, limited processes; "
        "a /dev of its own, where libvirt may make one: vmnet status --wide",
    )
    if label:
        yield Item(
            area, f"{label}: a libvirt daemon confines QEMU by it, the embedded one does not"
        )
    else:
        what = "no AppArmor or SELinux: users are the wall between QEMU and the host's files"
        yield Item(
            area, what, Severity.NOTE, f"boot with {usual or 'one'}, and run a libvirt daemon"
        )
    if groups:
        what = f"no cgroup of a guest's own: {groups}; QEMU's own memory is not limited"
        fix = "use a host whose init is systemd, or run a libvirt daemon, which makes one"
        yield Item(area, what, Severity.NOTE, fix)
    else:
        yield Item(area, "each guest's QEMU has a cgroup of its own, with a limit of its memory")


def tools(is_there: Callable[[str], object], *, uefi: bool) -> Iterator[Item]:
    """Check the programs that only some plans need; `uefi`: OVMF is on the host."""
    missing = [
        Item(
            "guests",
            f"{program['name']}, which {program['purpose']}, is missing",
            Severity(program["state"]),
            f"apt-get install {program['package']}",
        )
        for program in table("programs")
        if not is_there(program["name"])
    ]
    if not uefi:
        what = "OVMF is missing: no `boot: uefi`"
        missing.append(Item("guests", what, Severity.LACKS, "apt-get install ovmf"))
    good = Item("guests", "disks, images, host keys and UEFI: all programs are there")
    yield from missing or [good]


def libvirt(found: Libvirt) -> Item:
    """Check libvirt by what it answered."""
    install = "apt-get install libvirt0 libvirt-daemon-driver-qemu python3-libvirt"
    about = f"libvirt {_version(found.library)}: {found.chosen}"
    return first(
        "virtualisation",
        f"{about}; opened, driver {found.opened}",
        (not found.library, f"libvirt: {found.trouble}", Severity.BAD, install),
        (found.trouble, f"{about}; it cannot be opened: {found.trouble}", Severity.BAD, found.fix),
    )


def free_space(folder: FreeSpace) -> Item:
    """Check the space that is left in a folder."""
    of, purpose, bad = folder.path, folder.purpose, Severity.BAD
    what = f"{of}: {folder.free // _MIB} MiB free, for {purpose}"
    other = "set VMNET_STATE_DIR, VMNET_RUN_DIR, VMNET_CACHE_DIR"
    free = "free some space: vmnet down what idles"
    return first(
        "space",
        what,
        (folder.trouble, f"{of}, for {purpose}: {folder.trouble}", bad, other),
        (folder.inodes == 0, f"{what}: no inode is free there", bad, free),
        (folder.free < folder.enough, f"{what}: that is too little", bad, free),
        (
            folder.free < folder.good,
            f"{what}: a few guests fill it",
            Severity.NOTE,
            "free some space",
        ),
    )


def memory(available: int) -> Item:
    """Check the memory that is left, in bytes."""
    what = f"memory: {available // _MIB} MiB can be used"
    few = f"{what}: not even for a few small guests"
    fix = "end something, or add swap: a micro guest needs some 100 MiB"
    return first("space", what, (available < 256 * _MIB, few, Severity.NOTE, fix))


def _version(number: int) -> str:
    return f"{number // 1_000_000}.{number // 1_000 % 1_000}.{number % 1_000}"
