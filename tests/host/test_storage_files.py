"""Disks and copies: whole under their names or not there, private, and given to QEMU's user."""

import hashlib
import json
import os
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from provisioner import naming
from provisioner.errors import Exit, VmnetError
from provisioner.guest.domain import DomainDisk, FileCopy, Overlay
from provisioner.guest.jail.user import DEFAULT
from provisioner.host.storage import disks
from provisioner.host.storage.copies import CopyDriver
from provisioner.host.storage.disks import DiskDriver
from provisioner.host.storage.files import DraftDriver
from provisioner.host.system import paths, plan_folders
from provisioner.reconcile.resources import Look
from tests.builders.domain import WEB

MIB = 1 << 20
NOBODY = (65534, 65534)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VMNET_STATE_DIR", str(tmp_path))
    return paths.home("lab")


def image(folder: Path, form: str = "qcow2") -> Path:
    """Make an image with something in it."""
    raw, made = folder / "raw", folder / f"image.{form}"
    raw.write_bytes(b"\1" * (3 * MIB))
    argv = ["qemu-img", "convert", "-f", "raw", "-O", form, str(raw), str(made)]
    subprocess.run(argv, check=True)
    return made


def create(file: Overlay | FileCopy) -> None:
    if isinstance(file, Overlay):
        DiskDriver().create(file)
    else:
        CopyDriver().create(file)


def observe() -> list[Overlay | FileCopy]:
    return [*DiskDriver().observe(Look("lab")), *CopyDriver().observe(Look("lab"))]


def told_by_qemu(path: Path) -> dict[str, object]:
    argv = ["qemu-img", "info", "-f", "qcow2", "--output=json", str(path)]
    found: dict[str, object] = json.loads(subprocess.check_output(argv))
    return found


@pytest.mark.parametrize("form", ["qcow2", "raw"])
def test_a_disk_lies_over_its_image_and_says_its_format(
    home: Path, tmp_path: Path, form: str
) -> None:
    below = image(tmp_path, form)
    disk = Overlay(str(home / "disk" / "web.qcow2"), 20 * MIB, str(below), form)
    create(disk)
    info = told_by_qemu(Path(disk.path))
    assert info["virtual-size"] == 20 * MIB
    assert (info["backing-filename"], info["backing-filename-format"]) == (str(below), form)
    assert observe() == [disk]


def test_an_empty_disk_lies_over_nothing(home: Path) -> None:
    disk = Overlay(str(home / "disk" / "web.1.qcow2"), 5 * MIB)
    create(disk)
    assert "backing-filename" not in told_by_qemu(Path(disk.path))
    assert observe() == [disk]


def test_disks_are_their_users_and_copies_roots_until_their_guest_is_started(
    home: Path, tmp_path: Path
) -> None:
    (tmp_path / "kernel").write_bytes(b"kernel")
    (tmp_path / "kernel").chmod(0o644)
    disk = Overlay(str(home / "disk" / "web.qcow2"), MIB)
    copy = FileCopy(str(home / "boot" / "kernel-ab"), str(tmp_path / "kernel"))
    for file, uid in ((disk, naming.guest_uid("", "", DEFAULT)), (copy, os.geteuid())):
        create(file)
        found = Path(file.path).stat()
        assert (oct(found.st_mode & 0o7777), found.st_uid) == ("0o600", uid)
    assert Path(copy.path).read_bytes() == b"kernel"


def data_file(disk: Path) -> None:
    """Do what a QEMU that a guest has taken over can do: name a file for the disk's data."""
    argv = ["qemu-img", "create", "-q", "-f", "qcow2", "-o", "data_file=secret", "o.qcow2", "1M"]
    subprocess.run(argv, cwd=disk.parent, check=True)
    disk.write_bytes((disk.parent / "o.qcow2").read_bytes())


def backing(disk: Path) -> None:
    argv = ["qemu-img", "rebase", "-u", "-f", "qcow2", "-F", "raw", "-b", "secret", str(disk)]
    subprocess.run(argv, cwd=disk.parent, check=True)


def nothing(disk: Path) -> None:
    disk.write_bytes(b"secret" * 999)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (data_file, "its data would lie in another file"),
        (backing, 'it lies over "secret", not over ""'),
        (nothing, "it is no qcow2 any more"),
    ],
)
def test_a_disk_whose_header_a_guest_has_written_is_neither_resized_nor_started_with(
    home: Path, change: Callable[[Path], None], said: str
) -> None:
    disk = Overlay(str(home / "disk" / "web.qcow2"), MIB, plan="lab", vm="web")
    create(disk)
    path = Path(disk.path)
    secret = path.with_name("secret")
    change(path)
    secret.write_bytes(b"root's")
    guest = replace(WEB, home=str(home), disks=(DomainDisk(disk.path, "qcow2"),))
    with pytest.raises(VmnetError, match="is not as vmnet has made it: ") as caught:
        disks.prove(guest)
    assert caught.value.what.endswith(said)
    if change is not backing:
        with pytest.raises(VmnetError, match="is not as vmnet has made it: "):
            disks._grow(replace(disk, size=2 * MIB), disk)
    assert secret.read_bytes() == b"root's"


def test_a_disk_over_what_is_no_image_is_not_started_with(home: Path, tmp_path: Path) -> None:
    disk = Overlay(str(home / "disk" / "web.qcow2"), 4 * MIB, str(image(tmp_path)), "qcow2")
    create(disk)
    over = DomainDisk(disk.path, "qcow2", disk.backing, "qcow2")
    with pytest.raises(VmnetError, match="which is no image"):
        disks.prove(replace(WEB, home=str(home), disks=(over,)))


def test_qemu_img_is_run_as_the_disks_user(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with TemporaryDirectory() as place:  # pytest's own folders are for root alone
        tools, seen = Path(place, "bin"), Path(place, "seen")
        for folder, mode in ((Path(place), 0o755), (tools, 0o755), (seen, 0o777)):
            folder.mkdir(exist_ok=True)
            folder.chmod(mode)
        (tools / "qemu-img").write_text(f"#!/bin/sh\ncat /proc/self/status > {seen}/$1\n")
        (tools / "qemu-img").chmod(0o755)
        monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
        create(Overlay(str(home / "disk" / "web.qcow2"), MIB, plan="lab", vm="web"))
        status = (seen / "create").read_text()
    uid = naming.guest_uid("lab", "web", DEFAULT)
    assert f"Uid:\t{uid}\t{uid}\t{uid}\t{uid}\n" in status
    assert "CapEff:\t0000000000000000\n" in status
    assert "NoNewPrivs:\t1\n" in status
    assert "Groups:\t \n" in status


@pytest.mark.parametrize("now", ["another kernel", "", "link", "pipe"])
def test_a_file_that_is_not_the_one_that_was_judged_is_not_copied(
    home: Path, tmp_path: Path, now: str
) -> None:
    source = tmp_path / "kernel"
    match now:
        case "link":
            (tmp_path / "secret").write_bytes(b"secret")
            source.symlink_to(tmp_path / "secret")
        case "pipe":
            os.mkfifo(source)
        case _:
            source.write_text(now)
    judged = hashlib.sha256(b"kernel").hexdigest()
    with pytest.raises(VmnetError, match="changed after it was looked at"):
        create(FileCopy(f"{home}/boot/kernel-ab", str(source), judged))
    assert list((home / "boot").iterdir()) == []
    source.unlink()
    source.write_bytes(b"kernel")
    create(FileCopy(f"{home}/boot/kernel-ab", str(source), judged))
    assert (home / "boot" / "kernel-ab").read_bytes() == b"kernel"


def test_a_disk_grows_and_keeps_what_lies_below(home: Path, tmp_path: Path) -> None:
    disk = Overlay(str(home / "disk" / "web.qcow2"), 20 * MIB, str(image(tmp_path)), "qcow2")
    create(disk)
    larger = Overlay(disk.path, 40 * MIB, disk.backing, disk.backing_format)
    DiskDriver().update(larger)
    assert observe() == [larger]


def test_drafts_of_a_killed_run_are_cleared_away_and_never_taken_for_disks(home: Path) -> None:
    for name in ("disk/web.qcow2", "boot/kernel-ab"):
        plan_folders.own(home / name)
        (home / name).with_name(f".{Path(name).name}.part").write_bytes(b"half")
    (home / "disk" / ".mine.part").write_bytes(b"somebody else's")
    assert observe() == []
    for draft in DraftDriver().observe(Look("lab")):
        DraftDriver().delete(draft)
    assert [p.name for p in home.rglob("*.part")] == [".mine.part"]


def test_a_file_that_is_no_disk_of_ours_is_told_apart(home: Path) -> None:
    path = home / "disk" / "web.qcow2"
    plan_folders.own(path)
    path.write_bytes(b"no disk")
    assert observe() == [Overlay(str(path), 0)]


def test_a_link_put_in_a_drafts_place_is_not_followed(home: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    path = home / "disk" / "web.qcow2"
    path.parent.mkdir(parents=True)
    (path.parent / ".web.qcow2.part").symlink_to(victim)
    create(Overlay(str(path), MIB))
    assert victim.read_text() == "precious"
    assert not path.is_symlink()


def test_a_full_disk_is_told_and_nothing_stays(home: Path, tmp_path: Path) -> None:
    (tmp_path / "kernel").write_bytes(b"k" * 4 * MIB)
    home.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1M", "none", str(home)], check=True)
    try:
        with pytest.raises(VmnetError) as caught:
            create(FileCopy(str(home / "boot" / "kernel-ab"), str(tmp_path / "kernel")))
        left = [p for p in home.rglob("*") if p.is_file()]
    finally:
        subprocess.run(["umount", str(home)], check=True)
    assert "No space left on device" in caught.value.what
    assert f"make room there (df -h {home}/boot; df -i" in str(caught.value.fix)
    assert left == []


def test_a_file_that_somebody_else_put_there_is_neither_listed_nor_overwritten(home: Path) -> None:
    path = home / "disk" / "web.qcow2"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"mine")
    assert observe() == []
    with pytest.raises(VmnetError, match="is in the way: vmnet has not made it") as refused:
        create(Overlay(str(path), MIB))
    assert (refused.value.status, path.read_bytes()) == (Exit.CONFLICT, b"mine")


def test_deleting_what_has_gone_is_fine(home: Path) -> None:
    DiskDriver().delete(Overlay(str(home / "disk" / "web.qcow2"), 0))
