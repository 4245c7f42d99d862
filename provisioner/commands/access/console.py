"""vmnet console: our terminal joined to a guest's serial console."""

import sys
import threading
from collections.abc import Sequence

from provisioner.commands.session import begun, domain, one
from provisioner.commands.target import Options, PlanTarget, Tell
from provisioner.errors import VmnetError
from provisioner.host.guest import terminal as terminals
from provisioner.host.machine import MACHINE
from provisioner.host.system import programs
from provisioner.host.system.worker import Worker

_RESIZE_S = 30.0


def console(  # noqa: PLR0913  (what the command line says, word by word)
    target: PlanTarget,
    options: Options,
    worker: Worker,
    tell: Tell,
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
    with begun(target, options, worker, tell) as session:
        domain(session.snapshot.resources.values(), name)
        terminal = worker.do(MACHINE.terminal, name)
    resized = _Resizing(name, resize).to if resize is not None else None
    terminals.attach(terminal, escape, resized)


class _Resizing:
    """Sets a guest's terminal to the size of ours, by another vmnet: ours has closed libvirt.

    While one size is under way only the newest of those that follow is kept.
    """

    def __init__(self, vm: str, argv: Sequence[str]) -> None:
        self._argv = [sys.executable, "-m", "provisioner", "exec", *argv, vm, "--"]
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
