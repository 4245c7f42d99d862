"""A command that a signal ends has the exit status by which a shell tells that."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.framework.lab import until

HOUSE = Path(__file__).parents[2]


def catches(pid: int, number: int) -> bool:
    """Return whether a process handles a signal (proc_pid_status(5))."""
    lines = Path("/proc", str(pid), "status").read_text().splitlines()
    (mask,) = (line.split()[1] for line in lines if line.startswith("SigCgt:"))
    return bool(int(mask, 16) >> (number - 1) & 1)


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_the_status_tells_which_signal_has_ended_a_command(
    number: signal.Signals, status: int
) -> None:
    """It waits for a plan on standard input, which nobody writes."""
    argv = ["env", "--default-signal=INT,HUP,TERM", sys.executable, "-m", "provisioner"]
    with subprocess.Popen(
        [*argv, "validate", "-"],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(HOUSE)},
        text=True,
    ) as running:
        until(lambda: catches(running.pid, signal.SIGTERM), "its handlers are set")
        running.send_signal(number)
        _, told = running.communicate(timeout=60)
    assert running.returncode == status
    assert told.startswith("interrupted")
