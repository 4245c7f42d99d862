"""Holds back Ctrl-C, SIGTERM and SIGHUP where a half-done thing would be worse than a late end."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class _Come:
    """How many interrupts have come to this command, and what to do at the second one."""

    count = 0
    at_once: Callable[[], object] | None = None


@contextmanager
def obeyed(at_once: Callable[[], object]) -> Iterator[None]:
    """Raise KeyboardInterrupt at the first interrupt, and call `at_once` at any later one.

    The second may come anywhere: also while what the first one has raised waits for a step, a
    thread or a process. So `at_once` must end this process. Signals that are ignored, as under
    nohup, stay so.
    """
    known = {each: signal.getsignal(each) for each in _SIGNALS}
    before = {each: known[each] for each in known if known[each] not in {None, signal.SIG_IGN}}
    _Come.count, _Come.at_once = 0, at_once
    for each in before:
        signal.signal(each, _obey)
    try:
        yield
    finally:
        _Come.at_once = None
        for each, handler in before.items():
            signal.signal(each, handler)


def _obey(_number: int, _frame: FrameType | None) -> NoReturn:
    _count()
    raise KeyboardInterrupt


def _count() -> None:
    _Come.count += 1
    if _Come.count > 1 and _Come.at_once:
        _Come.at_once()


class Held:
    """The signal that has come meanwhile, if any."""

    def __init__(self) -> None:
        self.number: signal.Signals | None = None


@contextmanager
def held() -> Iterator[Held]:
    """Only note the first interrupt while the block runs, and obey it at the block's end.

    Python raises KeyboardInterrupt between any two instructions of the main thread, also while
    the standard library holds a lock that it then never gives back, or has sent half a message.
    A second interrupt is obeyed at once: whoever repeats it does not want to wait. Handlers are
    the main thread's alone, so in other threads the block just runs. Signals that are ignored,
    as under nohup, stay so.
    """
    come = Held()
    if threading.current_thread() is not threading.main_thread():
        yield come
        return
    before: dict[signal.Signals, Callable[[int, FrameType | None], Any]] = {}

    def note(which: int, frame: FrameType | None) -> None:
        if come.number is None:
            _count()
            come.number = signal.Signals(which)
        else:
            before[signal.Signals(which)](which, frame)

    for held_back in _SIGNALS:
        handler = signal.getsignal(held_back)
        if callable(handler):
            before[held_back] = handler
            signal.signal(held_back, note)
    try:
        yield come
    finally:
        for held_back, handler in before.items():
            signal.signal(held_back, handler)
        if come.number is not None:
            _Come.count -= 1  # it is counted again by who obeys it now
            before[come.number](come.number, None)
