"""Processes of this host, found by their command lines."""

import os
from contextlib import suppress
from pathlib import Path


def pid_with(word: str) -> int:
    """Return the one process that was started with this word."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has just ended
            if os.fsencode(word) in (entry / "cmdline").read_bytes().split(b"\0"):
                found.append(int(entry.name))
    (one,) = found
    return one
