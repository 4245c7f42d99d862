"""Where a qcow2 keeps its clusters: whether all that its tables name lies within the file."""

import sys
from array import array
from typing import Final

from provisioner.image.qcow2 import Header

_OFFSET: Final = 0x00FFFFFFFFFFFE00
_COMPRESSED: Final = 1 << 62
_SECTOR: Final = 512
_LOW_BITS: Final = 8


def tables(l1: bytes) -> list[int] | None:
    """Give where the L2 tables lie, 0 for one that is not there, by the bytes of the L1 table.

    None when two entries name one table: a guest's writes would appear in two places.
    """
    offsets = [entry & _OFFSET for entry in _entries(l1)]
    there = [offset for offset in offsets if offset]
    return offsets if len(there) == len(set(there)) else None


def end(header: Header, index: int, l2: bytes) -> int:
    """Give the end of the last cluster that the L2 table number `index` names, in bytes.

    Of the disk's own last cluster, only what the disk needs is counted.
    """
    entries = _entries(l2)[:: header.entry_size // 8]
    first = index * len(entries)
    last = (header.virtual_size - 1) // header.cluster - first
    found = 0
    if 0 <= last < len(entries):
        used = (header.virtual_size - 1) % header.cluster + 1
        found = _end_of(header, entries[last], used)
        entries = entries[:last]
    plain = max((e & _OFFSET for e in entries if not e & _COMPRESSED), default=0)
    if plain:
        found = max(found, plain + header.cluster)
    packed = (_end_of(header, e, 0) for e in entries if e & _COMPRESSED)
    return max(found, max(packed, default=0))


def _end_of(header: Header, entry: int, used: int) -> int:
    if entry & _COMPRESSED:
        bits = 62 - (header.cluster_bits - _LOW_BITS)
        start = entry & ((1 << bits) - 1)
        more = (entry & (_COMPRESSED - 1)) >> bits
        return start // _SECTOR * _SECTOR + (more + 1) * _SECTOR
    start = entry & _OFFSET
    return start + used if start else 0


def _entries(table: bytes) -> "array[int]":
    entries = array("Q", table)
    if sys.byteorder == "little":
        entries.byteswap()
    return entries
