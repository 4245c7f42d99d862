"""What the host has to have besides its kernel: rights, QEMU, libvirt, free space."""

from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from provisioner.doctor.findings import Item, Severity

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


def rights(missing: Iterable[tuple[str, str]], user: str) -> Iterator[Item]:
    """Check the capabilities that vmnet lacks: name and what it is for."""
    described = [f"{name} ({why})" for name, why in missing]
    if not described:
        yield Item("rights", f"vmnet has all it needs, as {user}")
        return
    yield Item(
        "rights",
        f"as {user}, vmnet lacks {', '.join(described)}",
        Severity.BAD,
        "run it as root: sudo vmnet …; or have root make devices for you: "
        "vmnet net create --uplink NIC --mode MODE --owner USER",
    )


def qemu(version: str, trouble: str, user: str) -> Item:
    """Check QEMU; `user` is who it will run as."""
    if trouble:
        return Item("virtualisation", trouble, Severity.BAD, "apt-get install qemu-system-x86")
    return Item("virtualisation", f"{version}; guests run as the user {user}")


_TOOLS: Final = (
    ("qemu-img", "makes guests' disks", Severity.LACKS, "qemu-utils"),
    ("ssh-keygen", "makes the key that a guest is known by", Severity.LACKS, "openssh-client"),
    ("openssl", "hashes a password: in the clear", Severity.LACKS, "openssl"),
    ("gpgv", "verifies the vendors' lists of digests", Severity.NOTE, "gpgv"),
    ("mmdebstrap", "builds Debian images here", Severity.NOTE, "mmdebstrap"),
)
"""Programs that guests' disks and images take: what each does, and its package in Debian."""


def tools(there: Container[str], *, uefi: bool) -> Iterator[Item]:
    """Check the programs that only some plans need; `uefi`: OVMF is on the host."""
    missing = [tool for tool in _TOOLS if tool[0] not in there]
    for name, what, state, package in missing:
        yield Item(
            "guests", f"{name}, which {what}, is missing", state, f"apt-get install {package}"
        )
    if not uefi:
        what = "OVMF is missing: no `boot: uefi`"
        yield Item("guests", what, Severity.LACKS, "apt-get install ovmf")
    if not missing and uefi:
        yield Item("guests", "disks, images, host keys and UEFI: all programs are there")


def programs() -> tuple[str, ...]:
    """Return the programs that `tools` judges."""
    return tuple(name for name, *_ in _TOOLS)


def libvirt(found: Libvirt) -> Iterator[Item]:
    """Check libvirt by what it answered."""
    if not found.library:
        fix = "apt-get install libvirt0 libvirt-daemon-driver-qemu python3-libvirt"
        yield Item("virtualisation", f"libvirt: {found.trouble}", Severity.BAD, fix)
        return
    described = f"libvirt {_version(found.library)}: {found.chosen}"
    if not found.trouble:
        yield Item("virtualisation", f"{described}; opened, driver {found.opened}")
        return
    what = f"{described}; it cannot be opened: {found.trouble}"
    yield Item("virtualisation", what, Severity.BAD, found.fix)


def free_space(found: Iterable[FreeSpace]) -> Iterator[Item]:
    """Check the free space."""
    for folder in found:
        free = f"{folder.free // _MIB} MiB free"
        what = f"{folder.path}: {free}, for {folder.purpose}"
        if folder.trouble:
            what = f"{folder.path}, for {folder.purpose}: {folder.trouble}"
            yield Item(
                "space", what, Severity.BAD, "set VMNET_STATE_DIR, VMNET_RUN_DIR, VMNET_CACHE_DIR"
            )
        elif folder.free < folder.enough or folder.inodes == 0:
            short = "no inode is free there" if folder.inodes == 0 else "that is too little"
            yield Item(
                "space",
                f"{what}: {short}",
                Severity.BAD,
                "free some space: vmnet down what idles",
            )
        elif folder.free < folder.good:
            yield Item("space", f"{what}: a few guests fill it", Severity.NOTE, "free some space")
        else:
            yield Item("space", what)


def memory(available: int) -> Item:
    """Check the memory that is left, in bytes."""
    what = f"memory: {available // _MIB} MiB can be used"
    if available < 256 * _MIB:
        fix = "end something, or add swap: a micro guest needs some 100 MiB"
        return Item("space", f"{what}: not even for a few small guests", Severity.NOTE, fix)
    return Item("space", what)


def _version(number: int) -> str:
    return f"{number // 1_000_000}.{number // 1_000 % 1_000}.{number % 1_000}"
