"""Images out of archives: one image comes out, and nothing else of an archive is ever written."""

import bz2
import gzip
import hashlib
import io
import lzma
import os
import subprocess
import tarfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provisioner.errors import VmnetError
from provisioner.host.image import unpack
from tests.host_tools.image_store import MIB, add, contents, raw_disk, refusal

DISK = raw_disk(2 * MIB)
CONTENT = "sha256-" + hashlib.sha256(DISK).hexdigest()


def member(name: str, data: bytes = b"", **fields: object) -> tuple[tarfile.TarInfo, bytes]:
    found = tarfile.TarInfo(name)
    found.size = len(data)
    for key, value in fields.items():
        setattr(found, key, value)
    return found, data


def archive(*members: tuple[tarfile.TarInfo, bytes], form: int = tarfile.PAX_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.TarFile(fileobj=out, mode="w", format=form) as tar:
        for found, data in members:
            tar.addfile(found, io.BytesIO(data))
    return out.getvalue()


PACKED: dict[str, Callable[[], bytes]] = {
    "gz": lambda: gzip.compress(DISK),
    "gz in two members": lambda: gzip.compress(DISK[:MIB]) + gzip.compress(DISK[MIB:]),
    "xz": lambda: lzma.compress(DISK),
    "xz -9": lambda: lzma.compress(DISK, preset=9),
    "xz in two streams with padding": lambda: (
        lzma.compress(DISK[:MIB]) + bytes(8) + lzma.compress(DISK[MIB:])
    ),
    "bz2": lambda: bz2.compress(DISK),
    "bz2 in two streams": lambda: bz2.compress(DISK[:MIB]) + bz2.compress(DISK[MIB:]),
    "tar": lambda: archive(member("disk.raw", DISK)),
    "tar of GNU": lambda: archive(member("x" * 200, DISK), form=tarfile.GNU_FORMAT),
    "tar with more": lambda: archive(
        member("README", b"hello"), member("d", type=tarfile.DIRTYPE), member("d/disk", DISK)
    ),
    "tar.gz": lambda: gzip.compress(archive(member("./disk.raw", DISK))),
    "tar.xz": lambda: lzma.compress(archive(member("disk.raw", DISK), member("SUMS", b"0" * 99))),
}


@pytest.mark.parametrize("pack", PACKED.values(), ids=PACKED)
def test_the_image_comes_out_as_it_went_in(tmp_path: Path, pack: Callable[[], bytes]) -> None:
    file = tmp_path / "packed"
    file.write_bytes(pack())
    # The vendor's digest is that of the file as it is given.
    told = "sha512:" + hashlib.sha512(file.read_bytes()).hexdigest()
    add(tmp_path / "store", file, digest=told)
    assert contents(tmp_path / "store") == ["a.json", CONTENT]
    assert (tmp_path / "store" / CONTENT).read_bytes() == DISK


def test_a_tar_with_holes_as_gnu_tar_makes_them_is_taken(tmp_path: Path) -> None:
    (tmp_path / "disk.raw").write_bytes(DISK[:512])
    os.truncate(tmp_path / "disk.raw", len(DISK))
    whole = (tmp_path / "disk.raw").read_bytes()
    words = ["tar", "-C", str(tmp_path), "--format=oldgnu", "-Sczf", str(tmp_path / "a.tar.gz")]
    subprocess.run([*words, "disk.raw"], check=True, timeout=30)
    record = add(tmp_path / "store", tmp_path / "a.tar.gz")
    assert record.digest == hashlib.sha256(whole).hexdigest()


NO_DISK = (
    "it is not a disk image that vmnet knows: neither qcow2 nor a disk with partitions "
    "or a file system"
)
HOSTILE: dict[str, tuple[bytes, str]] = {
    "..": (
        archive(member("../x", DISK)),
        'FILE: it holds "../x", a path that leads out of the archive',
    ),
    "absolute": (
        archive(member("/etc/x", DISK)),
        'FILE: it holds "/etc/x", a path that leads out of the archive',
    ),
    "symlink": (
        archive(member("disk", type=tarfile.SYMTYPE, linkname="/etc/shadow"), member("disk", DISK)),
        'FILE: it holds "disk", which is a link, a device or a pipe',
    ),
    "hard link after the image": (
        archive(member("disk", DISK), member("x", type=tarfile.LNKTYPE, linkname="/etc/shadow")),
        'FILE: it holds "x", which is a link, a device or a pipe',
    ),
    "device": (
        archive(member("sda", type=tarfile.BLKTYPE, devmajor=8)),
        'FILE: it holds "sda", which is a link, a device or a pipe',
    ),
    "pipe": (
        archive(member("p", type=tarfile.FIFOTYPE)),
        'FILE: it holds "p", which is a link, a device or a pipe',
    ),
    "set-uid": (
        archive(member("disk", DISK, mode=0o4755)),
        'FILE: it holds "disk", a program that would run with others\' rights',
    ),
    "terminal": (
        archive(member("../\x1b[2J", DISK)),
        r'FILE: it holds "../\x1b[2J", a path that leads out of the archive',
    ),
    "two images": (
        archive(member("one", DISK), member("two", DISK)),
        'FILE: it holds two images, "one" and "two"',
    ),
    "no image": (archive(member("README", b"x")), "FILE: there is no disk image in it"),
    "gz of text": (
        gzip.compress(b"hello"),
        f"FILE: {NO_DISK}",
    ),
    "gz of gz": (
        gzip.compress(gzip.compress(DISK)),
        "FILE: it is packed with gzip, which vmnet does not unpack here",
    ),
    "many files": (
        archive(*(member(f"f{n}") for n in range(1001))),
        "FILE: it holds more than 1000 files",
    ),
}


@pytest.mark.parametrize(("data", "what"), HOSTILE.values(), ids=HOSTILE)
def test_a_strange_archive_is_refused_and_leaves_nothing(
    tmp_path: Path, data: bytes, what: str
) -> None:
    (tmp_path / "a.tar").write_bytes(data)
    assert refusal(tmp_path / "store", tmp_path / "a.tar") == what
    assert sorted(path.name for path in tmp_path.iterdir()) in (["a.tar"], ["a.tar", "store"])


@pytest.mark.parametrize(
    ("pack", "cut", "changed"),
    [
        (
            gzip.compress,
            "Compressed file ended before the end-of-stream marker was reached",
            f"CRC check failed 0x0 != {zlib.crc32(DISK):#x}",
        ),
        (lzma.compress, "it ends too early", "Corrupt input data"),
        (bz2.compress, "it ends too early", "Invalid data stream"),
    ],
    ids=["gz", "xz", "bz2"],
)
def test_a_packed_image_that_is_cut_off_or_changed_is_refused(
    tmp_path: Path, pack: Callable[[bytes], bytes], cut: str, changed: str
) -> None:
    packed = pack(DISK)
    refusals = []
    for data in (packed[:-1], packed[: len(packed) // 2], packed[:-8] + bytes(8)):
        (tmp_path / "a").write_bytes(data)
        refusals.append(refusal(tmp_path / "store", tmp_path / "a"))
    assert refusals == [f"FILE: it is damaged or cut off ({why})" for why in (cut, cut, changed)]


def test_a_tar_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(archive(member("disk", DISK))[:MIB])
    what = refusal(tmp_path / "store", tmp_path / "a")
    assert what.startswith("FILE: it is damaged or cut off")


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress, bz2.compress])
def test_a_bomb_goes_off_at_the_limit(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    (tmp_path / "a").write_bytes(pack(DISK + bytes(16 * MIB)))
    what = refusal(tmp_path / "store", tmp_path / "a", most=8 * MIB)
    assert what == "FILE: more than 8 MiB come out of it, as if to fill the disk"


def test_a_tar_cannot_promise_a_disk_of_holes_or_headers_without_an_end(tmp_path: Path) -> None:
    holes = {"GNU.sparse.major": "0", "GNU.sparse.minor": "1", "GNU.sparse.name": "disk"}
    holes |= {"GNU.sparse.realsize": str(1 << 60), "GNU.sparse.map": f"0,512,{1 << 60},0"}
    found, data = member("disk", DISK[:512])
    found.pax_headers = holes
    (tmp_path / "a").write_bytes(archive((found, data)))
    assert refusal(tmp_path / "store", tmp_path / "a") == (
        'FILE: "disk" would have 1,099,511,627,776 MiB'
    )
    endless, data = member("disk", b"9999999\n" + b"1\n" * (5 * MIB))
    endless.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0"}
    (tmp_path / "b").write_bytes(gzip.compress(archive((endless, data)), 1))
    what = refusal(tmp_path / "store", tmp_path / "b")
    assert what == "FILE: it has headers without an end"


def test_headers_of_headers_of_headers_are_refused(tmp_path: Path) -> None:
    long = archive(member("x" * 200), form=tarfile.GNU_FORMAT)[:1024]
    (tmp_path / "a").write_bytes(long * 5000 + archive(member("disk", DISK)))
    what = refusal(tmp_path / "store", tmp_path / "a")
    assert what == "FILE: it is damaged or cut off (its headers make no sense)"


SMALL = raw_disk(128 << 10, seed=bytes(range(256)) * 256)
SPARSE = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "131072"}
WHOLE = archive(member("d", SMALL, pax_headers=SPARSE), member("x", b"y"))


@settings(max_examples=300)
@given(st.lists(st.tuples(st.integers(0, 4095), st.binary(min_size=1, max_size=12)), max_size=6))
def test_an_archive_of_any_bytes_is_taken_or_refused(changes: list[tuple[int, bytes]]) -> None:
    data = bytearray(WHOLE)
    for at, written in changes:
        data[at : at + len(written)] = written
    data[257:262] = b"ustar"
    with suppress(VmnetError), unpack.damage("FILE"):
        found = unpack.image_in(io.BytesIO(data), "tar", MIB)  # type: ignore[arg-type]
        while found.readinto(memoryview(bytearray(MIB))):
            pass
        found.finish()


def test_xz_may_not_ask_for_gigabytes_of_memory(tmp_path: Path) -> None:
    filters = [{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 30}]
    compressor = lzma.LZMACompressor(lzma.FORMAT_XZ, filters=filters)
    (tmp_path / "a").write_bytes(compressor.compress(DISK) + compressor.flush())
    what = refusal(tmp_path / "store", tmp_path / "a")
    assert what == "FILE: it is damaged or cut off (Memory usage limit exceeded)"


def test_zstd_is_refused_with_the_command_that_unpacks_it(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"\x28\xb5\x2f\xfd" + bytes(600))
    what = refusal(tmp_path / "store", tmp_path / "a")
    assert what == "FILE: it is packed with zstd, which vmnet does not unpack here"
