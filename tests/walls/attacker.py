"""Tries all that a QEMU which its guest has taken over could: run as its user, without any rights.

Standard input is a list of victims as JSON, standard output what got through: the tries by victim.
A try that raises OSError was refused. Nothing that it reaches is damaged: what can be opened for
writing is left as it is, what can be signalled gets signal 0.
"""

import contextlib
import ctypes
import fcntl
import json
import os
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

LIBC = ctypes.CDLL(None, use_errno=True)
PTRACE_ATTACH, PTRACE_DETACH, PTRACE_SEIZE = 16, 17, 0x4206
SYS_PIDFD_GETFD, SYS_KCMP, SYS_PROCESS_MADVISE, SYS_MOVE_PAGES = 438, 312, 440, 279
SIOCSIFHWADDR, SIOCSIFFLAGS = 0x8924, 0x8914
MS_BIND = 4096
Try = Callable[[], object]


def checked(result: int) -> int:
    """Raise OSError where a call of libc has failed."""
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def opened(path: str, flags: int) -> Try:
    return lambda: os.close(os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY))


def read(path: str) -> Try:
    return opened(path, os.O_RDONLY)


def write(path: str) -> Try:
    return opened(path, os.O_WRONLY)


def link_in(folder: str, name: str = "planted") -> Try:
    """Plant a link there, and leave it."""
    return lambda: os.symlink("/root", f"{folder}/{name}")  # noqa: PTH211


def moved(path: str) -> Try:
    """Move a file away and back: whoever can, can put another one in its place."""

    def run() -> None:
        os.rename(path, f"{path}.moved")  # noqa: PTH104
        os.rename(f"{path}.moved", path)  # noqa: PTH104

    return run


def connected(path: str) -> Try:
    def run() -> None:
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(1)
            # One that is busy has let us in.
            with contextlib.suppress(ConnectionRefusedError, TimeoutError):
                s.connect(path)

    return run


def listed(path: str) -> Try:
    return lambda: os.listdir(path)  # noqa: PTH208


def memory(pid: int, flags: int) -> Try:
    return opened(f"/proc/{pid}/mem", flags)


def traced(pid: int, how: int) -> Try:
    def run() -> None:
        LIBC.ptrace.argtypes = (ctypes.c_long,) * 4
        checked(LIBC.ptrace(how, pid, 0, 0))
        LIBC.ptrace(PTRACE_DETACH, pid, 0, 0)

    return run


class _Vector(ctypes.Structure):
    _fields_ = (("at", ctypes.c_void_p), ("size", ctypes.c_size_t))


def copied(pid: int, function: str) -> Try:
    """Copy memory of another process by process_vm_readv or process_vm_writev."""

    def run() -> None:
        place = ctypes.create_string_buffer(8)
        own, theirs = _Vector(ctypes.addressof(place), 8), _Vector(1, 8)
        call = getattr(LIBC, function)
        try:
            checked(call(pid, ctypes.byref(own), 1, ctypes.byref(theirs), 1, 0))
        except OSError as error:
            if error.errno != 14:  # EFAULT: allowed, but nothing is mapped there
                raise

    return run


def descriptor(pid: int) -> Try:
    """Take an open file of another process: its tap, its disk."""

    def run() -> None:
        process = os.pidfd_open(pid)
        try:
            os.close(checked(LIBC.syscall(SYS_PIDFD_GETFD, process, 0, 0)))
        finally:
            os.close(process)

    return run


def compared(pid: int) -> Try:
    return lambda: checked(LIBC.syscall(SYS_KCMP, os.getpid(), pid, 0, 0, 0))


def pages_moved(pid: int) -> Try:
    return lambda: checked(LIBC.syscall(SYS_MOVE_PAGES, pid, 0, 0, 0, 0, 0))


def renamed(device: str) -> Try:
    """Set another MAC on a device."""

    def run() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            request = device.encode().ljust(16, b"\0") + b"\1\0\2\xee\0\0\0\1".ljust(24, b"\0")
            fcntl.ioctl(s, SIOCSIFHWADDR, request)

    return run


def taken_down(device: str) -> Try:
    def run() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            fcntl.ioctl(s, SIOCSIFFLAGS, device.encode().ljust(16, b"\0") + b"\0".ljust(24, b"\0"))

    return run


def raw_socket() -> None:
    socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 3).close()


def affinity(pid: int) -> Try:
    return lambda: os.sched_setaffinity(pid, os.sched_getaffinity(pid))


def limits(pid: int) -> Try:
    import resource

    return lambda: resource.prlimit(pid, resource.RLIMIT_NOFILE)


def of_guest(guest: dict[str, str]) -> Iterator[tuple[str, Try]]:
    """Return the tries against another guest."""
    pid = int(guest["pid"])
    for name in ("seed", "disk", "serial", "tap"):
        yield f"read its {name}", read(guest[name])
        yield f"write its {name}", write(guest[name])
    for name in ("seed", "disk"):
        yield f"replace its {name}", moved(guest[name])
    for name in ("console", "log", "record", "pid_file"):
        yield f"write its {name}", write(guest[name])
    for name in ("console", "log", "record", "key"):
        yield f"read its {name}", read(guest[name])
    for name in ("domain", "channel", "keys"):
        yield f"list its folder {name}", listed(guest[name])
        yield f"plant a link in its folder {name}", link_in(guest[name])
    for name in ("monitor", "agent", "screen"):
        yield f"connect to its {name}", connected(guest[name])
        yield f"replace its {name}", moved(guest[name])
    yield "read its master key", read(f"{guest['domain']}/master-key.aes")
    yield "signal it", lambda: os.kill(pid, 0)
    yield "read its memory", memory(pid, os.O_RDONLY)
    yield "write its memory", memory(pid, os.O_WRONLY)
    yield "trace it", traced(pid, PTRACE_ATTACH)
    yield "seize it", traced(pid, PTRACE_SEIZE)
    yield "copy from its memory", copied(pid, "process_vm_readv")
    yield "copy to its memory", copied(pid, "process_vm_writev")
    yield "take its descriptors", descriptor(pid)
    yield "list its descriptors", listed(f"/proc/{pid}/fd")
    yield "read its environment", read(f"/proc/{pid}/environ")
    yield "go to its root", listed(f"/proc/{pid}/root/")
    yield "go to its folder", listed(f"/proc/{pid}/cwd/")
    yield "compare its files", compared(pid)
    yield "move its pages", pages_moved(pid)
    yield "read its map", lambda: Path(f"/proc/{pid}/maps").read_bytes()
    yield "put it on other CPUs", affinity(pid)
    yield "change its priority", lambda: os.setpriority(os.PRIO_PROCESS, pid, 1)
    yield "read its limits", limits(pid)
    yield "have it killed first", write(f"/proc/{pid}/oom_score_adj")
    yield "change its MAC", renamed(guest["device"])
    yield "set its device down", taken_down(guest["device"])


def of_plan(plan: dict[str, str]) -> Iterator[tuple[str, Try]]:
    """Return the tries against what vmnet and libvirt have for a plan, its own one included."""
    for name in ("lib", "target", "save", "run", "etc", "root", "home", "disks", "seeds", "boot"):
        yield f"plant a link in {name}", link_in(plan[name])
    yield "plant the next domain's folder", link_in(plan["lib"], plan["next"])
    yield "plant the next channel's folder", link_in(plan["target"], plan["next"])
    yield "write qemu.conf", write(f"{plan['etc']}/qemu.conf")
    yield "move qemu.conf", moved(f"{plan['etc']}/qemu.conf")
    yield "move lib/qemu", moved(plan["lib"])
    yield "write its mark", write(f"{plan['home']}/.vmnet")
    yield "write known_hosts", write(f"{plan['home']}/known_hosts")
    yield "write the lock", write(plan["lock"])


def of_host(host: dict[str, str]) -> Iterator[tuple[str, Try]]:
    """Return the tries against the host."""
    yield "read shadow", read("/etc/shadow")
    yield "write passwd", write("/etc/passwd")
    yield "become root", lambda: os.setuid(0)
    yield "take root's group", lambda: os.setgid(0)
    yield "take a group", lambda: os.setgroups([int(host["shared_group"])])
    yield "become the shared user", lambda: os.setuid(int(host["shared_user"]))
    yield "signal init", lambda: os.kill(1, 0)
    yield "trace init", traced(1, PTRACE_ATTACH)
    yield "make a node", lambda: os.mknod("/dev/shm/vmnet-node", 0o20600, os.makedev(1, 1))  # noqa: S108
    yield "mount", lambda: checked(LIBC.mount(b"/root", b"/mnt", None, MS_BIND, None))
    yield "enter a root", lambda: os.chroot("/")
    yield "send raw frames", raw_socket
    yield "write the image's kernel", write(host["kernel"])
    yield "write the emulator", write("/usr/bin/qemu-system-x86_64")
    for name in ("images", "store", "state", "run", "config", "cache"):
        yield f"plant a link in {name}", link_in(host[name])


KINDS: dict[str, Callable[[dict[str, str]], Iterator[tuple[str, Try]]]] = {
    "guest": of_guest,
    "plan": of_plan,
    "host": of_host,
}


def got_through(victim: dict[str, str]) -> tuple[list[str], int]:
    """Return which tries against a victim were not refused, and how many there were."""
    done, count = [], 0
    for name, run in KINDS[victim["kind"]](victim):
        count += 1
        try:
            run()
        except OSError:
            continue
        done.append(f"{victim['name']}: {name}")
    return done, count


def main() -> None:
    """Try everything, and say what got through."""
    victims = json.load(sys.stdin)
    answers = [got_through(victim) for victim in victims]
    json.dump([[x for done, _ in answers for x in done], sum(n for _, n in answers)], sys.stdout)


if __name__ == "__main__":
    main()
