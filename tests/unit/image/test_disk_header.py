"""What may become a guest's disk, decided by first bytes; nothing here touches a file."""

import struct
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner.errors import Exit, VmnetError
from provisioner.image import qcow2
from provisioner.image.disk_header import DiskHeader, inspect
from provisioner.image.disk_kind import kind
from tests.builders.disk_header import SIZE, Made

GOOD = Made()
MIB = 1 << 20


def told(found: DiskHeader | list[VmnetError]) -> list[str]:
    assert not isinstance(found, DiskHeader)
    assert all(e.fix and e.status == Exit.BAD_INPUT for e in found)
    return [e.what for e in found]


def mbr(*ends: int) -> bytes:
    """A disk of 1 MiB with partitions that end at these sectors."""
    entries = [struct.pack("<B3sB3sII", 0x80, b"", 0x83, b"", 1, end - 1) for end in ends]
    return bytes(446) + b"".join(entries).ljust(64, b"\0") + b"\x55\xaa" + bytes(MIB - 512)


def test_a_plain_qcow2_is_taken_with_the_size_of_its_disk() -> None:
    assert inspect(GOOD.head(), SIZE) == DiskHeader("qcow2", "qcow2", 10 * MIB)


def test_version_2_has_a_shorter_header() -> None:
    old = struct.pack(">4sIQIIQIIQQIIQ", b"QFI\xfb", 2, 0, 0, 16, MIB, 0, 1, 65536, 131072, 1, 0, 0)
    assert inspect(old + bytes(4096), 4 * 65536) == DiskHeader("qcow2", "qcow2", MIB)


SPOILT: dict[str, tuple[dict[str, Any], str]] = {
    "backing file": (
        {"backing_offset": 0x78, "backing_size": 11, "named": b"/etc/shadow"},
        'it depends on another file, "/etc/shadow", whose content its guest would see',
    ),
    "backing json": (
        {"backing_offset": 0x78, "backing_size": 6, "named": b"json:{"},
        'it depends on another file, "json:{", whose content its guest would see',
    ),
    "backing that steers a terminal": (
        {"backing_offset": 0x78, "backing_size": 5, "named": b"a\x1b[2J"},
        r'it depends on another file, "a\x1b[2J", whose content its guest would see',
    ),
    "backing of a size without an offset": (
        {"backing_size": 4},
        'it depends on another file, "", whose content its guest would see',
    ),
    "data file": (
        {"incompatible": 4},
        "its data lie in another file, which its guest would read and write",
    ),
    "name of a data file": (
        {"extensions": struct.pack(">II8sQ", 0x44415441, 8, b"/etc/pwd", 0)},
        "it names a file for its data",
    ),
    "format of a backing file": (
        {"extensions": struct.pack(">II8sQ", 0xE2792ACA, 5, b"qcow2", 0)},
        "it names the format of a file that it depends on",
    ),
    "place of a key": (
        {"extensions": struct.pack(">II16sQ", 0x0537BE77, 16, b"", 0)},
        "it has a key's place, as if it were encrypted",
    ),
    "encryption": ({"crypt_method": 2}, "it is encrypted, and vmnet keeps no keys of images"),
    "snapshots": ({"snapshots": 2}, "it holds 2 snapshots beside its disk"),
    "unknown features": (
        {"incompatible": 1 << 5 | 1 << 63},
        "it uses features of qcow2 that vmnet does not know (bits 5, 63)",
    ),
    "dirty": ({"incompatible": 1}, "it was not closed by the program that wrote it last"),
    "corrupt": ({"incompatible": 2}, "it is marked as corrupt"),
    "compression without its bit": (
        {"compression": 1},
        "it contradicts itself about its compression",
    ),
    "unknown compression": (
        {"compression": 7, "incompatible": 8},
        "it is compressed in a way that vmnet does not know (7)",
    ),
    "small subclusters": (
        {"incompatible": 16, "cluster_bits": 9, "virtual_size": 512},
        "its clusters are too small to be divided",
    ),
    "clusters of a TiB": ({"cluster_bits": 40}, "its clusters would be 2^40 bytes large"),
    "clusters of a byte": ({"cluster_bits": 0}, "its clusters would be 2^0 bytes large"),
    "64 PiB": (
        {"virtual_size": 1 << 56},
        "its disk is said to be 65,536.0 TiB large, vmnet takes up to 1 TiB",
    ),
    "no bytes": ({"virtual_size": 0}, "its disk is said to be 0 bytes large"),
    "no whole sector": ({"virtual_size": 1000}, "its disk is said to be 1000 bytes large"),
    "counts": ({"refcount_order": 7}, "its reference counts have 2^7 bits"),
    "short header": ({"length": 96}, "its header is said to be 96 bytes long"),
    "header beyond its cluster": ({"length": 65544}, "its header is said to be 65544 bytes long"),
    "L1 beyond the end": (
        {"l1_offset": 65536 * 9},
        "it is cut off: its L1 table would lie beyond its end",
    ),
    "L1 over the header": ({"l1_offset": 0}, "its L1 table does not lie where a cluster begins"),
    "L1 between clusters": (
        {"l1_offset": 65536 + 8},
        "its L1 table does not lie where a cluster begins",
    ),
    "L1 of a GiB": ({"l1_size": 1 << 27}, "its L1 table is said to have 1073741824 bytes"),
    "L1 too small": ({"virtual_size": 1 << 40}, "its L1 table is too small for its disk"),
    "no refcounts": ({"refcount_clusters": 0}, "its refcount table is said to have 0 bytes"),
    "refcounts beyond the end": (
        {"refcount_offset": 65536 * 3},
        "it is cut off: its refcount table would lie beyond its end",
    ),
    "version 1": ({"version": 1}, "it is a qcow2 of version 1, which is neither 2 nor 3"),
    "version 4": ({"version": 4}, "it is a qcow2 of version 4, which is neither 2 nor 3"),
    "endless extensions": (
        {"extensions": struct.pack(">II", 1, 0xFFFFFFF0)},
        "its header has no end",
    ),
}


@pytest.mark.parametrize(("change", "what"), SPOILT.values(), ids=SPOILT)
def test_a_spoilt_header_is_refused_with_its_mend(change: dict[str, Any], what: str) -> None:
    assert what in told(inspect(replace(GOOD, **change).head(), SIZE))


def test_all_complaints_come_at_once() -> None:
    worst = replace(GOOD, incompatible=1, crypt_method=1, snapshots=1)
    assert len(told(inspect(worst.head(), SIZE))) == 3


@pytest.mark.parametrize("left", [4, 8, 71, 72, 103])
def test_a_header_that_ends_early_is_refused(left: int) -> None:
    assert told(inspect(GOOD.head()[:left], left)) == ["it ends within its own header"]


def test_an_image_that_lacks_its_last_byte_is_refused() -> None:
    assert told(inspect(GOOD.head(), SIZE - 1)) == [
        "it is cut off: its L1 table would lie beyond its end"
    ]


def test_a_qcow2_that_is_called_raw_is_refused() -> None:
    (what,) = told(inspect(GOOD.head(), SIZE, raw=True))
    assert what.startswith("it is called raw, but begins like a qcow2 image")


@pytest.mark.parametrize(
    ("head", "found"),
    [
        (b"# Disk DescriptorFile\nversion=1\nRW 8 FLAT /etc/passwd 0\n", "VMDK"),
        (b"#\n\n  # a\r\nversion=3\n", "VMDK"),
        (b"KDMV", "VMDK"),
        (b"COWD", "VMDK"),
        (b"<<< Oracle VM".ljust(64, b"\0") + b"\x7f\x10\xda\xbe", "VDI"),
        (b"conectix", "VHD"),
        (b"vhdxfile", "VHDX"),
        (b"QED\0", "QED"),
        (b"WithoutFreeSpace", "Parallels"),
        (b"LUKS\xba\xbe\0\1", "LUKS"),
    ],
)
@pytest.mark.parametrize("raw", [False, True])
def test_other_formats_are_refused_also_when_they_are_called_raw(
    head: bytes, found: str, *, raw: bool
) -> None:
    data = head.ljust(510, b"\0") + b"\x55\xaa" + bytes(512)
    assert kind(data) == found
    (what,) = told(inspect(data, 1024, raw=raw))
    assert found in what


def test_a_fixed_vhd_is_known_by_its_end() -> None:
    disk = mbr(2048)
    assert told(inspect(disk, MIB, b"conectix".ljust(512, b"\0"))) == [
        "it is a VHD image: vmnet takes qcow2 and raw disks only"
    ]


@pytest.mark.parametrize(
    ("head", "packing"),
    [(b"\x28\xb5\x2f\xfd", "zstd"), (b"PK\x03\x04", "zip"), (b"\x1f\x8b", "gzip")],
)
def test_what_is_packed_in_what_is_packed_is_refused(head: bytes, packing: str) -> None:
    assert told(inspect(head.ljust(1024, b"\0"), 1024)) == [
        f"it is packed with {packing}, which vmnet does not unpack here"
    ]


def test_kernels_text_and_nothing_are_no_disks() -> None:
    kernel = bytes(510) + b"\x55\xaa" + b"\xeb\x66HdrS" + bytes(512)
    assert told(inspect(kernel, 1024)) == ["it is a kernel or another program, not a disk"]
    assert told(inspect(b"", 0)) == ["it is empty"]
    (what,) = told(inspect(b"root:x:0:0\n", 11))
    assert what.startswith("it is not a disk image that vmnet knows")


def test_a_raw_disk_is_taken_when_it_ends_where_its_table_says() -> None:
    disk = mbr(1000, 2048)
    assert inspect(disk, MIB) == DiskHeader("raw", "MBR", MIB)
    assert told(inspect(disk, MIB - 512)) == [
        f"it is cut off: its MBR says {MIB} bytes, it has {MIB - 512}"
    ]
    assert told(inspect(disk, MIB - 1)) == [
        f"it is cut off: {MIB - 1} bytes are not a whole number of sectors"
    ]


def test_a_raw_disk_without_any_signature_needs_its_owners_word() -> None:
    (what,) = told(inspect(bytes(MIB), MIB))
    assert what.startswith("it is not a disk image that vmnet knows")
    assert inspect(bytes(MIB), MIB, raw=True) == DiskHeader("raw", "", MIB)


def test_the_name_of_a_backing_file_is_read_for_our_own_overlays() -> None:
    overlay = replace(GOOD, backing_offset=0x78, backing_size=4, named=b"/a/bcd")
    assert (qcow2.backing(overlay.head()), qcow2.backing(GOOD.head()), qcow2.backing(b"")) == (
        "/a/b",
        "",
        "",
    )


@given(head=st.binary(max_size=2048), size=st.integers(0, 1 << 63), tail=st.binary(max_size=512))
@pytest.mark.parametrize("raw", [False, True])
def test_no_bytes_whatever_are_more_than_it_can_bear(
    head: bytes, size: int, tail: bytes, *, raw: bool
) -> None:
    for begun in (b"", b"QFI\xfb\0\0\0\3", b"QFI\xfb\0\0\0\2", bytes(510) + b"\x55\xaa"):
        assert inspect(begun + head, size, tail, raw=raw)
        assert len(qcow2.backing(begun + head)) < 1024


NUMBERS = st.one_of(st.integers(0, 300), st.integers(0, (1 << 32) - 1))


@given(st.dictionaries(st.sampled_from([f.name for f in fields(Made)][:-3]), NUMBERS, max_size=4))
def test_a_header_of_any_numbers_is_taken_only_when_it_leans_on_nothing(
    change: dict[str, int],
) -> None:
    made = replace(GOOD, **change)  # type: ignore[arg-type]
    found = inspect(made.head(), SIZE)
    if isinstance(found, DiskHeader):
        assert (made.backing_offset, made.backing_size, made.crypt_method) == (0, 0, 0)
        assert (made.snapshots, made.incompatible & ~0b11000) == (0, 0)
        assert 0 < found.virtual_size <= 1 << 40
        assert made.l1_offset + made.l1_size * 8 <= SIZE
