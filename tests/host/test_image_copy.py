"""Images that qemu-img really makes, good ones and hostile ones, judged before QEMU sees them."""

import os
import struct
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from provisioner.host.image import copy
from provisioner.image.disk_header import DiskHeader

MIB = 1 << 20


def qemu_img(*words: str | Path) -> None:
    subprocess.run(["qemu-img", *map(str, words)], check=True, capture_output=True, timeout=60)


def judged(path: Path, *, raw: bool = False) -> DiskHeader | list[str]:
    with path.open("rb") as file:
        found = copy.check(file.fileno(), raw=raw)
    return found if isinstance(found, DiskHeader) else [error.what for error in found]


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """A raw disk of 8 MiB, with a partition, a hole and bytes that do not compress."""
    path = tmp_path / "disk.raw"
    size = 8 * MIB
    entry = struct.pack("<B3sB3sII", 0x80, b"", 0x83, b"", 1, size // 512 - 1)
    path.write_bytes(
        bytes(446) + entry + bytes(48) + b"\x55\xaa" + bytes(3 * MIB) + os.urandom(size)
    )
    os.truncate(path, size)
    return path


TAKEN: dict[str, Sequence[str]] = {
    "plain": (),
    "version 2": ("-o", "compat=0.10"),
    "compressed": ("-c",),
    "zstd": ("-c", "-o", "compression_type=zstd"),
    "small clusters": ("-o", "cluster_size=512"),
    "large clusters": ("-o", "cluster_size=2M"),
    "compressed small clusters": ("-c", "-o", "cluster_size=4096"),
    "subclusters": ("-o", "extended_l2=on,cluster_size=128k"),
    "compressed subclusters": ("-c", "-o", "extended_l2=on,cluster_size=16k"),
    "metadata": ("-o", "preallocation=metadata"),
    "full": ("-o", "preallocation=full"),
    "narrow counts": ("-o", "refcount_bits=1"),
    "wide counts": ("-o", "refcount_bits=64"),
    "lazy": ("-o", "lazy_refcounts=on"),
}


@pytest.mark.parametrize("options", TAKEN.values(), ids=TAKEN)
def test_what_qemu_img_makes_is_taken_and_refused_without_its_last_byte(
    tmp_path: Path, disk: Path, options: Sequence[str]
) -> None:
    made = tmp_path / "made.qcow2"
    qemu_img("convert", "-f", "raw", "-O", "qcow2", *options, disk, made)
    assert judged(made) == DiskHeader("qcow2", "qcow2", disk.stat().st_size)
    os.truncate(made, made.stat().st_size - 1)
    (what,) = judged(made) or [""]  # type: ignore[misc]
    assert what.startswith("it is cut off: ")


def test_what_lies_behind_the_end_of_a_disk_within_its_last_cluster_may_lack(
    tmp_path: Path, disk: Path
) -> None:
    os.truncate(disk, disk.stat().st_size - 512 * 9)
    made = tmp_path / "made.qcow2"
    qemu_img("convert", "-f", "raw", "-O", "qcow2", disk, made)
    taken = DiskHeader("qcow2", "qcow2", disk.stat().st_size)
    whole = judged(made)
    os.truncate(made, made.stat().st_size - 512 * 9)
    least = judged(made)
    os.truncate(made, made.stat().st_size - 1)
    assert (whole, least, judged(made)) == (
        taken,
        taken,
        ["it is cut off: a part of its disk would lie beyond its end"],
    )


@pytest.mark.parametrize("size", ["512", "1G", "1023G", "1T"])
def test_empty_disks_of_many_sizes_are_taken(tmp_path: Path, size: str) -> None:
    qemu_img("create", "-f", "qcow2", tmp_path / "a", size)
    found = judged(tmp_path / "a")
    assert isinstance(found, DiskHeader)
    assert judged(tmp_path / "a") == found


def test_a_backing_file_is_refused_whatever_its_name(tmp_path: Path) -> None:
    told = []
    for name in ("/etc/shadow", 'json:{"driver":"file"}', "nbd://127.0.0.1:1", "http://a/b"):
        made = tmp_path / "a"
        qemu_img("create", "-u", "-f", "qcow2", "-F", "raw", "-b", name, made, "1M")
        told += [(judged(made), name)]
    assert [(len(found), found[0].split('"')[1]) for found, _ in told] == [  # type: ignore[arg-type,index]
        (1, "/etc/shadow"),
        (1, "json:{"),
        (1, "nbd://127.0.0.1:1"),
        (1, "http://a/b"),
    ]


def patched(path: Path, at: int, value: int) -> None:
    with path.open("rb+") as file:
        os.pwrite(file.fileno(), bytes([value]), at)


def test_a_data_file_snapshots_keys_and_an_open_image_are_refused(tmp_path: Path) -> None:
    qemu_img("create", "-f", "qcow2", "-o", f"data_file={tmp_path}/data", tmp_path / "a", "1M")
    for name in ("b", "c", "d"):
        qemu_img("create", "-f", "qcow2", tmp_path / name, "1M")
    qemu_img("snapshot", "-c", "first", tmp_path / "b")
    # qemu-img makes encrypted ones too, but gives up on a busy host: it measures itself for them.
    patched(tmp_path / "c", 35, 2)
    patched(tmp_path / "d", 79, 1)
    assert {name: judged(tmp_path / name) for name in ("a", "b", "c", "d")} == {
        "a": ["its data lie in another file, which its guest would read and write"],
        "b": ["it holds 1 snapshots beside its disk"],
        "c": ["it is encrypted, and vmnet keeps no keys of images"],
        "d": ["it was not closed by the program that wrote it last"],
    }


def test_sixty_four_pebibytes_are_refused(tmp_path: Path) -> None:
    qemu_img("create", "-f", "qcow2", "-o", "cluster_size=2M", tmp_path / "a", "64P")
    assert judged(tmp_path / "a") == [
        "its disk is said to be 65,536.0 TiB large, vmnet takes up to 1 TiB"
    ]


@pytest.mark.parametrize("kind", ["vmdk", "vdi", "vpc", "vhdx", "qed", "parallels"])
def test_every_other_format_of_qemu_img_is_refused(tmp_path: Path, disk: Path, kind: str) -> None:
    qemu_img("convert", "-f", "raw", "-O", kind, disk, tmp_path / "a")
    (what,) = judged(tmp_path / "a")  # type: ignore[misc]
    assert "vmnet takes qcow2 and raw disks only" in what


def test_fixed_vhds_and_vmdks_of_text_are_refused_also_as_raw(tmp_path: Path, disk: Path) -> None:
    qemu_img("convert", "-f", "raw", "-O", "vpc", "-o", "subformat=fixed", disk, tmp_path / "a")
    flat = ("-o", "subformat=monolithicFlat")
    qemu_img("convert", "-f", "raw", "-O", "vmdk", *flat, disk, tmp_path / "b")
    assert [judged(tmp_path / name, raw=True) for name in ("a", "b")] == [
        ["it is a VHD image: vmnet takes qcow2 and raw disks only"],
        ["it is a VMDK image: vmnet takes qcow2 and raw disks only"],
    ]


def test_a_qcow2_inside_a_raw_disk_is_refused(tmp_path: Path) -> None:
    qemu_img("create", "-u", "-f", "qcow2", "-F", "raw", "-b", "/etc/shadow", tmp_path / "a", "1M")
    (what,) = judged(tmp_path / "a", raw=True)  # type: ignore[misc]
    assert what.startswith("it is called raw, but begins like a qcow2 image")


def test_two_entries_for_one_table_are_refused(tmp_path: Path, disk: Path) -> None:
    qemu_img("convert", "-f", "raw", "-O", "qcow2", "-o", "cluster_size=512", disk, tmp_path / "a")
    with (tmp_path / "a").open("rb+") as file:
        at = int.from_bytes(os.pread(file.fileno(), 8, 40), "big")
        os.pwrite(file.fileno(), os.pread(file.fileno(), 8, at + 8 * 200), at + 8 * 201)
    assert judged(tmp_path / "a") == [
        "it is damaged: two parts of its disk are one part of the file"
    ]


def test_raw_disks_with_tables_and_file_systems_are_taken_whole_only(tmp_path: Path) -> None:
    makers = {
        "GPT": ["sfdisk", "-q", "--label", "gpt"],
        "MBR": ["sfdisk", "-q"],
        "ext4": ["mke2fs", "-q", "-t", "ext4"],
    }
    found = {}
    for name, words in makers.items():
        path = tmp_path / name
        path.write_bytes(b"")
        os.truncate(path, 8 * MIB)
        subprocess.run([*words, path], input=b",,L\n", check=True, capture_output=True, timeout=60)
        whole = judged(path)
        os.truncate(path, 4 * MIB)
        found[name] = (whole, judged(path))
    assert found == {
        name: (
            DiskHeader("raw", name, 8 * MIB),
            [f"it is cut off: its {name} says {8 * MIB} bytes, it has {4 * MIB}"],
        )
        for name in makers
    }
