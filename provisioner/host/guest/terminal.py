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
from dataclasses import dataclass

from provisioner.errors import Exit, VmnetError
from provisioner.guest.console import Harmless

_PIECE = 4096


@dataclass(frozen=True, slots=True)
class Ways:
    """How to join: the byte that leaves (b"" for none), and the callback for terminal sizes."""

    escape: bytes = b"\x1d"  # Ctrl-], as in telnet and virsh
    resized: Callable[[int, int], None] | None = None  # rows, columns


def attach(terminal: str, ways: Ways) -> None:
    """Join our terminal to a guest's serial line until the escape key is typed or the guest ends.

    The line itself, not libvirt's stream of it: the embedded libvirt allows one process at a time,
    and a console may stay open for hours. What the guest says reaches a terminal as it is, and
    anything else sanitised. Raises VmnetError when the line cannot be opened, or somebody has it.
    """
    try:
        line = os.open(terminal, os.O_RDWR | os.O_NOCTTY)
    except OSError as error:
        raise VmnetError(
            f"cannot open the guest's console {terminal}: {error.strerror}",
            fix="look whether the VM runs: vmnet status",
        ) from error
    try:
        _claim(line, terminal)
        with _raw_here(), _winding(ways.resized is not None) as news:
            _raw(line)
            _Relay(line, ways, news).run()
    finally:
        os.close(line)


def _claim(line: int, terminal: str) -> None:
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
def _raw_here() -> Iterator[None]:
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
def _winding(wanted: bool) -> Iterator[int | None]:  # noqa: FBT001
    """Return a descriptor that can be read at once, and whenever our terminal has another size."""
    if not wanted or not sys.stdout.isatty():
        yield None
        return
    ours, signals = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def changed(_number: int, _frame: object) -> None:
        with suppress(BlockingIOError):  # it is full of what says the same
            os.write(signals, b"w")

    before = signal.signal(signal.SIGWINCH, changed)
    try:
        changed(0, None)
        yield ours
    finally:
        signal.signal(signal.SIGWINCH, before)
        os.close(ours)
        os.close(signals)


def _raw(line: int) -> None:
    try:
        tty.setraw(line)
    except termios.error:
        return  # the other end is gone; reading will say so


class _Relay:
    """What goes from one end to the other."""

    def __init__(self, line: int, ways: Ways, news: int | None) -> None:
        self._line = line
        self._escape = ways.escape
        self._resized = ways.resized
        self._here, self._out = sys.stdin.fileno(), sys.stdout.fileno()
        self._inputs = [line, self._here, *([news] if news is not None else [])]
        self._news = news
        self._harmless = None if os.isatty(self._out) else Harmless()

    def run(self) -> None:
        goes_on = True
        while goes_on:
            ready, _, _ = select.select(self._inputs, [], [])
            goes_on = (self._line not in ready or self._from_guest()) and (
                self._here not in ready or self._to_guest()
            )
            if self._news is not None and self._news in ready:
                self._wind(self._news)

    def _wind(self, news: int) -> None:
        os.read(news, _PIECE)
        size = os.get_terminal_size(self._out)
        if self._resized:
            self._resized(size.lines, size.columns)

    def _from_guest(self) -> bool:
        try:
            data = os.read(self._line, _PIECE)
        except OSError:  # EIO: QEMU has closed its end
            return False
        if self._harmless:
            _write(self._out, self._harmless.text(data).encode())
        else:
            _write(self._out, data)
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
