"""An end to every conversation: a server that trickles is cut off like one that is silent."""

import socket
import threading
import time
from contextlib import suppress
from types import TracebackType
from typing import Self


class Watchdog:
    """Shuts the watched connection down when its time is up, whatever it is doing then.

    A socket's own timeout starts anew with each byte, so a head or a line that comes a byte a
    second would be waited for until the end of days.
    """

    def __init__(self, seconds: float) -> None:
        self.bit = False
        self._changed = threading.Condition()
        self._end = time.monotonic() + seconds
        self._line: socket.socket | None = None
        self._is_over = False
        self._thread = threading.Thread(target=self._wait, daemon=True)

    def __enter__(self) -> Self:
        """Begin to count."""
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let go of the connection."""
        with self._changed:
            self._is_over = True
            self._changed.notify()
        self._thread.join()
        self._drop()

    def watch(self, line: socket.socket) -> None:
        """Take this connection instead of the one before; its own copy survives TLS's wrapping."""
        with self._changed:
            self._drop()
            self._line = line.dup()
            if self.bit:
                self._bite()

    def allow(self, seconds: float) -> None:
        """Give it so much time from now."""
        with self._changed:
            self._end = time.monotonic() + seconds
            self._changed.notify()

    def _wait(self) -> None:
        with self._changed:
            while not self._is_over:
                left = self._end - time.monotonic()
                if left <= 0 and not self.bit:
                    self._bite()
                self._changed.wait(None if self.bit else left)

    def _bite(self) -> None:
        self.bit = True
        if self._line is not None:
            with suppress(OSError):  # the other end was faster
                self._line.shutdown(socket.SHUT_RDWR)

    def _drop(self) -> None:
        if self._line is not None:
            self._line.close()
            self._line = None
