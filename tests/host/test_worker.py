"""The worker: calls side by side, errors that cross over whole, and death that leaves nobody."""

import os
import re
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest

from provisioner.errors import Exit, VmnetError, Where
from provisioner.host.system import deadline, processes, programs, worker
from provisioner.host.system.worker import Event, Worker

HOUSE = Path(__file__).parents[2]


_gate = threading.Event()  # of the worker's process, where calls wait and are let go on


def wait() -> bool:
    return _gate.wait(2)


def let_go() -> None:
    _gate.set()


def refuse() -> None:
    where = Where("plan.yaml", 3, 7, "text")
    raise VmnetError("no", where=where, fix="yes", status=Exit.CONFLICT)


def crash() -> None:
    os._exit(3)


def bug() -> str:
    return os.environ["NOPE"]


def orphan() -> int:
    """Start a process that puts itself into the background, as QEMU does."""
    shell = subprocess.run(
        ["sh", "-c", "sleep 60 >/dev/null 2>&1 & echo $!"],
        capture_output=True,
        text=True,
        check=True,
    )
    return int(shell.stdout)


def hang() -> None:
    threading.Event().wait()


def run_long() -> None:
    programs.run(["sleep", "1000"], timeout_s=500)


@worker.limit(0.1, "the gate has not been opened")
def hang_briefly() -> None:
    hang()


class Counter:
    """An object of the worker's process whose methods are called."""

    def __init__(self) -> None:
        self.number = 0

    def __reduce__(self) -> str:
        return "COUNTER"

    def add(self, number: int, *, times: int = 1) -> int:
        self.number += number * times
        return self.number


COUNTER = Counter()


@pytest.fixture
def hands() -> Iterator[Worker]:
    started = worker.start(nullcontext)
    yield started
    started.close()


def test_calls_run_side_by_side(hands: Worker) -> None:
    waiting = hands.call(wait)
    hands.do(let_go)
    assert waiting.result(5) is True


def test_a_method_is_called_on_the_object_of_the_workers_process(hands: Worker) -> None:
    COUNTER.number = 100
    assert [hands.do(COUNTER.add, 2), hands.do(COUNTER.add, 3, times=2)] == [2, 8]
    assert COUNTER.number == 100


def test_a_function_has_its_own_limit_and_its_own_words(hands: Worker) -> None:
    with pytest.raises(VmnetError, match=r"the gate has not been opened after 1\.1 s"):
        hands.do(hang_briefly)


def test_the_context_is_left_after_the_last_call_and_before_the_end(tmp_path: Path) -> None:
    @contextmanager
    def served() -> Iterator[None]:
        (tmp_path / "entered").touch()
        yield
        (tmp_path / "left").touch()

    started = worker.start(served)
    assert started.do(os.listdir, tmp_path) == ["entered"]
    started.close()
    assert sorted(x.name for x in tmp_path.iterdir()) == ["entered", "left"]


def test_an_error_crosses_over_with_its_place_its_mend_and_its_status(hands: Worker) -> None:
    with pytest.raises(VmnetError) as caught:
        hands.do(refuse)
    told = (caught.value.what, str(caught.value.where), caught.value.fix, caught.value.status)
    assert told == ("no", "plan.yaml:3:7", "yes", Exit.CONFLICT)


def test_a_bug_in_the_worker_is_told_with_its_traceback(hands: Worker) -> None:
    with pytest.raises(RuntimeError, match=re.escape("KeyError: 'NOPE'")):
        hands.do(bug)


def test_events_arrive_in_a_queue(hands: Worker) -> None:
    hands.do(worker.emit, Event("web", "agent", "x"))
    assert hands.events.get(timeout=5) == Event("web", "agent", "x")


def test_a_call_that_lasts_is_given_up_at_its_deadline(hands: Worker) -> None:
    with pytest.raises(TimeoutError):
        hands.call(wait).result(0.05)


def test_a_call_that_never_returns_is_an_error_after_its_time(hands: Worker) -> None:
    with pytest.raises(VmnetError, match=r'not answered "hang" after 1\.1 s') as caught:
        hands.within(0.1).do(hang)
    assert caught.value.status is Exit.HOST_CANNOT
    assert "state T" in (caught.value.fix or "")


def test_no_call_is_waited_for_after_the_command_must_be_over(hands: Worker) -> None:
    with (
        hands.limited(time.monotonic() + 0.3),
        pytest.raises(VmnetError, match=r'not answered "hang" after 0\.[123]\d* s'),
    ):
        hands.do(hang)
    assert hands.do(deadline.left_s, 1000) <= 60


def test_a_request_brings_its_deadline_to_what_it_waits_for(hands: Worker) -> None:
    assert 10 < hands.within(20).do(deadline.left_s, 1000) <= 20
    with pytest.raises(VmnetError, match=r"sleep 1000 was not done after 2 s, and has been ended"):
        hands.within(1.5).do(run_long)


def test_a_worker_whose_call_never_returns_is_ended_and_its_orphans_live_on(hands: Worker) -> None:
    pid, child = hands.do(os.getpid), hands.do(orphan)
    running = hands.call(run_long)
    with pytest.raises(TimeoutError):
        hands.call(hang).result(0.1)
    (program,) = [each for each in processes.pids_of(pid) if each != child]
    began = time.monotonic()
    hands.close()
    assert time.monotonic() - began < 8  # a worker that is well has 15 s to finish
    try:
        for gone in (pid, program):
            assert not Path(f"/proc/{gone}").exists() or " Z " in _stat(gone)
        assert " Z " not in _stat(child)
        with pytest.raises(VmnetError):
            running.result(5)
    finally:
        os.kill(child, signal.SIGKILL)


def test_a_stopped_worker_is_ended(hands: Worker) -> None:
    pid = hands.do(os.getpid)
    os.kill(pid, signal.SIGSTOP)
    with pytest.raises(TimeoutError):
        hands.call(os.getpid).result(0.1)
    hands.close()
    assert not Path(f"/proc/{pid}").exists() or " Z " in _stat(pid)


def _stat(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text()


def test_a_worker_that_dies_fails_its_calls_instead_of_keeping_them_waiting(hands: Worker) -> None:
    waiting = hands.call(wait)
    with pytest.raises(VmnetError, match="worker process ended unexpectedly"):
        hands.call(crash).result(5)
    with pytest.raises(VmnetError):
        waiting.result(5)
    with pytest.raises(VmnetError):
        hands.call(os.getpid).result(5)


def test_an_orphan_of_the_worker_is_reaped_at_once(hands: Worker) -> None:
    pid = hands.do(orphan)
    os.kill(pid, signal.SIGKILL)
    end = time.monotonic() + 1
    while Path(f"/proc/{pid}").exists():
        assert time.monotonic() < end, "it stays a zombie"


def test_when_vmnet_is_killed_its_worker_dies_too() -> None:
    script = (
        "import contextlib, os, threading; from provisioner.host.system import worker\n"
        "hands = worker.start(contextlib.nullcontext)\n"
        "print(hands.do(os.getpid), flush=True); threading.Event().wait()"
    )
    ran = subprocess.Popen(
        [sys.executable, "-c", script], cwd=HOUSE, stdout=subprocess.PIPE, text=True
    )
    with ran:
        assert ran.stdout
        process = os.pidfd_open(int(ran.stdout.readline()))
        ran.kill()
    try:
        assert select.select([process], [], [], 5)[0], "the worker lives on"
    finally:
        os.close(process)
