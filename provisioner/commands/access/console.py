"""vmnet exec, console and logs: programs inside a guest, and its serial console."""

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from provisioner import naming
from provisioner.commands.session import begun, domain, one
from provisioner.commands.target import CommandRun, NameTarget, PlanTarget
from provisioner.dataclass import dataclass
from provisioner.errors import VmnetError
from provisioner.host.guest import console_log
from provisioner.host.guest import terminal as terminals
from provisioner.host.guest.commands import Guests, Ran
from provisioner.host.machine import MACHINE
from provisioner.host.system import paths, processes, programs

_LEAST_S = 1.0  # for a program whose agent came at the last moment
_ANSWER_S = 2.0  # for the agent to report that a program is not done
_RESIZE_S = 30.0


def execute(
    target: PlanTarget | NameTarget, run: CommandRun, vm: str, argv: Sequence[str], stdin: bytes
) -> Ran:
    """Run a program inside a VM through its guest agent. Raises VmnetError when it cannot."""
    name = one(target, vm)
    with begun(target, run) as session:
        domain(session.domains, name)
        end = time.monotonic() + run.timeout_s
        session.await_agent(name, run.timeout_s)
        # The agent wants a path (or its own PATH); env(1) looks the program up in the guest's.
        argv = argv if "/" in argv[0] else ["/usr/bin/env", *argv]
        left_s = max(_LEAST_S, end - time.monotonic())
        limited = run.worker.within(left_s + _ANSWER_S)
        return limited.do(MACHINE.guest, name, Guests.run_bounded, argv, left_s, stdin)


def console(
    target: PlanTarget | NameTarget,
    run: CommandRun,
    vm: str,
    *,
    escape: bytes,
    resize: Sequence[str] | None,
) -> None:
    """Join the terminal to a VM's console until the escape key.

    A serial line knows no size. With `resize`, the arguments by which `vmnet exec` finds the plan,
    the terminal's is set in the guest through its agent, now and whenever it changes; best effort.
    """
    name = one(target, vm)
    with begun(target, run) as session:
        domain(session.domains, name)
        terminal = run.worker.do(MACHINE.terminal, name)
    resized = _Resizing(name, resize).to if resize is not None else None
    terminals.attach(terminal, escape, resized)


class _Resizing:
    """Sets a guest's terminal to the size of ours, by another vmnet: ours has closed libvirt.

    While one size is under way only the newest of those that follow is kept.
    """

    def __init__(self, vm: str, argv: Sequence[str]) -> None:
        self._argv = [*processes.vmnet(), "exec", *argv, vm, "--"]
        self._lock = threading.Lock()
        self._busy = False
        self._next: tuple[int, int] | None = None

    def to(self, rows: int, columns: int) -> None:
        with self._lock:
            self._next = (rows, columns)
            if self._busy:
                return
            self._busy = True
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            with self._lock:
                size, self._next = self._next, None
                if size is None:
                    self._busy = False
                    return
            rows, columns = map(str, size)
            stty = ["stty", "-F", "/dev/ttyS0", "rows", rows, "cols", columns]
            try:
                programs.run([*self._argv, *stty], timeout_s=_RESIZE_S, check=False)
            except VmnetError:
                continue  # the line works without


@dataclass(frozen=True, slots=True)
class Log:
    """A log and who writes it: `pid` is 0 when nobody does any more."""

    path: Path
    pid: int


def find_log(target: PlanTarget | NameTarget, vm: str, *, qemu: bool) -> Log:
    """Return the log of a VM's console, or QEMU's own. Raises VmnetError when there is none."""
    name = one(target, vm)
    domain_name = naming.domain(target.name, name)
    embedded = paths.libvirt_root(target.name)
    log = paths.folder(target.name, "console") / f"{name}.log"
    if qemu:
        inside = embedded / "log" / "qemu" / f"{domain_name}.log"
        system = Path("/var/log/libvirt/qemu") / f"{domain_name}.log"
        log = inside if inside.exists() else system
    if not log.exists():
        raise VmnetError(f"{name} has no log at {log}", fix="bring the plan up: vmnet up")
    for run in (embedded / "run", Path("/run/libvirt")):
        try:
            pid = int((run / "qemu" / f"{domain_name}.pid").read_text(encoding="ascii"))
        except (OSError, ValueError):
            continue
        if Path(f"/proc/{pid}").exists():
            return Log(log, pid)
    return Log(log, 0)


def follow_log(log: Log, size: int, write: Callable[[bytes], None], reader: int) -> None:
    """Write what a log gets from its byte `size` on, until its VM has ended.

    `reader` is the descriptor that is written to: it ends, too, when nobody reads there any more.
    """
    if log.pid:
        console_log.follow(log.path, size, log.pid, write, reader)
