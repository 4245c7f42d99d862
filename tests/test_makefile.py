"""The ways in: what they say when they cannot, and that they leave alone what is there."""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

HOUSE = Path(__file__).parent.parent
SCRIPTS = sorted([*(HOUSE / "tools").glob("*.sh"), HOUSE / ".ci" / "run"])
NOBODY = 65534
# What our scripts may lean on wherever they run.
PLAIN = ["awk", "bash", "cat", "dirname", "env", "find", "flock", "id", "ls", "readlink", "sed"]
PLAIN += ["sh", "sha256sum", "sort", "true", "uname", "xargs"]


@pytest.fixture
def programs() -> Iterator[Path]:
    """Give a folder with plain programs only, which everybody may enter."""
    with tempfile.TemporaryDirectory(prefix="vmnet-programs-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        for program in PLAIN:
            (folder / program).symlink_to(str(shutil.which(program)))
        yield folder


def add(programs: Path, name: str, script: str) -> None:
    path = programs / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def ran(*words: str | Path, programs: Path, user: int = 0, **variables: str) -> tuple[int, str]:
    """Run a program of ours with no programs in its PATH but those; give its status and words."""
    done = subprocess.run(
        words,
        cwd=HOUSE if user == 0 else "/",
        env={"PATH": str(programs), **variables},
        user=user,
        extra_groups=[],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_a_script_can_be_run_and_stops_at_its_first_error(script: Path) -> None:
    assert os.access(script, os.X_OK)
    assert subprocess.run(["bash", "-n", script], check=False).returncode == 0
    assert re.search(r"^set -euo pipefail$", script.read_text(), re.MULTILINE)


def test_ci_calls_make_test_and_nothing_cleverer() -> None:
    assert (HOUSE / ".ci" / "run").read_text().splitlines()[-1] == "exec make test"


def test_make_alone_tells_every_word_it_knows() -> None:
    phony = re.findall(r"^\.PHONY: (\w+)", (HOUSE / "Makefile").read_text(), re.MULTILINE)
    told = subprocess.run(["make"], cwd=HOUSE, capture_output=True, text=True, check=True).stdout
    assert re.findall(r"^make (\w+) +", told, re.MULTILINE) == phony


def test_root_runs_a_program_as_it_is(programs: Path) -> None:
    words = ("sh", "-c", 'printf "<%s>" "$@"', "sh", "two words", "$HOME")
    assert ran(HOUSE / "tools/as-root.sh", *words, programs=programs) == (0, "<two words><$HOME>")


def test_anybody_else_asks_sudo_and_takes_along_what_says_how_to_talk(programs: Path) -> None:
    add(programs, "sudo", 'printf "<%s>" sudo "$@"')
    script = shutil.copy(HOUSE / "tools/as-root.sh", programs)
    told = ran(script, "id", "two words", programs=programs, user=NOBODY, CI="true", OTHER="no")
    assert told == (0, "<sudo><env><CI=true><id><two words>")


def test_without_root_and_sudo_the_message_says_how_to_mend_it(programs: Path) -> None:
    script = shutil.copy(HOUSE / "tools/as-root.sh", programs)
    status, told = ran(script, "vmnet", "up", programs=programs, user=NOBODY)
    assert status == 4
    assert told == (
        "vmnet: network devices and VMs take the rights of root, and there is no sudo here\n"
        "  where: vmnet, run as nobody\n"
        "  fix: run it as root, or as root: apt-get install sudo && adduser nobody sudo\n"
    )


def test_setup_says_so_where_there_is_no_apt(programs: Path) -> None:
    status, told = ran(HOUSE / "tools/setup.sh", programs=programs)
    assert status == 4
    assert re.fullmatch(
        "setup: this is not Debian or a relative of it, .*\n  where: .+\n  fix: .+\n", told
    )


def test_setup_says_what_apt_could_not_install(programs: Path) -> None:
    add(programs, "dpkg-query", "echo libvirt-dev not-installed; echo gcc installed")
    add(programs, "apt-get", 'echo "apt-get $1: no network"; exit 100')
    status, told = ran(HOUSE / "tools/setup.sh", programs=programs)
    assert status == 4
    assert "setup: apt: qemu-utils (qemu-img, which makes their disks)\n" in told
    assert "setup: apt: libvirt-dev (builds libvirt-python)\n" in told
    assert "gcc (" not in told
    assert "apt-get install: no network\nsetup: apt could not install qemu-system-x86 " in told
    assert told.splitlines()[-1].startswith("  fix: see that this machine reaches its package mi")


def test_setup_leaves_alone_what_is_there(programs: Path) -> None:
    assert (HOUSE / ".venv" / "image.stamp").exists(), "the tests are run by: make test"
    (programs / "dpkg-query").symlink_to(str(shutil.which("dpkg-query")))
    add(programs, "apt-get", 'echo "apt-get was called"; exit 100')
    assert ran(HOUSE / "tools/setup.sh", programs=programs) == (0, "setup: nothing was missing\n")
