"""Connect to a guest's ports from this host: whether something listens, and speaks SSH."""

import socket
import time
from contextlib import suppress
from typing import Final

_MOST: Final = 4096
"""Bytes that are read for a banner: RFC 4253 lets lines of other text come before it."""


def answers(address: str, port: int, within_s: float) -> bool:
    """Return whether a machine answers at all: to refuse a connection is an answer too."""
    try:
        socket.create_connection((address, port), within_s).close()
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
    return True


def opens(address: str, port: int, within_s: float) -> bool:
    """Return whether a TCP connection to a port is accepted."""
    with suppress(OSError), socket.create_connection((address, port), within_s):
        return True
    return False


def speaks_ssh(address: str, port: int, within_s: float) -> bool:
    """Return whether an SSH server greets at a port; of its banner at most 4 KiB are read."""
    end = time.monotonic() + within_s
    banner = b""
    with suppress(OSError), socket.create_connection((address, port), within_s) as opened:
        while len(banner) < _MOST and (left := end - time.monotonic()) > 0:
            opened.settimeout(left)
            part = opened.recv(_MOST - len(banner))
            if not part:
                break
            banner += part
            if any(line.startswith(b"SSH-") for line in banner.split(b"\n")[:-1]):
                return True
    return False
