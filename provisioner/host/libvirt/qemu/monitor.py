"""QEMU's own monitor (QMP), of a guest that libvirt does not know any more.

The socket is reached by the descriptor that QEMU listens on: its name may have been removed.
"""

import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from provisioner.host.system import processes
from provisioner.pattern import pattern

_SIOCUNIXFILE: Final = 0x89E0  # unix(7): a descriptor of the file that a socket is bound to
_ANSWER_S: Final = 5.0  # libvirt, if it does hold the monitor, keeps everybody else waiting
_LISTENS_AT: Final = pattern(r"socket,id=charmonitor,fd=(\d+),")
_MOST: Final = 1 << 20


class Monitor:
    """A connection to a QEMU's monitor."""

    def __init__(self, opened: socket.socket, answer_s: float) -> None:
        self._socket = opened
        self._answer_s = answer_s
        self._said = b""

    def ask(self, command: str) -> object:
        """Have a command executed; return its answer. Raises OSError when there is none in time."""
        self._socket.sendall(json.dumps({"execute": command}).encode() + b"\n")
        return self._await({"return", "error"}, self._answer_s).get("return")

    def run_state(self) -> str:
        """Return what QEMU says that its guest does, as "running" or "io-error"."""
        answer = self.ask("query-status")
        return str(answer.get("status", "")) if isinstance(answer, dict) else ""

    def await_shutdown(self, within_s: float) -> None:
        """Wait until the guest has shut down. Raises OSError when it has not in time.

        libvirt starts each QEMU with -no-shutdown: it stays for somebody to end it.
        """
        self._await({"SHUTDOWN"}, within_s)

    def greeted(self) -> None:
        """Take the greeting, and become able to ask. Raises OSError when there is none in time."""
        self._await({"QMP"}, self._answer_s)
        self.ask("qmp_capabilities")

    def _await(self, wanted: set[str], within_s: float) -> dict[str, Any]:
        end = time.monotonic() + within_s
        for message in self._messages(end):
            if wanted & message.keys() or message.get("event") in wanted:
                return message
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
def opened(process: int, argv: Sequence[str], answer_s: float = _ANSWER_S) -> Iterator[Monitor]:
    """Open the monitor of a QEMU, by its pidfd and its command line.

    Raises OSError or ValueError when it cannot be reached: the user may not, it has ended, or
    somebody else is connected to it.
    """
    number = next((int(found[1]) for x in argv if (found := _LISTENS_AT.match(x))), None)
    if number is None:
        raise OSError("QEMU has no monitor")
    listening = processes.duplicated(process, number)
    try:
        file = fcntl.ioctl(listening, _SIOCUNIXFILE, 0)
    finally:
        os.close(listening)
    try:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(answer_s)
            client.connect(f"/proc/self/fd/{file}")
            monitor = Monitor(client, answer_s)
            monitor.greeted()
            yield monitor
    finally:
        os.close(file)
