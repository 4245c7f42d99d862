"""QEMU's own monitor (QMP), of a guest that libvirt does not know any more.

The socket is reached by the descriptor that QEMU listens on: its name may have been removed.
"""

import ctypes
import fcntl
import json
import os
import re
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

_SYS_PIDFD_GETFD: Final = 438  # the same on every architecture
_SIOCUNIXFILE: Final = 0x89E0  # unix(7): a descriptor of the file that a socket is bound to
_ANSWER_S: Final = 5.0  # libvirt, if it does hold the monitor, keeps everybody else waiting
_LISTENS_AT: Final = re.compile(r"socket,id=charmonitor,fd=(\d+),")
_MOST: Final = 1 << 20


class Monitor:
    """A connection to a QEMU's monitor."""

    def __init__(self, opened: socket.socket) -> None:
        self._socket = opened
        self._said = b""

    def ask(self, command: str, within_s: float = _ANSWER_S) -> None:
        """Have a command executed. Raises OSError when it is not answered in time."""
        self._socket.sendall(json.dumps({"execute": command}).encode() + b"\n")
        self._await({"return", "error"}, within_s)

    def await_shutdown(self, within_s: float) -> None:
        """Wait until the guest has shut down. Raises OSError when it has not in time.

        libvirt starts each QEMU with -no-shutdown: it stays for somebody to end it.
        """
        self._await({"SHUTDOWN"}, within_s)

    def greeted(self) -> None:
        """Take the greeting, and become able to ask. Raises OSError when there is none in time."""
        self._await({"QMP"}, _ANSWER_S)
        self.ask("qmp_capabilities")

    def _await(self, wanted: set[str], within_s: float) -> None:
        end = time.monotonic() + within_s
        for message in self._messages(end):
            if wanted & message.keys() or message.get("event") in wanted:
                return
        raise TimeoutError("QEMU's monitor does not answer")

    def _messages(self, end: float) -> Iterator[dict[str, Any]]:
        while True:
            line, found, rest = self._said.partition(b"\n")
            if found:
                self._said = rest
                message = json.loads(line)
                if isinstance(message, dict):
                    yield message
                continue
            left_s = end - time.monotonic()
            if left_s <= 0 or len(self._said) > _MOST:
                return
            self._socket.settimeout(left_s)
            if not (more := self._socket.recv(1 << 16)):
                raise ConnectionResetError("QEMU has closed its monitor")
            self._said += more


@contextmanager
def opened(process: int, argv: Sequence[str]) -> Iterator[Monitor]:
    """Open the monitor of a QEMU, by its pidfd and its command line.

    Raises OSError or ValueError when it cannot be reached: the user may not, it has ended, or
    somebody else is connected to it.
    """
    number = next((int(found[1]) for x in argv if (found := _LISTENS_AT.match(x))), None)
    if number is None:
        raise OSError("QEMU has no monitor")
    listening = _duplicate(process, number)
    try:
        file = fcntl.ioctl(listening, _SIOCUNIXFILE, 0)
    finally:
        os.close(listening)
    try:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(_ANSWER_S)
            client.connect(f"/proc/self/fd/{file}")
            monitor = Monitor(client)
            monitor.greeted()
            yield monitor
    finally:
        os.close(file)


def _duplicate(process: int, number: int) -> int:
    """Duplicate another process's descriptor (pidfd_getfd(2)). Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    found = int(libc.syscall(_SYS_PIDFD_GETFD, process, number, 0))
    if found < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return found
