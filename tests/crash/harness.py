"""Runs vmnet and kills it at one thing that it does to the machine.

    python -m tests.crash.harness LOG WHO WORDS…

Every event is written to LOG, one a line: which process, what, which one of that name. With
CRASH_AT, a line of such a log or "worker 57" for that process's 57th, it is killed there: all of
it, or "main", "worker" or "reaper" alone.
An event is before or after a step of a plan, a message to the kernel's netlink or a call of
libvirt, or before a call of the system that Python tells of (sys.addaudithook).
"""

import os
import re
import signal
import socket
import sys
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from provisioner.reconcile.diff import Step

TOLD: Final = frozenset(
    {
        *("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.chmod", "os.chown"),
        *("os.symlink", "os.link", "os.mknod", "os.utime", "os.fork", "os.kill", "os.posix_spawn"),
        *("subprocess.Popen", "shutil.rmtree", "signal.pthread_kill"),
    }
)
CALLS: Final = {
    "virConnect": ("createXML", "createXMLWithFiles", "defineXML", "close"),
    "virDomain": (
        *("create", "destroy", "destroyFlags", "shutdownFlags", "resume", "suspend", "save"),
        *("attachDeviceFlags", "detachDeviceFlags", "updateDeviceFlags", "setMetadata"),
        *("blockResize", "snapshotCreateXML", "managedSave", "undefineFlags"),
    ),
}
KILLED: Final = "killed\n"
STEP: Final = re.compile(r"\w+ (before|after) step ")
"""Begins the name of an event before or after a step of a plan."""
LOOKS: Final = re.compile(r"netlink \d|/proc/sys/net|'(--terse|--check|-j)'|os.ch(mod|own) ")
"""In the name of an event of a look at the host, a question to a LAN, or rights made sure of."""
_WRITES: Final = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_LEAST_NETLINK: Final = 40  # bytes: shorter ones only ask


class Harness:
    """Counts events in all of vmnet's processes, and kills at one."""

    def __init__(self, log: Path, who: str, at: str) -> None:
        self._main = os.getpid()
        self._who, self._at = who, at
        self._log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._seen: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._inside = threading.local()

    def happens(self, what: str) -> None:
        """Take an event down, and kill where it is the one."""
        if getattr(self._inside, "busy", False):
            return
        self._inside.busy = True
        try:
            role = "main" if os.getpid() == self._main else "worker"
            what = f"{role} {normal(what)}"
            with self._lock:
                self._seen[what] += 1
                line = f"{what} #{self._seen[what]}"
                number = f"{role} {self._seen.total()}"
            os.write(self._log, f"{line}\n".encode())
            if self._at in {line, number}:
                os.write(self._log, KILLED.encode())
                self._kill()
        finally:
            self._inside.busy = False

    def _kill(self) -> None:
        reaper = next(iter(_children(self._main)), 0)
        worker = next(iter(_children(reaper)), 0)
        doomed = {"main": [self._main], "worker": [worker], "reaper": [reaper]}
        every = [self._main, reaper, worker]
        me = os.getpid()
        for pid in sorted(doomed.get(self._who, every), key=lambda x: x == me):  # itself last
            if pid:
                os.kill(pid, signal.SIGKILL)

    def told(self, event: str, args: tuple[Any, ...]) -> None:
        """Hear of what Python is about to do."""
        if event == "open":
            path, _, flags = args
            if isinstance(flags, int) and flags & _WRITES and isinstance(path, str | bytes):
                name = os.fsdecode(path)
                if not name.startswith(("/proc/self", "/dev/null")):
                    self.happens(f"open {name}")
        elif event in TOLD:
            self.happens(f"{event} {str(args[:2])[:160]}")

    def around(self, function: Callable[..., Any], name: str) -> Callable[..., Any]:
        """Return a function with an event before it and one behind it."""

        def call(*args: Any, **more: Any) -> Any:  # noqa: ANN401
            self.happens(f"before {name}")
            out = function(*args, **more)
            self.happens(f"after {name}")
            return out

        return call


def normal(what: str) -> str:
    """Return an event's name without what differs from run to run."""
    what = re.sub(r"\bnic\d\w+", "NIC", what)
    what = re.sub(r"(?<![a-z0-9])t\d+x\d{3}", "PLAN", what)
    what = re.sub(r"(?<=\bmv[a-z])[0-9a-f]{10}|(?<=-)[0-9a-f]{10,}", "N", what)
    what = re.sub(r"0x[0-9a-f]+|(?<=[^\w])\d{4,}|(?<=fd/)\d+", "N", what)
    what = re.sub(r"(?<=os.truncate )\(.*\)", "(N, N)", what)
    what = re.sub(r"\.[a-z0-9_]{8}(?=['\"])", ".TMP", what)
    return what.replace("\n", " ")


def _children(pid: int) -> list[int]:
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    except OSError:
        return []
    return [int(x) for x in text.split()]


def main() -> None:
    """Run vmnet with these events."""
    import libvirt

    log, who, *words = sys.argv[1:]
    harness = Harness(Path(log), who, os.environ.get("CRASH_AT", ""))
    for kind, names in CALLS.items():
        for name in names:
            where = getattr(libvirt, kind)
            setattr(where, name, harness.around(getattr(where, name), f"libvirt {name}"))
    send = socket.socket.send

    def sent(self: socket.socket, data: bytes, *more: Any) -> int:  # noqa: ANN401
        if self.family != socket.AF_NETLINK or len(data) <= _LEAST_NETLINK:
            return send(self, data, *more)
        return int(harness.around(send, f"netlink {len(data)}")(self, data, *more))

    socket.socket.send = sent  # type: ignore[method-assign,assignment]
    sys.addaudithook(harness.told)
    from provisioner.__main__ import main as vmnet
    from provisioner.host.drivers import Drivers

    perform = Drivers.perform

    def performed(self: Drivers, step: "Step") -> str:
        titles = ", ".join(sorted(step.title.split(", ")))
        return str(harness.around(perform, f"step {step.verb} {titles}")(self, step))

    Drivers.perform = performed  # type: ignore[method-assign]
    sys.argv = ["vmnet", *words]
    vmnet()


if __name__ == "__main__":
    main()
