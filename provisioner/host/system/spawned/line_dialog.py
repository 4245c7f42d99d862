"""A program that is asked and answers line by line, by its standard input and output."""

import os
import select
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from provisioner.host.system.programs import not_started

_PIECE: Final = 1 << 16


class LineDialog:
    """A program whose standard input and output are ours; its messages go where ours go.

    When vmnet is killed its standard input ends, which is how it hears of that.
    """

    def __init__(self, argv: Sequence[str]) -> None:
        """Start it. Raises VmnetError when it cannot be started."""
        self._heard = b""
        self._is_over = False
        try:
            self._child = subprocess.Popen(
                argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, process_group=0
            )
        except OSError as error:
            raise not_started(argv[0], error) from error

    def write(self, line: str) -> None:
        """Send a line. Raises OSError when nobody reads it."""
        self.send(line.encode() + b"\n")

    def send(self, data: bytes) -> None:
        """Send bytes. Raises OSError when nobody reads them."""
        if self._child.stdin:
            self._child.stdin.write(data)
            self._child.stdin.flush()

    def speaks(self, within_s: float) -> bool:
        """Return whether something comes from it in that time, or nothing ever will."""
        end = time.monotonic() + within_s
        while not (self._heard or self._is_over) and (left_s := end - time.monotonic()) > 0:
            self._hear(left_s)
        return bool(self._heard or self._is_over)

    def read(self, within_s: float, most: int) -> str | None:
        """Return the next line of at most `most` bytes; None when there is none in time."""
        end = time.monotonic() + within_s
        while b"\n" not in self._heard:
            left_s = end - time.monotonic()
            if self._is_over or left_s <= 0 or len(self._heard) > most:
                return None
            self._hear(left_s)
        line, _, self._heard = self._heard.partition(b"\n")
        return line.decode("utf-8", "replace")

    def is_over(self) -> bool:
        """Return whether nothing comes from it any more."""
        self._hear(0)
        return self._is_over

    def end(self, within_s: float) -> None:
        """Close its standard input, and end it when it has not ended after `within_s` seconds."""
        with suppress(OSError):
            if self._child.stdin:
                self._child.stdin.close()
        try:
            self._child.wait(within_s)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        if self._child.stdout:
            self._child.stdout.close()

    def _hear(self, within_s: float) -> None:
        out = self._child.stdout
        if out is None or self._is_over:
            return
        if select.select([out], [], [], within_s)[0]:
            piece = os.read(out.fileno(), _PIECE)
            self._heard += piece
            self._is_over = not piece
