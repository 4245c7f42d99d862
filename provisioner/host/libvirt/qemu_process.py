"""The process of a domain's QEMU, by its pid file: proved, ended, watched while it is started."""

import ctypes
import os
import select
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

from provisioner import naming
from provisioner.errors import VmnetError
from provisioner.guest.domain import Domain
from provisioner.host.system import deadline

_GREETING_S: Final = 60.0
"""Seconds until a QEMU is judged stalled. It greets in 0.3 s of a processor's time; 16 are started
side by side, so the slowest of them has waited 5 s on one core."""

_END_S: Final = 10.0
"""Seconds that a killed QEMU has to be gone: one that waits for a disk goes when that answers."""

_REAPED_S, _REAPED_POLL_MS = 0.1, 2
_LIBC: Final = ctypes.CDLL(None, use_errno=True)
_MOST_SOCKETS: Final = 32  # its monitor is among the first
_PIDFD_GETFD: Final = 438  # on every architecture (asm-generic/unistd.h)

_START_TIME: Final = 19  # the place of starttime behind the name, in clock ticks since the boot

_STATES: Final = {
    "T": "is stopped (state T)",
    "t": "is stopped by a debugger (state t)",
    "D": "waits for a disk or for memory (state D)",
    "Z": "has ended (state Z)",
}


@contextmanager
def watched(domain: Domain, pid_file: Path) -> Iterator[None]:
    """End the domain's QEMU if the block, in which libvirt starts it, does not end in time.

    libvirt waits for the greeting of its monitor for ever. Such a guest has never run; libvirt's
    call then returns, and nothing of the guest is left.
    Raises VmnetError with the state that the process was in.
    """
    limit_s = deadline.left_s(_GREETING_S)
    stalled: list[str] = []
    uuid = naming.domain_uuid(domain.plan, domain.vm)
    timer = threading.Timer(limit_s, lambda: stalled.append(kill(pid_file, domain.name, uuid)))
    timer.daemon = True
    timer.start()
    failed: VmnetError | None = None
    try:
        yield
    except VmnetError as error:
        failed = error
    finally:
        timer.cancel()
        timer.join()
    if stalled:
        raise VmnetError(
            f"QEMU of {domain.vm} has not answered on its monitor for {limit_s:.3g} s: "
            f"{stalled[0]}",
            fix=f"look at its messages (vmnet logs --qemu {domain.vm}) and at the host's load, "
            "then run vmnet up again",
        ) from failed
    if failed:
        raise failed


def kill(pid_file: Path, domain: str, proof: str) -> str:
    """Kill the QEMU of a domain, and wait until its files are closed; return what it was doing.

    The process must be proved by the domain's name and by `proof` on its command line. libvirt
    hears of it when the process has been waited for: it ends a domain whose monitor closes, and one
    that it finds not waited for yet it looks at again after 0.2 s (virProcessKillPainfullyDelay).
    So QEMU's end of the monitor is kept open as long as that.
    """
    pid = read_pid(pid_file)
    with ExitStack() as stack:
        try:
            process = os.pidfd_open(pid)
        except OSError:  # 0 is no pid either
            return "it has no process"
        stack.callback(os.close, process)
        if wrong := _other(pid, domain, proof):
            return wrong
        # Not longer: libvirt may wait for an answer there, and would for ever.
        for file in _sockets(process, pid):
            stack.callback(os.close, file)
        return _ended(process, pid)


def _other(pid: int, domain: str, proof: str) -> str:
    """Return why a process is not to be killed for a domain's, "" when it is proved."""
    try:
        argv = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return "it has no process"
    named = any(word.split(b",")[0] == b"guest=" + os.fsencode(domain) for word in argv)
    if not named or not any(os.fsencode(proof) in word for word in argv):
        return f"process {pid}, which its pid file names, is another program"
    return ""


def _sockets(process: int, pid: int) -> list[int]:
    """Return copies of a process's first sockets, of those that can be had (pidfd_getfd(2)).

    Few: a QEMU that its guest has taken over may have opened more than we may have.
    """
    copies: list[int] = []
    with suppress(OSError), os.scandir(f"/proc/{pid}/fd") as files:
        for file in files:
            if len(copies) == _MOST_SOCKETS:
                break
            if Path(file.path).readlink().name.startswith("socket:"):
                copy = _LIBC.syscall(_PIDFD_GETFD, process, int(file.name), 0)
                copies += [copy] if copy >= 0 else []
    return copies


def _ended(process: int, pid: int) -> str:
    state = process_state(pid)
    try:
        signal.pidfd_send_signal(process, signal.SIGKILL)
    except ProcessLookupError:
        return f"process {pid} has just ended"
    # A pidfd becomes readable when its process has ended (pidfd_open(2)), its taps closed: the
    # next QEMU on one of them would be refused before.
    poll = select.poll()
    poll.register(process, select.POLLIN)
    poll.poll(_END_S * 1000)
    _await_reaped(pid)
    return f"process {pid} {_STATES.get(state, f'runs (state {state})')}; it has been ended"


def _await_reaped(pid: int) -> None:
    """Wait until a process that has ended is waited for by its parent; nothing tells when."""
    end, pause = time.monotonic() + _REAPED_S, select.poll()
    while process_state(pid) == "Z" and time.monotonic() < end:
        pause.poll(_REAPED_POLL_MS)


def wake(pid_file: Path, domain: str) -> None:
    """Let the QEMU of a domain go on, if a signal has stopped it."""
    pid = read_pid(pid_file)
    try:
        process = os.pidfd_open(pid)
    except OSError:
        return
    try:
        argv = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        named = any(word.split(b",")[0] == b"guest=" + os.fsencode(domain) for word in argv)
        if named and process_state(pid) == "T":
            signal.pidfd_send_signal(process, signal.SIGCONT)
    except OSError:
        return  # it has just ended
    finally:
        os.close(process)


def stopped(pid: int) -> int:
    """Return a process's pid when it is stopped, 0 when it runs or has ended."""
    return pid if process_state(pid) in {"T", "t"} else 0


def process_state(pid: int) -> str:
    """Return the state of a process as proc(5) has it ("R", "T" …), "" when there is none."""
    return next(iter(_stat(pid)), "")


def age_s(pid: int) -> float:
    """Return for how many seconds a process has run, 0 when that is not known."""
    try:
        ticks = int(_stat(pid)[_START_TIME])
        up_s = float(Path("/proc/uptime").read_text(encoding="ascii").split()[0])
    except (OSError, ValueError, IndexError):
        return 0.0
    return max(0.0, up_s - ticks / os.sysconf("SC_CLK_TCK"))


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat from the state on, which is its third."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []  # it has ended
    return text.rpartition(")")[2].split()


def read_pid(pid_file: Path) -> int:
    """Return the pid of a domain's QEMU, 0 when it has none."""
    try:
        return int(pid_file.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return 0
