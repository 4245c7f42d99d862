"""What a guest says on its serial line: the log that QEMU keeps of it, and the line itself."""

import os
import select
import sys
import termios
import tty
from pathlib import Path

from provisioner.core.text import sanitize
from provisioner.errors import VmnetError

_TAIL_BYTES = 64 * 1024
_ESCAPE = b"\x1d"  # Ctrl-], as in telnet and virsh


def last_lines(log: Path, lines: int) -> str:
    """Give the end of a console log, sanitised; empty when there is none.

    Only the last 64 KiB are read, whatever size a guest has written it to.
    """
    try:
        with log.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _TAIL_BYTES))
            data = file.read(_TAIL_BYTES)
    except FileNotFoundError:
        return ""
    text = data.decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n")
    return sanitize("\n".join(text.splitlines()[-lines:]))


def attach(terminal: str) -> None:
    """Join our terminal to a guest's serial line until Ctrl-] is typed or the guest ends.

    The line itself, not libvirt's stream of it: the embedded libvirt allows one process at a time,
    and a console may stay open for hours. Raises VmnetError when the line cannot be opened.
    """
    try:
        line = os.open(terminal, os.O_RDWR | os.O_NOCTTY)
    except OSError as error:
        raise VmnetError(
            f"cannot open the guest's console {terminal}: {error.strerror}",
            fix="look whether the VM runs: vmnet status",
        ) from error
    here = sys.stdin.fileno()
    saved = termios.tcgetattr(here) if sys.stdin.isatty() else None
    try:
        _raw(line)
        if saved:
            tty.setraw(here)
        _relay(line, here)
    finally:
        if saved:
            termios.tcsetattr(here, termios.TCSADRAIN, saved)
        os.close(line)


def _raw(line: int) -> None:
    try:
        tty.setraw(line)
    except termios.error:
        return  # the other end is gone; reading will say so


def _relay(line: int, here: int) -> None:
    inputs = [line, here]
    while line in inputs:
        ready, _, _ = select.select(inputs, [], [])
        if line in ready:
            try:
                data = os.read(line, 4096)
            except OSError:  # EIO: QEMU has closed its end
                return
            if not data:
                return
            os.write(sys.stdout.fileno(), data)
        if here in ready:
            data = os.read(here, 4096)
            if not data:
                inputs.remove(here)
            elif _ESCAPE in data:
                return
            else:
                os.write(line, data)
