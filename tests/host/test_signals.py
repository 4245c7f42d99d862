"""An interrupt may come at any instant; nothing half done and no hang may follow from it."""

import os
import random
import signal
import threading

import pytest

from provisioner.commands.execute import execute
from provisioner.errors import VmnetError
from provisioner.network.resources import Macvtap
from provisioner.plan.choices import Mode
from provisioner.reconcile.diff import Step, Verb
from provisioner.signals import Interrupt, deferred, handled


def steps(count: int) -> list[Step]:
    """Give steps that need nothing of each other."""
    taps = [
        Macvtap(f"mvt{i}", "mvl1", Mode.BRIDGE, f"02:00:00:00:00:{i:02x}", 1500, 7, "alias", "a")
        for i in range(count)
    ]
    return [Step(Verb.CREATE, tap, "missing") for tap in taps]


def work_for(duration_s: float) -> None:
    """Take time, as a call to the kernel does."""
    threading.Event().wait(duration_s)


def interrupt(number: int = signal.SIGINT) -> None:
    """Send this process a signal, as a terminal or a CI runner does: to no thread of it."""
    os.kill(os.getpid(), number)


def test_an_interrupt_lets_the_begun_steps_finish_and_begins_no_other() -> None:
    begun, told = [], []
    gate = threading.Barrier(2)

    def perform(step: Step) -> None:
        begun.append(step)
        if len(begun) <= 2:
            if gate.wait() == 0:  # one of the two
                interrupt()
            work_for(0.05)

    def tell(step: Step, error: VmnetError | None) -> None:
        told.append((step, error))

    with pytest.raises(KeyboardInterrupt):
        execute(steps(20), perform, tell, jobs=2)
    assert 2 <= len(begun) < 20
    assert sorted(s.id for s, _ in told) == sorted(s.id for s in begun)


def test_a_second_interrupt_is_obeyed_at_once() -> None:
    seen: list[int | None] = []

    def twice() -> None:
        with deferred() as pending:
            interrupt()
            seen.append(pending.number)
            interrupt()
            seen.append(pending.number)

    with pytest.raises(KeyboardInterrupt):
        twice()
    assert seen == [signal.SIGINT]


def test_a_second_interrupt_ends_a_command_wherever_the_first_one_has_led() -> None:
    ended: list[int] = []

    def last(_number: int) -> None:
        ended.append(1)
        raise EOFError  # as os._exit does, it does not return

    def led_into_a_hang() -> None:
        try:
            with deferred():
                interrupt()
        finally:
            interrupt(signal.SIGTERM)
            threading.Event().wait(30)

    with pytest.raises(EOFError), handled(last):
        led_into_a_hang()
    assert ended == [1]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_one_interrupt_is_counted_once_however_many_blocks_hold_it_back() -> None:
    with (
        pytest.raises(KeyboardInterrupt),
        handled(lambda _number: os._exit(77)),
        deferred(),
        deferred(),
    ):
        interrupt()


def test_a_second_interrupt_ends_a_command_within_a_block_that_holds_it_back() -> None:
    def last(_number: int) -> None:
        raise EOFError

    def twice() -> None:
        with deferred(), deferred():
            interrupt()
            interrupt()

    with pytest.raises(EOFError), handled(last):
        twice()


def test_an_ignored_signal_stays_ignored_and_handlers_come_back() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with deferred() as pending:
            interrupt(signal.SIGHUP)
            assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
        assert pending.number is None
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_block_within_a_block_obeys_at_the_end_of_the_outer_one() -> None:
    passed = []

    def outer() -> None:
        with deferred():
            with deferred() as inner:
                interrupt()
            passed.append(inner.number)

    with pytest.raises(KeyboardInterrupt):
        outer()
    assert passed == [signal.SIGINT]


def test_in_other_threads_nothing_is_held_back_and_nothing_breaks() -> None:
    ran = []

    def work() -> None:
        with deferred() as pending:
            ran.append(pending.number)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert ran == [None]


def test_execute_ends_whenever_the_interrupt_comes() -> None:
    chance = random.Random(4)  # noqa: S311  (the same instants in each run)
    interrupted = 0
    for _ in range(150):
        timer = threading.Timer(chance.random() * 0.006, interrupt)
        ended = 0
        try:
            timer.start()
            outcome = execute(steps(12), lambda _: work_for(0.001), jobs=4)
            ended = len(outcome.done)
            timer.join()
        except KeyboardInterrupt:
            interrupted += 1
        assert ended in {0, 12}
    assert interrupted == 150


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_the_exit_status_tells_which_signal_it_was(number: signal.Signals, status: int) -> None:
    with pytest.raises(Interrupt) as held_back, handled(lambda _number: None), deferred():
        interrupt(number)
    with pytest.raises(Interrupt) as at_once, handled(lambda _number: None):
        interrupt(number)
    assert (held_back.value.status, at_once.value.status) == (status, status)
