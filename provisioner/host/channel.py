"""What vmnet's processes send each other: pickled values, each behind its length in bytes.

As multiprocessing's connections, whose import takes as long as that of a third of vmnet's modules.
"""

import pickle
import socket
import struct
import threading
from typing import Any

_LENGTH = struct.Struct("=Q")


class Channel:
    """A connection that several threads send on, and one receives from."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._lock = threading.Lock()

    def send(self, value: object) -> None:
        """Send a value whole. Raises OSError when nobody reads it."""
        data = pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
        with self._lock:
            self._sock.sendall(_LENGTH.pack(len(data)) + data)

    def receive(self) -> Any:  # noqa: ANN401
        """Wait for the next value. Raises EOFError when there will be none, or OSError."""
        (length,) = _LENGTH.unpack(self._read(_LENGTH.size))
        return pickle.loads(self._read(length))  # noqa: S301  (from our own process)

    def _read(self, length: int) -> bytearray:
        data = bytearray(length)
        rest = memoryview(data)
        while rest:
            read = self._sock.recv_into(rest)
            if not read:
                raise EOFError
            rest = rest[read:]
        return data

    def close(self) -> None:
        """End the connection; the other side reads its end."""
        self._sock.close()
