"""Programs of vmnet's own that are started where it is a library: a worker, a guard."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from provisioner.errors import VmnetError
from provisioner.host import machine_program
from provisioner.host.system import processes, umask
from provisioner.host.system.spawned import guard, interpreter
from tests.framework.lab import REPOSITORY, until


def test_a_spawned_worker_answers_beside_threads_and_ends() -> None:
    done = threading.Event()
    beside = threading.Thread(target=done.wait)
    beside.start()
    try:
        worker = machine_program.start()
        assert worker.do(os.getpid) != os.getpid()
        with pytest.raises(OSError, match="No such file"):
            worker.do(os.listdir, "/nowhere")
        pid = worker.do(os.getppid)
        worker.close()
        assert not Path("/proc", str(pid)).exists()
    finally:
        done.set()
        beside.join()


def test_a_spawned_worker_dies_with_its_program() -> None:
    program = (
        "import os, sys; from provisioner.host import machine_program; "
        "worker = machine_program.start(); print(worker.do(os.getpid), flush=True); "
        "sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdout
        pid = int(child.stdout.readline())
        child.kill()
    until(lambda: not Path("/proc", str(pid)).exists(), "the worker ends")


def test_a_worker_that_cannot_be_started_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    before = set(Path("/proc/self/fd").iterdir())
    with pytest.raises(VmnetError, match="cannot start /nowhere/python: No such file"):
        machine_program.start()
    assert set(Path("/proc/self/fd").iterdir()) == before


def test_a_module_is_found_from_a_folder_with_another_of_that_name(tmp_path: Path) -> None:
    (tmp_path / "provisioner").mkdir()
    (tmp_path / "provisioner" / "__init__.py").write_text("raise SystemExit('the wrong one')")
    argv = [*interpreter.argv("provisioner"), "--version"]
    ran = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert ran.stdout.startswith("vmnet ")


def test_blocks_with_our_umask_give_back_the_programs_own_at_the_last_end() -> None:
    before = os.umask(0o077)
    try:
        first, second = umask.own(), umask.own()
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)
        assert os.umask(0o022) == 0o022
        second.__exit__(None, None, None)
        assert os.umask(0o077) == 0o077
    finally:
        os.umask(before)


def test_a_guard_takes_away_what_is_left_and_nothing_else() -> None:
    lines = [
        '{"plan": "a", "connection": "", "watched": true}',
        '{"plan": "b", "connection": "qemu:///system", "watched": true}',
        '{"plan": "c", "connection": "", "watched": true}',
        '{"plan": "a", "watched": false}',
        '{"plan": "c", "connection": "", "watched": true}',
    ]
    plans = guard.left(lines)
    assert plans == {"b": "qemu:///system", "c": ""}
    words = [argv[len(interpreter.argv("provisioner")) :] for argv in guard.commands(plans)]
    down = ["down", "--disks", "--yes", "--now", "--name"]
    assert words == [[*down, "b", "--connection", "qemu:///system"], [*down, "c"]]


def test_a_guard_outlives_ctrl_c_and_ends_when_its_pipe_is_closed() -> None:
    with guard.PlanGuard() as watching:
        assert os.getsid(watching.pid) == watching.pid
        watching.watch("nothing-of-that-name")
        watching.leave("nothing-of-that-name")
        assert not processes.ended(watching.pid, 0.2)
    assert not Path("/proc", str(watching.pid)).exists()
