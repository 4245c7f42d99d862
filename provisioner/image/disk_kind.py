"""What a file is, by its first bytes alone: nothing is opened, names do not count."""

import re
import struct
from collections.abc import Callable, Sequence
from typing import Final

from provisioner.pattern import pattern

HEAD: Final = 72 << 10
"""How many first bytes of a file have to be shown: btrfs signs itself at 64 KiB."""

TAIL: Final = 512
"""How many last bytes: fixed VHDs and Apple's disk images sign themselves there."""

_OF_QEMU = (
    (0, b"QFI\xfb", "qcow2"),
    (0, b"KDMV", "VMDK"),
    (0, b"COWD", "VMDK"),
    (0, b"QED\x00", "QED"),
    (0, b"vhdxfile", "VHDX"),
    (0, b"conectix", "VHD"),
    (0, b"LUKS\xba\xbe", "LUKS"),
    (0, b"WithoutFreeSpace", "Parallels"),
    (0, b"WithouFreSpacExt", "Parallels"),
    (0, b"Bochs Virtual HD Image", "Bochs"),
    (0, b"#!/bin/sh\n#V2.0 Format\nmodprobe cloop", "cloop"),
    (0x40, b"\x7f\x10\xda\xbe", "VDI"),
)
"""What QEMU opens in its own way: it goes before all others, for a file can be signed twice."""

_OTHERS = (
    (0, b"\x1f\x8b", "gzip"),
    (0, b"\xfd7zXZ\x00", "xz"),
    (0, b"BZh", "bzip2"),
    (0, b"\x28\xb5\x2f\xfd", "zstd"),
    (0, b"\x04\x22\x4d\x18", "lz4"),
    (0, b"PK\x03\x04", "zip"),
    (0, b"7z\xbc\xaf\x27\x1c", "7-Zip"),
    (257, b"ustar", "tar"),
    (0, b"\x7fELF", "ELF"),
    (0x202, b"HdrS", "kernel"),
    (0x8001, b"CD001", "ISO 9660"),
    (512, b"EFI PART", "GPT"),
    (4096, b"EFI PART", "GPT"),
    (3, b"NTFS    ", "NTFS"),
    (54, b"FAT", "FAT"),
    (82, b"FAT32", "FAT"),
    (510, b"\x55\xaa", "MBR"),
    (1080, b"\x53\xef", "ext4"),  # two bytes only, which a boot loader may have by chance
    (0, b"XFSB", "XFS"),
    (0x10040, b"_BHRfS_M", "btrfs"),
    (0, b"hsqs", "squashfs"),
    (1024, b"\xe2\xe1\xf5\xe0", "EROFS"),
    (1024, b"\x10\x20\xf5\xf2", "F2FS"),
    (512, b"LABELONE", "LVM"),
)
_AT_THE_END = ((0, b"conectix", "VHD"), (0, b"koly", "DMG"))

RAW: Final = frozenset({"ISO 9660", "GPT", "MBR", "LVM"}) | frozenset(
    {"ext4", "XFS", "btrfs", "squashfs", "EROFS", "F2FS", "NTFS", "FAT"}
)
"""Kinds that are a disk's own content, byte by byte."""

UNPACKED: Final = frozenset({"gzip", "xz", "bzip2", "tar"})
"""Kinds that vmnet unpacks by itself."""

_VMDK_TEXT = pattern(rb"(?:[ \t]*(?:#[^\n]*)?\r?\n)*version=\d", re.ASCII)


def kind(head: bytes, tail: bytes = b"") -> str:
    """Return what a file is; "" when nothing is recognised.

    `head` are its first HEAD bytes, or all it has; `tail` its last TAIL bytes.
    """
    return (
        _signed(head, _OF_QEMU)
        or ("VMDK" if _is_vmdk_text(head) else "")
        or _signed(tail, _AT_THE_END)
        or _signed(head, _OTHERS)
    )


def _signed(data: bytes, signatures: Sequence[tuple[int, bytes, str]]) -> str:
    return next((found for at, sign, found in signatures if data.startswith(sign, at)), "")


def _is_vmdk_text(head: bytes) -> bool:
    """Return whether QEMU could take a text for a VMDK's descriptor: it names files of the host."""
    descriptor = head[:4096].lower()
    return b"# disk descriptorfile" in descriptor[:512] or bool(_VMDK_TEXT.match(descriptor))


def end_of_raw(head: bytes, found: str) -> int:
    """Return how many bytes a raw disk states that it has; 0 when it states nothing."""
    measure = _MEASURES.get(found)
    return measure(head) if measure else 0


def _gpt(head: bytes) -> int:
    sector = 512 if head.startswith(b"EFI PART", 512) else 4096
    return (_number("<Q", head, sector + 32) + 1) * sector  # the backup is the last sector


def _ext(head: bytes) -> int:
    blocks = _number("<I", head, 1024 + 4)
    if _number("<I", head, 1024 + 96) & 0x80:  # 64bit
        blocks |= _number("<I", head, 1024 + 336) << 32
    return blocks << (10 + min(_number("<I", head, 1024 + 24), 16))


def _mbr(head: bytes) -> int:
    entries = [head[at : at + 16] for at in range(446, 510, 16)]
    if any(entry[0] & 0x7F for entry in entries):
        return 0  # not a table of partitions but a loader's code
    ends = [
        (_number("<I", entry, 8) + _number("<I", entry, 12)) * 512
        for entry in entries
        if entry[4] not in {0, 0xEE}
    ]
    return max(ends, default=0)


def _number(form: str, data: bytes, at: int) -> int:
    try:
        (found,) = struct.unpack_from(form, data, at)
    except struct.error:
        return 0
    return int(found)


_MEASURES: Final[dict[str, Callable[[bytes], int]]] = {
    "GPT": _gpt,
    "MBR": _mbr,
    "ext4": _ext,
    "XFS": lambda head: _number(">I", head, 4) * _number(">Q", head, 8),
    "btrfs": lambda head: _number("<Q", head, 0x10070),
    "ISO 9660": lambda head: _number("<I", head, 0x8050) * _number("<H", head, 0x8080),
    "squashfs": lambda head: _number("<Q", head, 40),
}
