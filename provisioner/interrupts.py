"""Holds back Ctrl-C, SIGTERM and SIGHUP where a half-done thing would be worse than a late end."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


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
            before[come.number](come.number, None)
