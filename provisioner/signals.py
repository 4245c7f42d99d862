"""Ctrl-C, SIGTERM and SIGHUP, deferred where half a step would be worse than a late end."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupt(KeyboardInterrupt):
    """One of these signals has come: Ctrl-C, or what ends a program from outside."""

    def __init__(self, number: int = signal.SIGINT) -> None:
        super().__init__()
        self.number = number

    @property
    def status(self) -> int:
        """The exit status by which a shell tells that a signal has ended a program."""
        return 128 + self.number


class _Interrupts:
    """How many interrupts this command has had, and what to do at the second one."""

    count = 0
    at_once: Callable[[int], object] | None = None


@contextmanager
def handled(at_once: Callable[[int], object]) -> Iterator[None]:
    """Raise Interrupt at the first interrupt, and call `at_once` with the number of any later one.

    The second may come anywhere: also while what the first one has raised waits for a step, a
    thread or a process. So `at_once` must end this process. Signals that are ignored, as under
    nohup, stay so.
    """
    known = {each: signal.getsignal(each) for each in _SIGNALS}
    before = {each: known[each] for each in known if known[each] not in {None, signal.SIG_IGN}}
    _Interrupts.count, _Interrupts.at_once = 0, at_once
    for each in before:
        signal.signal(each, _obey)
    try:
        yield
    finally:
        _Interrupts.at_once = None
        for each, handler in before.items():
            signal.signal(each, handler)


def _obey(number: int, _frame: FrameType | None) -> NoReturn:
    _count(number)
    raise Interrupt(number)


def _count(number: int) -> None:
    _Interrupts.count += 1
    if _Interrupts.count > 1 and _Interrupts.at_once:
        _Interrupts.at_once(number)


class Deferred:
    """The signal that has arrived meanwhile, if any."""

    def __init__(self) -> None:
        self.number: signal.Signals | None = None


@contextmanager
def deferred() -> Iterator[Deferred]:
    """Only note the first interrupt while the block runs, and obey it at the block's end.

    Python raises KeyboardInterrupt between any two instructions of the main thread, also while
    the standard library holds a lock that it then never gives back, or has sent half a message.
    A second interrupt is obeyed at once: whoever repeats it does not want to wait. Handlers are
    the main thread's alone, so in other threads the block just runs. Signals that are ignored,
    as under nohup, stay so.
    """
    pending = Deferred()
    if threading.current_thread() is not threading.main_thread():
        yield pending
        return
    before: dict[signal.Signals, Callable[[int, FrameType | None], Any]] = {}

    def note(which: int, frame: FrameType | None) -> None:
        if pending.number is None:
            _count(which)
            pending.number = signal.Signals(which)
        else:
            before[signal.Signals(which)](which, frame)

    for each in _SIGNALS:
        handler = signal.getsignal(each)
        if callable(handler):
            before[each] = handler
            signal.signal(each, note)
    try:
        yield pending
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
        if pending.number is not None:
            _Interrupts.count -= 1  # it is counted again by who obeys it now
            before[pending.number](pending.number, None)
