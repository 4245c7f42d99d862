"""Child processes, found in /proc and ended at once: for the end of vmnet itself."""

import os
import select
import signal
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path


def of(pid: int) -> list[int]:
    """Return the pids of a process's children, [] when it has gone (proc(5), task/TID/children)."""
    found: list[int] = []
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += map(int, (task / "children").read_text(encoding="ascii").split())
    return found


def kill(pids: Iterable[int]) -> None:
    """Kill processes at once."""
    for pid in pids:
        with suppress(OSError):
            os.kill(pid, signal.SIGKILL)


def kill_programs(pids: Iterable[int]) -> None:
    """Kill programs that were started, and what is in the process group of each (host.programs)."""
    for pid in pids:
        with suppress(OSError):
            (os.killpg if os.getpgid(pid) == pid else os.kill)(pid, signal.SIGKILL)


def ended(pid: int, within_s: float) -> bool:
    """Wait at most `within_s` seconds for the end of a child, and reap it; False when it lives."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        poller = select.poll()
        poller.register(handle, select.POLLIN)
        if not poller.poll(within_s * 1000):
            return False
    finally:
        os.close(handle)
    with suppress(ChildProcessError):  # somebody else has reaped it
        os.waitpid(pid, 0)
    return True
