"""A guest's serial line, joined to our terminal."""

import fcntl
import os
import select
import signal
import sys
import termios
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from provisioner.errors import Exit, VmnetError
from provisioner.guest.console import Harmless

_PIECE = 4096


Resized = Callable[[int, int], None]
"""Called with the rows and columns of our terminal."""


def attach(terminal: str, escape: bytes, resized: Resized | None) -> None:
    """Join our terminal to a guest's serial line until the escape key is typed or the guest ends.

    `escape` is its byte, b"" for none; `resized` is called at once and at each change. The line
    itself, not libvirt's stream of it: the embedded libvirt allows one process at a time, and a
    console may stay open for hours. The guest's output reaches a terminal as it is, and anything
    else sanitised. Raises VmnetError when the line cannot be opened, or somebody has it.
    """
    try:
        line = os.open(terminal, os.O_RDWR | os.O_NOCTTY)
    except OSError as error:
        raise VmnetError(
            f"cannot open the guest's console {terminal}: {error.strerror}",
            fix="look whether the VM runs: vmnet status",
        ) from error
    try:
        _lock(line, terminal)
        with _raw_terminal(), _size_changes(resized is not None) as changes:
            with suppress(termios.error):  # the other end is gone; reading will report it
                tty.setraw(line)
            _Relay(line, escape, resized, changes).run()
    finally:
        os.close(line)


def _lock(line: int, terminal: str) -> None:
    """Lock the line: of two readers each would get a part. Our descriptor holds the lock."""
    try:
        fcntl.flock(line, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise VmnetError(
            f"another vmnet console is joined to this VM ({terminal})",
            fix="leave it there with Ctrl-], or read along: vmnet logs --follow",
            status=Exit.CONFLICT,
        ) from error


@contextmanager
def _raw_terminal() -> Iterator[None]:
    """Set our terminal to raw mode, if input and output are one; restore it afterwards."""
    here = sys.stdin.fileno()
    if not (os.isatty(here) and sys.stdout.isatty()):
        yield
        return
    saved = termios.tcgetattr(here)
    try:
        tty.setraw(here)
        yield
    finally:
        termios.tcsetattr(here, termios.TCSADRAIN, saved)


@contextmanager
def _size_changes(wanted: bool) -> Iterator[int | None]:  # noqa: FBT001
    """Return an eventfd that can be read at once, and whenever our terminal has another size."""
    if not wanted or not sys.stdout.isatty():
        yield None
        return
    changes = os.eventfd(1)
    before = signal.signal(signal.SIGWINCH, lambda _number, _frame: os.eventfd_write(changes, 1))
    try:
        yield changes
    finally:
        signal.signal(signal.SIGWINCH, before)
        os.close(changes)


class _Relay:
    """What goes from one end to the other."""

    def __init__(
        self, line: int, escape: bytes, resized: Resized | None, changes: int | None
    ) -> None:
        self._line = line
        self._escape = escape
        self._resized = resized
        self._here, self._out = sys.stdin.fileno(), sys.stdout.fileno()
        self._inputs = [line, self._here, *([changes] if changes is not None else [])]
        self._changes = changes
        self._harmless = None if os.isatty(self._out) else Harmless()

    def run(self) -> None:
        goes_on = True
        while goes_on:
            ready, _, _ = select.select(self._inputs, [], [])
            goes_on = (self._line not in ready or self._from_guest()) and (
                self._here not in ready or self._to_guest()
            )
            if self._resized and self._changes is not None and self._changes in ready:
                os.eventfd_read(self._changes)
                size = os.get_terminal_size(self._out)
                self._resized(size.lines, size.columns)

    def _from_guest(self) -> bool:
        try:
            data = os.read(self._line, _PIECE)
        except OSError:  # EIO: QEMU has closed its end
            return False
        _write(self._out, self._harmless.text(data).encode() if self._harmless else data)
        return bool(data)

    def _to_guest(self) -> bool:
        try:
            data = os.read(self._here, _PIECE)
        except OSError:  # EIO: our terminal has gone
            data = b""
        if not data:
            self._inputs.remove(self._here)
            return True
        before, escape, _ = data.partition(self._escape) if self._escape else (data, b"", b"")
        try:
            _write(self._line, before)
        except OSError:  # EIO: QEMU has closed its end
            return False
        return not escape


def _write(handle: int, data: bytes) -> None:
    while data:
        data = data[os.write(handle, data) :]
