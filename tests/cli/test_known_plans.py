"""What is told where no plan is found: the plans that this host has."""

import subprocess
from pathlib import Path

import pytest

from tests.framework import forked

HOUSE = Path(__file__).parents[2]
NEW = "have one written: vmnet init, name another file, or go without: vmnet up --uplink NIC"


def ran(folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    """Run vmnet in a folder that may have a plan, with its state below `folder`."""
    (folder / "empty").mkdir(exist_ok=True)
    return subprocess.run(
        ["unshare", "-n", *forked.program(), *words],
        cwd=folder / "empty",
        env={
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "PYTHONPATH": str(HOUSE),
            "VMNET_STATE_DIR": str(folder / "state"),
        },
        capture_output=True,
        text=True,
        check=False,
    )


def told(folder: Path, *words: str) -> str:
    """Return the fix of a command that finds no plan."""
    done = ran(folder, *words)
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("there is no plan vmnet.yaml\n  fix: ")
    return done.stderr.partition("fix: ")[2].rstrip("\n")


def mark(folder: Path, name: str, text: str) -> None:
    (folder / "state" / name).mkdir(parents=True)
    (folder / "state" / name / ".vmnet").write_text(text)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    mark(tmp_path, "lab", "lab\nfile: /srv/my lab/vmnet.yaml\n")
    mark(tmp_path, "on-ab", "on-ab\nwords: --uplink eno1\n")
    return tmp_path


@pytest.mark.parametrize("command", ["down", "status", "stop"])
def test_a_command_that_takes_any_plan_by_its_name_names_those_of_the_host(
    folder: Path, command: str
) -> None:
    assert told(folder, command) == (
        "name a plan of this host: --name lab ('/srv/my lab/vmnet.yaml'), --name on-ab; "
        "all: vmnet ls"
    )


@pytest.mark.parametrize("words", [("ssh", "vm1"), ("logs",), ("check",)])
def test_a_command_that_needs_the_plan_itself_names_files(
    folder: Path, words: tuple[str, ...]
) -> None:
    assert told(folder, *words) == (
        "name a plan of this host: --file '/srv/my lab/vmnet.yaml', --name on-ab; all: vmnet ls"
    )


def test_a_command_without_names_names_files_alone(folder: Path) -> None:
    assert told(folder, "render") == (
        "name a plan of this host: --file '/srv/my lab/vmnet.yaml'; all: vmnet ls"
    )


@pytest.mark.parametrize("command", ["up", "plan", "validate"])
def test_a_command_about_a_new_plan_says_how_to_get_one(folder: Path, command: str) -> None:
    assert told(folder, command) == NEW


def test_a_host_without_plans_says_how_to_get_one(tmp_path: Path) -> None:
    assert told(tmp_path, "down") == NEW


def test_of_many_plans_three_are_named_and_none_that_is_not_vmnets(tmp_path: Path) -> None:
    for name in "abcd":
        mark(tmp_path, name, f"{name}\n")
    mark(tmp_path, "Not-a-name", "Not-a-name\n")
    mark(tmp_path, "a-copy", "b\n")
    assert told(tmp_path, "down") == (
        "name a plan of this host: --name a, --name b, --name c, …; all: vmnet ls"
    )


def test_what_a_mark_says_cannot_steer_the_terminal(tmp_path: Path) -> None:
    mark(tmp_path, "lab", "lab\nfile: /srv/\x1b[2Jlab.yaml\n")
    assert "\x1b" not in told(tmp_path, "ssh", "vm1")


def test_down_of_a_name_that_no_plan_has_ends_well_and_names_those_that_are_there(
    folder: Path,
) -> None:
    done = ran(folder, "down", "--name", "known-lba")
    assert (done.returncode, done.stdout) == (0, "known-lba: nothing to do\n")
    line = "there is no plan known-lba on this host: those that are there: lab, on-ab; see vmnet ls"
    assert line in done.stderr.splitlines()


def test_down_of_a_plan_that_is_there_does_not_say_that_it_is_not(tmp_path: Path) -> None:
    mark(tmp_path, "known-lab", "known-lab\n")
    done = ran(tmp_path, "down", "--name", "known-lab")
    assert done.returncode == 0
    assert "there is no plan" not in done.stderr


def test_a_plan_named_where_a_vm_belongs_is_answered_with_the_option(folder: Path) -> None:
    plan = "name: known-lab\nnetworks: {lan: {switch: true, subnet: 10.91.0.0/24}}\n"
    (folder / "empty").mkdir()
    (folder / "empty" / "vmnet.yaml").write_text(plan + "vms: {a: {nics: [lan]}}\n")
    fixes = {word: ran(folder, "down", word).stderr.partition("fix: ")[2] for word in ("lab", "b")}
    assert fixes == {"lab": "did you mean --name lab? its VMs: a\n", "b": "its VMs: a\n"}
