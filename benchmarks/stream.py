"""The other end of the streams of benchmarks/datapath.py, run where the LAN is.

    python benchmarks/stream.py in PORT SECONDS            say "ready"; then what arrives, in Mbit/s
    python benchmarks/stream.py out ADDRESS PORT SECONDS   what a peer takes, in Mbit/s

Seconds count from the first byte, and what has been in buffers before counts as little as it can:
the first second of a stream is left out.
"""

import socket
import sys
import time
from collections.abc import Callable

_PIECE = 1 << 18
_WARM_S = 1.0
_TIMEOUT_S = 30.0


def main() -> int:
    """Stream, and print the rate."""
    way, *words = sys.argv[1:]
    rate = _taken(int(words[0]), float(words[1])) if way == "in" else _given(*words)
    print(f"{rate:.3f}", flush=True)
    return 0


def _taken(port: int, seconds: float) -> float:
    with socket.create_server(("0.0.0.0", port)) as server:  # noqa: S104  (in its own namespace)
        server.settimeout(_TIMEOUT_S)
        print("ready", flush=True)
        stream, _ = server.accept()
        with stream:
            stream.settimeout(_TIMEOUT_S)
            return _rate(seconds, lambda: len(stream.recv(_PIECE)))


def _given(address: str, port: str, seconds: str) -> float:
    zeros = bytes(_PIECE)
    with socket.create_connection((address, int(port)), _TIMEOUT_S) as stream:
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 16)
        return _rate(float(seconds), lambda: stream.send(zeros))


def _rate(seconds: float, moved: Callable[[], int]) -> float:
    begun = time.monotonic()
    count, start = 0, 0.0
    while (now := time.monotonic()) < begun + _WARM_S + seconds:
        size = moved()
        if not size:
            raise SystemExit("the stream has ended early")
        if now < begun + _WARM_S:
            start = time.monotonic()
        else:
            count += size
    return count * 8 / (time.monotonic() - start) / 1e6


if __name__ == "__main__":
    raise SystemExit(main())
