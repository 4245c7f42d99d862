"""Processes: children bound to their parent, found, ended; what is to be known of another's."""

import ctypes
import os
import select
import signal
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36  # linux/prctl.h
_SYS_PIDFD_GETFD: Final = 438  # the same on every architecture
_LIBC: Final = ctypes.CDLL(None, use_errno=True)


def die_with(parent: int, number: int = signal.SIGKILL) -> None:
    """Have the kernel send this process a signal when `parent` ends; exit if it has already."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)  # it ended before the kernel could be asked


def adopt_orphans() -> None:
    """Make this process the parent of all that is orphaned below it, instead of init."""
    _LIBC.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def pids_of(pid: int) -> list[int]:
    """Return the pids of a process's children, [] when it has gone (proc(5), task/TID/children)."""
    found: list[int] = []
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += map(int, (task / "children").read_text(encoding="ascii").split())
    return found


def network_namespace(process: int | str = "thread-self") -> int:
    """Return a number of a process's network namespace. Raises OSError when it has ended.

    The inode of a file that each namespace has its own of, for everybody to see: ns/net of another
    user's process is shown to those alone who may trace it, and Docker gives root no
    CAP_SYS_PTRACE.
    """
    return Path("/proc", str(process), "net/dev").stat().st_ino


def duplicated(process: int, number: int) -> int:
    """Duplicate a descriptor of the process that a pidfd is of (pidfd_getfd(2)).

    Raises OSError: who may do so is who may trace the process.
    """
    found = int(_LIBC.syscall(_SYS_PIDFD_GETFD, process, number, 0))
    if found < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
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
