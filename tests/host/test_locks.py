"""One command at a time per plan."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from provisioner.errors import VmnetError
from provisioner.host.system.locks import held

HOUSE = Path(__file__).parents[2]
HOLD = """\
import sys
from pathlib import Path
from provisioner.host.system.locks import held
with held(Path(sys.argv[1]), "up lab", timeout_s=5, notify=print):
    print("held", flush=True)
    sys.stdin.readline()
"""


def holder(path: Path) -> subprocess.Popen[str]:
    """Another process that holds the lock until its standard input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)],
        cwd=HOUSE,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    assert process.stdout.readline() == "held\n"
    return process


def test_a_lock_leaves_neither_its_file_nor_its_folder(tmp_path: Path) -> None:
    with held(tmp_path / "run" / "lab.lock", "up lab", timeout_s=1, notify=print):
        assert (tmp_path / "run" / "lab.lock").exists()
    assert list(tmp_path.iterdir()) == []


def test_a_second_command_says_for_whom_it_waits_and_then_gives_up(tmp_path: Path) -> None:
    path = tmp_path / "lab.lock"
    said: list[str] = []
    with holder(path) as other:
        with (
            pytest.raises(VmnetError) as caught,
            held(path, "down lab", timeout_s=0.1, notify=said.append),
        ):
            pass
        other.communicate("\n")
    (line,) = said
    assert line.startswith(f"waiting for `vmnet up lab` (pid {other.pid}, since ")
    assert caught.value.what.endswith("has not ended after 0.1 s")


def test_whoever_waits_is_told_from_where_the_other_command_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSH_CONNECTION", "192.0.2.7 51234 192.0.2.1 22")
    path = tmp_path / "lab.lock"
    with holder(path) as other:
        with pytest.raises(VmnetError) as caught, held(path, "up", timeout_s=0, notify=print):
            pass
        other.communicate("\n")
    assert ", by ssh from 192.0.2.7) has not ended" in caught.value.what


def test_a_second_command_goes_on_when_the_first_has_ended(tmp_path: Path) -> None:
    path = tmp_path / "lab.lock"
    with holder(path) as other:
        assert other.stdin
        stdin = other.stdin
        with held(path, "down lab", timeout_s=5, notify=lambda _: stdin.close()):
            assert '"doing": "down lab"' in path.read_text()


def test_the_lock_of_a_killed_command_is_free_at_once(tmp_path: Path) -> None:
    path = tmp_path / "lab.lock"
    with holder(path) as other:
        other.kill()
        other.wait()
        with held(path, "down lab", timeout_s=0, notify=pytest.fail):
            assert json.loads(path.read_text())["pid"] == os.getpid()


def test_many_commands_get_the_lock_one_after_another(tmp_path: Path) -> None:
    path = tmp_path / "run" / "lab.lock"
    inside: list[int] = []
    most: list[int] = []

    def one() -> None:
        with held(path, "up lab", timeout_s=20, notify=lambda _: None):
            inside.append(1)
            most.append(len(inside))
            inside.pop()

    threads = [threading.Thread(target=one) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 8
    assert list(tmp_path.iterdir()) == []


def test_what_stands_in_the_lock_file_is_not_trusted(tmp_path: Path) -> None:
    path = tmp_path / "lab.lock"
    path.write_text('{"pid": 1, "doing": "up \x1b[2J lab"')
    with held(path, "up lab", timeout_s=0, notify=pytest.fail):
        pass
