"""Processes: children bound to their parent, found, ended; what is to be known of another's."""

import ctypes
import os
import select
import signal
import struct
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36  # linux/prctl.h
_SYS_PIDFD_GETFD: Final = 438  # the same on every architecture
_PID: Final = struct.Struct("=i")
_END_S: Final = 1.0
_REAPED_S: Final = 0.5  # an init that waits for orphans does so in a millisecond, on an idle host
_POLL_MS: Final = 2
_WAIT: Final = "import os\ntry:\n    while 1: os.wait()\nexcept ChildProcessError: pass"
_LABEL: Final = "vmnet: waits for guests to end, since init does not"
_LIBC: Final = ctypes.CDLL(None, use_errno=True)


def vmnet() -> tuple[str, ...]:
    """Return the words that run this very vmnet; nothing of its environment changes what runs.

    `make install` and the Debian package have its packages in a folder of their own, which Python
    runs as it is; any other installation is in the Python that runs now.
    """
    folder = Path(__file__).parents[3]
    if (folder / "__main__.py").is_file():
        return sys.executable, "-I", str(folder)
    return sys.executable, "-I", "-m", "provisioner"


def die_with(parent: int, number: int = signal.SIGKILL) -> None:
    """Have the kernel send this process a signal when `parent` ends; exit if it has already."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)  # it ended before the kernel could be asked


def outlive_parent() -> None:
    """Take back `die_with`."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, 0, 0, 0, 0)


def adopt_orphans(*, wanted: bool = True) -> None:
    """Make this process the parent of all that is orphaned below it, instead of init; or not."""
    _LIBC.prctl(_PR_SET_CHILD_SUBREAPER, int(wanted), 0, 0, 0)


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


def has_children() -> bool:
    """Return whether there is a child that has not ended; reap those that have."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
        return True
    return False


def stay_for_children() -> None:
    """Become a small program that waits for our children, if init would not.

    A process that has ended stays a zombie until its parent has waited for it, and libvirt takes a
    zombie for a QEMU that does not end: it looks for 15 s, and more than once in a command
    (virProcessKillPainfullyDelay). The parent of an orphan is init, or the nearest subreaper. That
    of a container may wait every other second, or never: many run `tail -f /dev/null`.

    Must be called by a process without threads; it returns when nobody has to stay.
    """
    with suppress(OSError):
        os.chdir("/")
        null = os.open(os.devnull, os.O_RDWR)
        for number in range(3):  # whoever reads what the command writes waits for its end
            os.dup2(null, number)
        if _init_reaps():
            return
        os.execv(sys.executable, [sys.executable, "-I", "-S", "-c", _WAIT, _LABEL])  # noqa: S606


def _init_reaps() -> bool:
    """Return whether an orphan of ours is waited for when it ends."""
    adopt_orphans(wanted=False)
    orphan = _orphan()
    try:
        handle = os.pidfd_open(orphan)
    except ProcessLookupError:
        return True
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    poll.poll(_END_S * 1000)
    end = time.monotonic() + _REAPED_S
    pause = select.poll()
    while time.monotonic() < end:
        try:
            signal.pidfd_send_signal(handle, 0)
        except ProcessLookupError:
            return True
        pause.poll(_POLL_MS)  # to be reaped has no event
    adopt_orphans()
    return False


def _orphan() -> int:
    """Start a process that ends when its parent, a child of ours, has ended; return its pid."""
    read, write = os.pipe()
    parent = os.fork()
    if parent == 0:
        end_read, end_write = os.pipe()
        orphan = os.fork()
        if orphan == 0:
            os.close(end_write)
            os.read(end_read, 1)
            os._exit(0)
        os.write(write, _PID.pack(orphan))
        os._exit(0)
    os.waitpid(parent, 0)
    os.close(write)
    (pid,) = _PID.unpack(os.read(read, _PID.size))
    os.close(read)
    return int(pid)
