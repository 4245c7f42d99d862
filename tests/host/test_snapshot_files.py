"""The files of snapshots: whole or not at all, with holes, put back by a rename, never pruned."""

import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from provisioner import naming
from provisioner.errors import VmnetError
from provisioner.guest.domain import Domain, DomainDisk, Overlay
from provisioner.guest.snapshot import SavedGuest, SavedPlan
from provisioner.host.image import in_use
from provisioner.host.storage import snapshots
from provisioner.host.storage.files import DraftDriver
from provisioner.host.storage.snapshots import Draft
from provisioner.host.storage.sparse_copy import copy
from provisioner.host.system import paths, plan_folders, programs
from provisioner.reconcile.resources import Look
from tests.builders.domain import WEB

DIGEST = "ab" * 32
PLACE = "disk/web.qcow2"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a plan, with a disk over an image."""
    monkeypatch.setenv("VMNET_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("VMNET_RUN_DIR", str(tmp_path / "run"))
    image = tmp_path / f"sha256-{DIGEST}"
    programs.run(["qemu-img", "create", "-q", "-f", "qcow2", str(image), "8M"], timeout_s=20)
    plan_folders.make(paths.home("lab"), "lab")
    disk = paths.home("lab") / PLACE
    plan_folders.own(disk)
    argv = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", str(image)]
    programs.run([*argv, str(disk), "8M"], timeout_s=20)
    return paths.home("lab")


def domain(home: Path) -> Domain:
    uuid = naming.domain_uuid("lab", "web")
    return replace(WEB, uuid=uuid, home=str(home), disks=(DomainDisk(f"{home}/{PLACE}", "qcow2"),))


def made(home: Path, name: str = "first") -> SavedPlan:
    """Make a snapshot as `save` does, with a text in place of a memory."""
    draft = Draft("lab", name)
    draft.begin()
    draft.take(PLACE)
    draft.take_keys("web")
    draft.memory("web").write_bytes(b"memory")
    guest = draft.guest(SavedGuest(domain(home), 0))
    saved = SavedPlan("lab", name, 1795887043, "0.1.0", 9000000, 7002022, (guest,))
    draft.finish(saved)
    return saved


def test_a_snapshot_is_read_as_it_was_made(home: Path) -> None:
    saved = made(home)
    assert snapshots.names("lab") == ["first"]
    assert snapshots.read("lab", "first") == saved
    (disk,) = snapshots.files("lab", "first", saved.guests)
    assert isinstance(disk, Overlay)
    assert (disk.path, disk.size) == (f"{home}/{PLACE}", 8 << 20)


def test_nobody_else_may_read_anything_of_it(home: Path) -> None:
    made(home)
    below = list((home / "snapshot" / "first").rglob("*"))
    assert {stat.S_IMODE(x.lstat().st_mode) for x in below if x.is_file()} == {0o600}
    assert {stat.S_IMODE(x.lstat().st_mode) for x in below if x.is_dir()} == {0o700}


def test_a_second_one_of_that_name_is_refused_and_the_first_stays(home: Path) -> None:
    saved = made(home)
    with pytest.raises(VmnetError, match="there is a snapshot first already"):
        Draft("lab", "first").begin()
    assert snapshots.read("lab", "first") == saved


def test_what_a_killed_save_leaves_is_a_draft_that_is_deleted(home: Path) -> None:
    draft = Draft("lab", "first")
    draft.begin()
    draft.take(PLACE)
    assert snapshots.names("lab") == []
    assert snapshots.left("lab")
    driver = DraftDriver()
    (found,) = driver.observe(Look("lab"))
    assert found.path == str(home / "snapshot" / ".first.part")
    driver.delete(found)
    assert not snapshots.left("lab")
    assert made(home).name == "first"


def test_an_abandoned_draft_leaves_nothing(home: Path) -> None:
    draft = Draft("lab", "first")
    draft.begin()
    draft.abandon()
    assert not (home / "snapshot").exists()


def test_down_keeps_snapshots_and_takes_all_else(home: Path) -> None:
    made(home)
    (home / PLACE).unlink()
    plan_folders.clear("lab")
    assert sorted(x.name for x in home.iterdir()) == [".vmnet", "snapshot"]
    assert list(plan_folders.foreign("lab")) == []
    snapshots.remove("lab", "first")
    plan_folders.clear("lab")
    assert not home.exists()


def test_an_image_that_a_snapshot_lies_over_is_in_use(home: Path) -> None:
    made(home)
    (home / PLACE).unlink()
    assert in_use.in_use(paths.state()) == {DIGEST: ("lab",)}


def test_files_are_put_back_by_a_rename_and_marked(home: Path) -> None:
    saved = made(home)
    disk = home / PLACE
    before = disk.read_bytes()
    disk.write_bytes(b"written since")
    drafts = snapshots.put_aside(saved, saved.guests)
    assert disk.read_bytes() == b"written since"
    snapshots.put_back(saved, saved.guests, drafts)
    assert disk.read_bytes() == before
    assert plan_folders.is_own(disk)
    assert list(DraftDriver().observe(Look("lab"))) == []


def test_files_of_somebody_else_are_not_replaced(home: Path) -> None:
    saved = made(home)
    plan_folders.disown(home / PLACE)
    (home / PLACE).write_text("theirs")
    with pytest.raises(VmnetError, match="is in the way: vmnet has not made it"):
        snapshots.put_aside(saved, saved.guests)
    assert (home / PLACE).read_text() == "theirs"


def test_a_guest_gets_the_host_key_back_that_it_had(home: Path) -> None:
    keys = home / "keys" / "web"
    keys.mkdir(0o700, parents=True)
    keys.parent.chmod(0o700)
    (keys / "key").write_text("private")
    (keys / "key.pub").write_text("ssh-ed25519 AAAA web\n")
    saved = made(home)
    (keys / "key").write_text("another")
    snapshots.put_back(saved, saved.guests, snapshots.put_aside(saved, saved.guests))
    assert (keys / "key").read_text() == "private"
    assert "ssh-ed25519 AAAA" in (home / "known_hosts").read_text()


def test_disks_that_were_written_to_since_are_named(home: Path) -> None:
    saved = made(home)
    os.utime(home / PLACE, (saved.made - 9, saved.made - 9))
    assert snapshots.written_since(saved, saved.guests) == []
    os.utime(home / PLACE, (saved.made + 9, saved.made + 9))
    assert snapshots.written_since(saved, saved.guests) == [home / PLACE]
    (home / PLACE).unlink()
    assert snapshots.written_since(saved, saved.guests) == []


@pytest.mark.parametrize("file", ["memory/web", PLACE])
def test_a_file_that_is_cut_short_is_told_before_anything_is_touched(home: Path, file: str) -> None:
    made(home)
    os.truncate(home / "snapshot" / "first" / file, 3)
    name = file.rpartition("/")[2]
    with pytest.raises(VmnetError, match=f"cannot be used: {name} has 3 bytes, and was saved with"):
        snapshots.read("lab", "first")


@pytest.mark.parametrize("file", ["memory/web", PLACE, "manifest.json"])
def test_a_file_that_is_gone_is_told(home: Path, file: str) -> None:
    made(home)
    (home / "snapshot" / "first" / file).unlink()
    with pytest.raises(VmnetError, match=r"cannot be used: .*No such file or directory"):
        snapshots.read("lab", "first")


def test_a_folder_that_vmnet_has_not_marked_is_no_snapshot(home: Path) -> None:
    (home / "snapshot" / "theirs").mkdir(parents=True)
    assert snapshots.names("lab") == []
    assert list(plan_folders.foreign("lab")) == [home / "snapshot" / "theirs"]
    with pytest.raises(VmnetError, match="there is no snapshot theirs of the plan lab"):
        snapshots.read("lab", "theirs")


def test_what_a_guest_boots_from_must_still_be_there(home: Path) -> None:
    saved = made(home)
    gone = snapshots.absent(saved, saved.guests)
    assert gone
    assert gone.what == f"web of the snapshot first needs {WEB.kernel}, which is gone"


def test_room_is_asked_for_with_numbers(home: Path) -> None:
    with pytest.raises(VmnetError, match=r"it may need 1099511627784 MiB, and \d+ MiB are free"):
        snapshots.require_room(home, 1 << 60, "the snapshot first")
    snapshots.require_room(home / "not" / "there", 1, "the snapshot first")


def test_a_copy_keeps_the_holes(tmp_path: Path) -> None:
    source, to = tmp_path / "source", tmp_path / "to"
    with source.open("wb") as file:
        file.write(b"a" * 5000)
        file.seek(64 << 20)
        file.write(b"b")
        file.truncate(80 << 20)
    copy(source, to)
    assert to.stat().st_size == 80 << 20
    assert to.stat().st_blocks <= source.stat().st_blocks
    assert to.read_bytes() == source.read_bytes()


def test_a_copy_follows_no_link_and_replaces_nothing(tmp_path: Path) -> None:
    (tmp_path / "source").write_text("a")
    (tmp_path / "link").symlink_to("source")
    (tmp_path / "there").write_text("b")
    with pytest.raises(OSError, match="symbolic links"):
        copy(tmp_path / "link", tmp_path / "to")
    with pytest.raises(FileExistsError):
        copy(tmp_path / "source", tmp_path / "there")
