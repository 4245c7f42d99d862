"""Pings from the machine on the LAN, and the longest time in which none was answered."""

import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

from tests.framework.fabric.hosts import Fabric
from tests.framework.lab import until


@contextmanager
def pinged(fabric: Fabric, address: str) -> Iterator[list[float]]:
    """Ping a guest 100 times a second; afterwards the list has when it answered.

    The answers go into a file: a full pipe would stop ping before the guest moves.
    """
    argv = ["ip", "netns", "exec", fabric.lan, "ping", "-n", "-D", "-i", "0.01", address]
    answered: list[float] = []
    log = fabric.directory / "pings"
    with log.open("w") as file, subprocess.Popen(argv, stdout=file) as ping:
        try:
            until(lambda: _answers(log), "it answers")
            began = time.time()
            yield answered
            ended = time.time()
            until(lambda: _answers(log)[-1] > ended, "it answers afterwards")
        finally:
            ping.send_signal(signal.SIGINT)
    answered += _answers(log)
    assert answered[0] < began


def longest_gap_s(answered: list[float]) -> float:
    """Return the longest time between two answers, in seconds."""
    return max(later - before for before, later in pairwise(answered))


def _answers(log: Path) -> list[float]:
    found = re.findall(r"^\[([\d.]+)\] \d+ bytes from", log.read_text(), re.MULTILINE)
    return [float(at) for at in found]
