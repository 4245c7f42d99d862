"""Folders and files that are not vmnet's, file systems without room, a daemon that ends."""

from pathlib import Path

import pytest

from tests.framework.lab import ONE, Lab

STATE = Path("/var/lib/vmnet")
ASKING = ("status", "plan", "check", "ip")


def tree(folder: Path) -> dict[str, bytes]:
    """Return the files of a folder and what is in them."""
    return {str(x.relative_to(folder)): x.read_bytes() for x in folder.rglob("*") if x.is_file()}


@pytest.fixture
def thesis(lab: Lab, tmp_path: Path) -> Path:
    """A home with a folder in it that bears the plan's name; vmnet keeps its state there."""
    work = tmp_path / "home" / lab.name / "disk" / "ch1.qcow2"
    work.parent.mkdir(parents=True)
    work.write_text("years of work")
    (work.parents[1] / ".ssh").mkdir()
    lab.enter = (*lab.enter, "env", f"VMNET_STATE_DIR={tmp_path}/home")
    return tmp_path / "home"


def test_no_command_touches_a_folder_that_vmnet_has_not_made(lab: Lab, thesis: Path) -> None:
    plan = lab.plan(ONE)
    before = tree(thesis)
    for command in (*ASKING, "down"):
        ran = lab.start(command, plan).finished(None)
        assert "Traceback" not in ran.stderr
        assert tree(thesis) == before
    refused = lab.vmnet("up", plan, status=3)
    assert f"{thesis / lab.name} is in the way: vmnet has not made it" in refused.stderr
    down = lab.vmnet("down", "--name", lab.name)
    assert f"left alone, vmnet has not made it: {thesis / lab.name}\n" in down.stderr
    assert tree(thesis) == before
    assert (thesis / lab.name / ".ssh").is_dir()


def test_files_of_others_in_a_plans_folder_stay_and_are_named(lab: Lab) -> None:
    plan = lab.plan(ONE)
    lab.vmnet("up", plan)
    home = STATE / lab.name
    mine = [home / x for x in ("mine.txt", "disk/mine.qcow2", "seed/mine.iso", "boot/mine")]
    for path in mine:
        path.parent.mkdir(exist_ok=True)
        path.write_text("mine")
    status = lab.vmnet("status", plan)
    assert f"\n{lab.name}: nothing to do" in status.stdout
    down = lab.vmnet("down", plan)
    for path in mine:
        assert path.read_text() == "mine"
        for said in (status, down):
            assert f"left alone, vmnet has not made it: {path}\n" in said.stderr
        path.unlink()
    for folder in ("disk", "seed", "boot"):
        (home / folder).rmdir()
    lab.vmnet("down", plan)
    assert lab.snapshot() == lab.before


def test_a_command_that_only_asks_leaves_what_a_killed_run_left(lab: Lab) -> None:
    plan = lab.plan(ONE)
    up = lab.start("up", plan)
    up.says("create macvtap")
    up.process.kill()
    up.finished(None)
    before = lab.snapshot().links
    draft = STATE / lab.name / "disk" / ".a.qcow2.part"
    draft.parent.mkdir(parents=True, exist_ok=True)
    draft.with_name(".a.qcow2.own").touch()
    draft.touch()
    lab.start("status", plan).finished(None)
    lab.start("plan", plan).finished(None)
    assert draft.exists()
    assert lab.snapshot().links == before
    lab.vmnet("down", plan)
    assert lab.snapshot() == lab.before


@pytest.mark.parametrize(
    ("place", "options", "said", "command"),
    [
        ("RUN", "ro", "Read-only file system", "findmnt -T /mnt/{}"),
        ("RUN", "size=4k,nr_inodes=1", "No space left on", "df -h /mnt/{}; df -i /mnt/{}"),
        ("STATE", "ro", "/mnt/STATE is on a file system that is read", "findmnt -T /mnt/{}"),
        ("STATE", "size=4k,nr_inodes=1", "files in /mnt/STATE", "df -h /mnt/{}; df -i /mnt/{}"),
    ],
)
def test_a_place_without_room_is_reported_with_its_fix(
    lab: Lab, place: str, options: str, said: str, command: str
) -> None:
    """And before the first step, once vmnet has got as far as looking at the host."""
    plan = lab.plan(ONE)
    with lab.mounted(
        "mount -t tmpfs none /mnt; mkdir /mnt/RUN /mnt/STATE;"
        f" mount -t tmpfs -o mode=755,{options} none /mnt/{place}"
    ):
        lab.enter = (*lab.enter, "env", "VMNET_RUN_DIR=/mnt/RUN", "VMNET_STATE_DIR=/mnt/STATE")
        up = lab.start("up", plan).finished(4)
        assert said in up.stderr
        assert "create " not in up.stderr
        assert f"{command.format(place, place)}), or set VMNET_{place}_DIR" in up.stderr
        down = lab.start("down", plan).finished(None)
        assert "Traceback" not in up.stderr + down.stderr
