"""QEMU's qcow2, read strictly: the header and the tables of a disk that depends on nothing else.

Source: QEMU's docs/interop/qcow2.txt. QEMU itself reads more generously, and opens whatever a
header names: files of the host, addresses of the network. qemu-img info opens a data file, too.
"""

import struct
import sys
from array import array
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from provisioner.dataclass import dataclass
from provisioner.errors import VmnetError, bad_input
from provisioner.text import one_line

MAGIC: Final = b"QFI\xfb"
MOST_VIRTUAL: Final = 1 << 40
_V2 = struct.Struct(">4sIQIIQIIQQIIQ")
_V3 = struct.Struct(">QQQII")
_EXTENSION = struct.Struct(">II")  # of the header: kind and length
_LENGTHS = {2: _V2.size, 3: _V2.size + _V3.size}
_CLUSTER_BITS = range(9, 22)
_BITS_OF_SUBCLUSTERS = 14
_MOST_L1 = 32 << 20
_MOST_REFCOUNT_TABLE = 8 << 20
_MOST_REFCOUNT_ORDER = 6
_MOST_BACKING = 1023
_DIRTY, _CORRUPT, _DATA_FILE, _COMPRESSION, _SUBCLUSTERS = (1 << bit for bit in range(5))
_KNOWN = _DIRTY | _CORRUPT | _DATA_FILE | _COMPRESSION | _SUBCLUSTERS
_ZLIB, _ZSTD = 0, 1
_SECTOR = 512
_OFFSET = 0x00FFFFFFFFFFFE00  # of an entry of an L1 or L2 table
_COMPRESSED = 1 << 62
_END, _BACKING_FORMAT, _ENCRYPTION, _DATA_FILE_NAME = 0, 0xE2792ACA, 0x0537BE77, 0x44415441
_PLAIN = "have its owner make a plain copy: qemu-img convert -f qcow2 -O qcow2 IMAGE COPY"
FETCH_AGAIN: Final = "fetch or copy it again, and compare its SHA-256 with the vendor's"


@dataclass(frozen=True, slots=True)
class Header:
    """The fields of a qcow2 header, in its order; offsets and sizes are bytes."""

    version: int
    backing_offset: int
    backing_size: int
    cluster_bits: int
    virtual_size: int
    crypt_method: int
    l1_size: int
    l1_offset: int
    refcount_offset: int
    refcount_clusters: int
    snapshots: int
    snapshots_offset: int
    incompatible: int = 0
    compatible: int = 0
    autoclear: int = 0
    refcount_order: int = 4
    length: int = _V2.size
    compression: int = _ZLIB

    @property
    def cluster(self) -> int:
        """The size of a cluster."""
        return 1 << self.cluster_bits

    @property
    def entry_size(self) -> int:
        """The size of an entry of an L2 table."""
        return 16 if self.incompatible & _SUBCLUSTERS else 8


def read(head: bytes) -> Header | None:
    """Return the header; None when it is not one of version 2 or 3, or not whole."""
    if len(head) < _V2.size or not head.startswith(MAGIC):
        return None
    _, *fields = _V2.unpack_from(head)
    if fields[0] not in _LENGTHS or len(head) < _LENGTHS[fields[0]]:
        return None
    more = _V3.unpack_from(head, _V2.size) if fields[0] > 2 else ()  # noqa: PLR2004
    header = Header(*fields, *more)
    if header.length > _LENGTHS[3] and len(head) > _LENGTHS[3]:
        return replace(header, compression=head[_LENGTHS[3]])
    return header


def backing(head: bytes) -> str:
    """Return the name of the file that a disk depends on; "" when there is none, or no header."""
    header = read(head)
    if header is None or not header.backing_offset:
        return ""
    named = head[header.backing_offset :][: min(header.backing_size, _MOST_BACKING)]
    return named.decode("utf-8", "surrogateescape")


def backing_format(head: bytes) -> str:
    """Return the format that a header states of its backing file; "" when it states none."""
    header = read(head)
    extensions = _extensions(header, head) if header else ()
    found = (data for kind, data in extensions if kind == _BACKING_FORMAT)
    return next(found, b"").decode("ascii", "replace")


def complaints(head: bytes, size: int) -> list[VmnetError]:
    """Return everything that keeps a file of `size` bytes from being the disk of a guest."""
    header = read(head)
    if header is None:
        version = int.from_bytes(head[4:8], "big")
        if version in _LENGTHS or len(head) < 8:  # noqa: PLR2004
            return [bad_input("it ends within its own header", FETCH_AGAIN)]
        return [bad_input(f"it is a qcow2 of version {version}, which is neither 2 nor 3", _PLAIN)]
    if shape := list(_shape(header)):
        return shape  # nothing further can be computed from it
    return [
        *_foreign(header, head),
        *_features(header),
        *_misplaced(header, head),
        *_inside(header, size),
    ]


def leading_elsewhere(head: bytes) -> list[VmnetError]:
    """Return why a disk of the user's, which a guest may be writing to, does not stand alone.

    QEMU opens whatever its header names: other files of the host, addresses of the network.
    """
    header = read(head)
    if header is None:
        return [bad_input("it is not a qcow2 disk of version 2 or 3", "write format: raw if it is")]
    named = any(kind == _DATA_FILE_NAME for kind, _ in _extensions(header, head))
    data = replace(header, incompatible=header.incompatible | (_DATA_FILE if named else 0))
    return [*_foreign(replace(data, snapshots=0, snapshots_offset=0), head)]


def unfit(head: bytes, below: str) -> str:
    """Return why a file cannot be a disk that vmnet has made over the file `below`, "" when it can.

    Whoever has written to it as a guest's QEMU may have written a header, too.
    """
    header = read(head)
    kinds = {kind for kind, _ in _extensions(header, head)} if header else set()
    if header is None:
        return "it is no qcow2 any more"
    if header.incompatible & _DATA_FILE or _DATA_FILE_NAME in kinds:
        return "its data would lie in another file"
    if header.crypt_method or _ENCRYPTION in kinds:
        return "it says that it is encrypted"
    if (named := backing(head)) != below:
        return f'it lies over "{one_line(named, 120)}", not over "{one_line(below, 120)}"'
    return ""


def _shape(header: Header) -> Iterator[VmnetError]:
    if header.cluster_bits not in _CLUSTER_BITS:
        yield bad_input(f"its clusters would be 2^{header.cluster_bits} bytes large", FETCH_AGAIN)
    if header.version > 2 and (  # noqa: PLR2004
        header.length < _LENGTHS[3] or header.length % 8 or header.length > header.cluster
    ):
        yield bad_input(f"its header is said to be {header.length} bytes long", FETCH_AGAIN)
    if header.virtual_size > MOST_VIRTUAL:
        tib = header.virtual_size / (1 << 40)
        yield bad_input(
            f"its disk is said to be {tib:,.1f} TiB large, vmnet takes up to 1 TiB",
            "have its owner make it smaller: qemu-img resize --shrink",
        )
    if header.virtual_size == 0 or header.virtual_size % 512:
        yield bad_input(f"its disk is said to be {header.virtual_size} bytes large", FETCH_AGAIN)
    if header.refcount_order > _MOST_REFCOUNT_ORDER:
        yield bad_input(f"its reference counts have 2^{header.refcount_order} bits", FETCH_AGAIN)


def _foreign(header: Header, head: bytes) -> Iterator[VmnetError]:
    if header.backing_offset or header.backing_size:
        named = one_line(backing(head).encode("utf-8", "replace").decode(), 120)
        yield bad_input(
            f'it depends on another file, "{named}", whose content its guest would see',
            "have its owner make a copy that stands alone: "
            "qemu-img convert -f qcow2 -O qcow2 IMAGE COPY",
        )
    if header.incompatible & _DATA_FILE:
        yield bad_input(
            "its data lie in another file, which its guest would read and write", _PLAIN
        )
    if header.crypt_method:
        yield bad_input("it is encrypted, and vmnet keeps no keys of images", _PLAIN)
    if header.snapshots or header.snapshots_offset:
        yield bad_input(f"it holds {header.snapshots} snapshots beside its disk", _PLAIN)


def _features(header: Header) -> Iterator[VmnetError]:
    if unknown := header.incompatible & ~_KNOWN:
        bits = ", ".join(str(bit) for bit in range(64) if unknown >> bit & 1)
        yield bad_input(f"it uses features of qcow2 that vmnet does not know (bits {bits})", _PLAIN)
    if header.incompatible & _DIRTY:
        yield bad_input(
            "it was not closed by the program that wrote it last",
            "repair it: qemu-img check -r all",
        )
    if header.incompatible & _CORRUPT:
        yield bad_input("it is marked as corrupt", FETCH_AGAIN)
    if bool(header.incompatible & _COMPRESSION) != (header.compression != _ZLIB):
        yield bad_input("it contradicts itself about its compression", FETCH_AGAIN)
    if header.compression not in {_ZLIB, _ZSTD}:
        yield bad_input(
            f"it is compressed in a way that vmnet does not know ({header.compression})", _PLAIN
        )
    if header.incompatible & _SUBCLUSTERS and header.cluster_bits < _BITS_OF_SUBCLUSTERS:
        yield bad_input("its clusters are too small to be divided", FETCH_AGAIN)


def _extensions(header: Header, head: bytes) -> Iterator[tuple[int, bytes]]:
    """Return kind and content of the header's extensions; the last is _END if it has an end."""
    at, end = header.length, min(header.cluster, len(head))
    while at + _EXTENSION.size <= end:
        kind, length = _EXTENSION.unpack_from(head, at)
        start = at + _EXTENSION.size
        at = start + -(-length // 8) * 8
        if kind == _END or at <= end:
            yield kind, head[start : start + length]
        if kind == _END:
            return


def _misplaced(header: Header, head: bytes) -> Iterator[VmnetError]:
    """Complain about extensions that contradict the header, and about a header without an end."""
    for kind, _ in _extensions(header, head):
        if kind == _END:
            return
        if kind == _DATA_FILE_NAME and not header.incompatible & _DATA_FILE:
            yield bad_input("it names a file for its data", _PLAIN)
        if kind == _ENCRYPTION and not header.crypt_method:
            yield bad_input("it has a key's place, as if it were encrypted", _PLAIN)
        if kind == _BACKING_FORMAT and not header.backing_offset:
            yield bad_input("it names the format of a file that it depends on", _PLAIN)
    if header.version > 2:  # noqa: PLR2004
        yield bad_input("its header has no end", FETCH_AGAIN)


def _inside(header: Header, size: int) -> Iterator[VmnetError]:
    """Check where the tables are; QEMU would read whatever is there."""
    per_table = header.cluster // header.entry_size
    needed = -(-header.virtual_size // (header.cluster * per_table))
    refcounts = header.refcount_clusters * header.cluster
    tables = (
        ("L1 table", header.l1_offset, header.l1_size * 8, _MOST_L1),
        ("refcount table", header.refcount_offset, refcounts, _MOST_REFCOUNT_TABLE),
    )
    if header.l1_size < needed:
        yield bad_input("its L1 table is too small for its disk", FETCH_AGAIN)
    for what, start, length, most in tables:
        if not length or length > most:
            yield bad_input(f"its {what} is said to have {length} bytes", FETCH_AGAIN)
        elif start % header.cluster or start < header.cluster:
            yield bad_input(f"its {what} does not lie where a cluster begins", FETCH_AGAIN)
        elif start + length > size:
            yield bad_input(f"it is cut off: its {what} would lie beyond its end", FETCH_AGAIN)


def l1_bytes(header: Header) -> int:
    """Return how long the L1 table is, at most what QEMU itself takes."""
    return min(header.l1_size * 8, _MOST_L1)


def is_written(header: Header, l1: bytes) -> bool:
    """Return whether a disk holds anything of its own, by the bytes of its L1 table.

    A table that is not whole counts as one that names something.
    """
    return len(l1) < l1_bytes(header) or any(l1) or bool(header.snapshots)


def l2_tables(l1: bytes) -> list[int] | None:
    """Return the offsets of the L2 tables by the bytes of the L1 table, 0 for an absent one.

    None when two entries name one table: a guest's writes would appear in two places.
    """
    offsets = [entry & _OFFSET for entry in _entries(l1)]
    present = [offset for offset in offsets if offset]
    return offsets if len(present) == len(set(present)) else None


def end_of_clusters(header: Header, index: int, l2: bytes) -> int:
    """Return the end in bytes of the last cluster that the L2 table number `index` names.

    Of the disk's own last cluster, only what the disk needs is counted.
    """
    entries = _entries(l2)[:: header.entry_size // 8]
    last = (header.virtual_size - 1) // header.cluster - index * len(entries)
    found = 0
    if 0 <= last < len(entries):
        used = (header.virtual_size - 1) % header.cluster + 1
        found = _end_of_cluster(header, entries[last], used)
        entries = entries[:last]
    plain = max((e & _OFFSET for e in entries if not e & _COMPRESSED), default=0)
    if plain:
        found = max(found, plain + header.cluster)
    packed = (_end_of_cluster(header, e, 0) for e in entries if e & _COMPRESSED)
    return max(found, max(packed, default=0))


def _end_of_cluster(header: Header, entry: int, used: int) -> int:
    if entry & _COMPRESSED:
        bits = 62 - (header.cluster_bits - 8)
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
