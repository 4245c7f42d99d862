"""Write a "newc" cpio archive, the format of an initrd.

Written here because the files of an archive need owners, modes and device nodes that an ordinary
user cannot make on a disk, and because the same input must give the same bytes.
Source: Documentation/driver-api/early-userspace/buffer-format.rst of the kernel.
"""

import stat
from collections.abc import Iterable
from pathlib import PurePosixPath

from provisioner.dataclass import dataclass

_MAGIC = b"070701"
_BLOCK = 512


@dataclass(frozen=True, slots=True)
class CpioEntry:
    """One name in the archive; the owner is always root and the time always 1970."""

    name: str
    mode: int
    data: bytes = b""
    device: tuple[int, int] = (0, 0)


def directory(name: str, permissions: int = 0o755) -> CpioEntry:
    """Return a folder."""
    return CpioEntry(name, stat.S_IFDIR | permissions)


def file(name: str, data: bytes, *, executable: bool = False) -> CpioEntry:
    """Return a regular file."""
    return CpioEntry(name, stat.S_IFREG | (0o755 if executable else 0o644), data)


def link(name: str, target: str) -> CpioEntry:
    """Return a symbolic link."""
    return CpioEntry(name, stat.S_IFLNK | 0o777, target.encode())


def character_device(name: str, major: int, minor: int) -> CpioEntry:
    """Return a device node that only root can open."""
    return CpioEntry(name, stat.S_IFCHR | 0o600, device=(major, minor))


def pack(entries: Iterable[CpioEntry]) -> bytes:
    """Return the archive: sorted, folders before what they hold, missing folders added.

    Raises ValueError when two entries differ under one name.
    """
    known: dict[str, CpioEntry] = {}
    for entry in entries:
        if known.setdefault(entry.name, entry) != entry:
            raise ValueError(f"two different entries are named {entry.name}")
    for name in list(known):
        for folder in PurePosixPath(name).parents:
            known.setdefault(str(folder), directory(str(folder)))
    ordered = sorted(known.values(), key=lambda entry: PurePosixPath(entry.name).parts)
    packed = bytearray()
    for number, entry in enumerate(ordered, start=1):
        _append(packed, number, entry)
    _append(packed, 0, CpioEntry("TRAILER!!!", 0))
    return bytes(packed + bytes(-len(packed) % _BLOCK))


def _append(packed: bytearray, number: int, entry: CpioEntry) -> None:
    name = entry.name.encode() + b"\0"
    links = 2 if stat.S_ISDIR(entry.mode) else 1
    fields = (
        *(number, entry.mode, 0, 0, links, 0, len(entry.data)),
        *(0, 0, *entry.device, len(name), 0),
    )
    packed += _MAGIC + b"".join(b"%08X" % field for field in fields) + name
    packed += bytes(-len(packed) % 4)
    packed += entry.data
    packed += bytes(-len(packed) % 4)
