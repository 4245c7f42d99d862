"""Disks that guests have written to stay, with what belongs to them, and say whose they are."""

import os
import subprocess
from pathlib import Path

import pytest

from provisioner.guest.domain import FileCopy, Overlay
from provisioner.host.guest import host_keys
from provisioner.host.image import in_use
from provisioner.host.storage import disks
from provisioner.host.storage.copies import CopyDriver
from provisioner.host.storage.disks import DiskDriver
from provisioner.host.storage.files import DraftDriver
from provisioner.host.system import paths, plan_folders
from provisioner.host.system.plan_folders import FileRecord
from provisioner.reconcile.resources import Look

MIB = 1 << 20


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VMNET_STATE_DIR", str(tmp_path))
    made = paths.home("lab")
    plan_folders.make(made, "lab")
    return made


def make(home: Path, vm: str, *, keep: bool = True, below: Path | None = None) -> Overlay:
    disk = Overlay(
        f"{home}/disk/{vm}.qcow2",
        8 * MIB,
        str(below or ""),
        "raw" if below else "",
        keep,
        "lab",
        vm,
        "debian-12",
    )
    DiskDriver().create(disk)
    return disk


def write(disk: Overlay) -> None:
    """Write to a disk as its guest would."""
    argv = ["qemu-io", "-f", "qcow2", "-c", "write 0 4k", disk.path]
    subprocess.run(argv, check=True, capture_output=True)


def seen() -> dict[str, Overlay]:
    return {disk.vm: disk for disk in DiskDriver().observe(Look("lab"))}


def test_the_mark_beside_a_disk_says_whose_it_is_and_of_which_image(home: Path) -> None:
    disk = make(home, "web", keep=False)
    found = plan_folders.record(Path(disk.path))
    assert found == FileRecord("lab", "web", "debian-12", found.made, keep=False)
    assert found.made >= int(Path("/proc/self").stat().st_mtime) - 60
    (Path(disk.path).parent / ".web.qcow2.own").write_bytes(b"")  # as an older vmnet left it
    assert plan_folders.record(Path(disk.path)) == FileRecord()
    assert (seen()["web"].vm, seen()["web"].keep) == ("web", True)


@pytest.mark.parametrize("mark", [b"[]", b"{", b"\xff", b'{"keep": 0, "made": "x", "vm": 5}'])
def test_a_mark_that_cannot_be_read_keeps_the_disk(home: Path, mark: bytes) -> None:
    disk = make(home, "web", keep=False)
    (Path(disk.path).parent / ".web.qcow2.own").write_bytes(mark)
    assert plan_folders.record(Path(disk.path)).keep


def test_a_disk_stays_once_a_guest_has_written_to_it(home: Path) -> None:
    disk = make(home, "web")
    assert not seen()["web"].stays
    write(disk)
    assert seen()["web"].stays
    assert 0 < seen()["web"].taken < 2 * MIB


def test_a_disk_that_cannot_be_read_is_taken_for_written(home: Path) -> None:
    disk = make(home, "web")
    Path(disk.path).write_bytes(b"torn")
    assert seen()["web"].stays


def test_keep_changes_while_the_disk_is_there_and_nothing_else_does(home: Path) -> None:
    disk = make(home, "web")
    before = Path(disk.path).read_bytes()
    DiskDriver().update(make_other(disk, keep=False))
    assert not seen()["web"].keep
    assert seen()["web"].image == "debian-12"
    assert Path(disk.path).read_bytes() == before


def make_other(disk: Overlay, *, keep: bool) -> Overlay:
    return Overlay(disk.path, disk.size, disk.backing, disk.backing_format, keep)


def test_a_plan_that_goes_leaves_written_disks_and_what_its_guest_is_the_same_by(
    home: Path, tmp_path: Path
) -> None:
    image = tmp_path / ".images" / f"sha256-{'a' * 64}"
    image.parent.mkdir()
    image.write_bytes(b"\0" * MIB)
    write(make(home, "web", below=image))
    write(make(home, "ci", keep=False))
    make(home, "idle")
    for vm in ("web", "ci", "idle"):
        CopyDriver().create(FileCopy(f"{home}/boot/{vm}.nvram", str(image)))
        host_keys.ensure(home / "keys", vm)
    host_keys.publish(home / "keys", "lab")
    assert {copy.path for copy in CopyDriver().observe(Look("lab")) if copy.stays} == {
        f"{home}/boot/web.nvram"
    }
    plan_folders.clear("lab", disks.kept("lab"))
    host_keys.publish(home / "keys", "lab")
    assert {str(x.relative_to(home)) for x in home.rglob("*") if x.is_file()} == {
        *(".vmnet", "disk/web.qcow2", "disk/.web.qcow2.own", "boot/web.nvram"),
        *("boot/.web.nvram.own", "keys/web/key", "keys/web/key.pub", "known_hosts"),
    }
    assert [line.split()[0] for line in (home / "known_hosts").read_text().splitlines()] == [
        "vmnet:lab:web"
    ]
    assert in_use.in_use(tmp_path) == {"a" * 64: ("lab",)}


def test_a_draft_of_a_mark_is_cleared_away(home: Path) -> None:
    disk = make(home, "web")
    draft = Path(disk.path).with_name("..web.qcow2.own.part")
    draft.write_bytes(b"half")
    assert list(plan_folders.foreign("lab")) == []
    for left in DraftDriver().observe(Look("lab")):
        DraftDriver().delete(left)
    assert not draft.exists()
    assert seen()["web"].image == "debian-12"


def test_a_record_is_whole_though_its_writer_is_killed(home: Path) -> None:
    """The mark is renamed into its place: a reader sees the old one or the new one."""
    disk = make(home, "web")
    mark = Path(disk.path).with_name(".web.qcow2.own")
    before = os.stat(mark).st_ino  # noqa: PTH116
    plan_folders.write_record(Path(disk.path), {"keep": False})
    assert os.stat(mark).st_ino != before  # noqa: PTH116


def test_a_disk_that_a_guest_has_written_to_since_it_was_looked_at_is_not_deleted(
    home: Path,
) -> None:
    kept, thrown = make(home, "web"), make(home, "db", keep=False)
    looked = seen()
    for disk in (kept, thrown):
        write(disk)
    for found in looked.values():
        DiskDriver().delete(found)
    assert [Path(kept.path).exists(), Path(thrown.path).exists()] == [True, False]
