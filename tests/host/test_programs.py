import os
import select
import shutil
import time
from pathlib import Path

import pytest

from provisioner.errors import VmnetError
from provisioner.host.system.programs import (
    Background,
    Finished,
    last_lines,
    run,
    run_as_nobody,
)


def test_a_program_gets_its_arguments_untouched_and_speaks_english(tmp_path: Path) -> None:
    told = ["printf", "%s|", "$HOME", "a b", "*"]
    assert run(told, timeout_s=5) == Finished("$HOME|a b|*|", "", 0)
    script = 'cat; pwd; echo "$LC_ALL $MORE" >&2; exit 3'
    argv = ["sh", "-c", script]
    assert run(
        argv, timeout_s=5, cwd=tmp_path, env={"MORE": "more"}, input="in ", check=False
    ) == Finished(f"in {tmp_path}\n", "C more\n", 3)


def test_a_missing_program_is_told_with_what_to_do() -> None:
    with pytest.raises(VmnetError) as caught:
        run(["no-such-program", "x"], timeout_s=5)
    assert caught.value.what == "no-such-program is not installed"
    assert caught.value.fix == "install it, or put it on the PATH (no-such-program)"


def test_a_failure_tells_the_end_of_what_was_said_and_nothing_that_moves_a_cursor() -> None:
    with pytest.raises(VmnetError) as caught:
        run(["sh", "-c", "printf 'one\\n\\033[2Jtwo\\n' >&2; exit 4"], timeout_s=5, fix="mend it")
    assert caught.value.what.endswith(" failed with status 4: one / ?[2Jtwo")
    assert caught.value.fix == "mend it"


def test_a_program_that_hangs_is_ended_with_all_it_started(tmp_path: Path) -> None:
    script = f"sleep 300 & echo $! > {tmp_path}/pid; sleep 300"
    began = time.monotonic()
    with pytest.raises(VmnetError, match=r"was not done after 0\.5 s"):
        run(["sh", "-c", script], timeout_s=0.5)
    assert time.monotonic() - began < 5
    child = int((tmp_path / "pid").read_text())
    assert not Path(f"/proc/{child}/exe").exists()


def test_a_program_in_a_folder_that_is_gone_is_told(tmp_path: Path) -> None:
    with pytest.raises(VmnetError, match="No such file or directory"):
        run(["true"], timeout_s=5, cwd=tmp_path / "gone")


def test_silence_is_told_as_such() -> None:
    assert last_lines("\n \n") == "it said nothing"
    assert last_lines("\n".join("abcdefg")) == "c / d / e / f / g"


def test_a_file_is_run_as_nobody_wherever_it_lies(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    program = tmp_path / "busybox"
    shutil.copyfile(shutil.which("id") or "", program)
    program.chmod(0o755)
    assert run_as_nobody(program, ["-u"], timeout_s=5) == "65534\n"
    assert run_as_nobody(program, ["-G"], timeout_s=5) == "65534\n"
    with pytest.raises(VmnetError, match=r"busybox -G -u failed with status 1: .*more than one"):
        run_as_nobody(program, ["-G", "-u"], timeout_s=5)


def test_a_file_that_hangs_or_cannot_be_run_is_told(tmp_path: Path) -> None:
    program = tmp_path / "sleep"
    shutil.copyfile(shutil.which("sleep") or "", program)
    with pytest.raises(VmnetError, match=r"cannot start .*sleep: Permission denied"):
        run_as_nobody(program, ["300"], timeout_s=5)
    program.chmod(0o755)
    with pytest.raises(VmnetError, match=r"sleep 300 was not done after 0\.2 s"):
        run_as_nobody(program, ["300"], timeout_s=0.2)


def test_a_program_in_the_background_tells_its_end_and_what_it_has_printed() -> None:
    with Background(["sh", "-c", "read x; echo out; echo err >&2; exit 3"]) as program:
        assert select.select([program.pidfd], [], [], 60)[0]
        assert program.has_ended
        assert program.finished() == Finished("out\n", "err\n", 3)


def test_a_program_in_the_background_is_killed_with_all_it_started(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with Background(["sh", "-c", f"sleep 300 > {pipe} & wait"]):
        reading = os.open(pipe, os.O_RDONLY)  # waits for the writer
    assert select.select([reading], [], [], 60)[0]
    assert os.read(reading, 1) == b""
    os.close(reading)
