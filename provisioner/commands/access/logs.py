"""vmnet logs: what a guest's console, or QEMU, has printed."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from provisioner import naming
from provisioner.commands.session import one
from provisioner.commands.target import PlanTarget
from provisioner.errors import VmnetError
from provisioner.host.guest import console_log
from provisioner.host.system import paths


@dataclass(frozen=True, slots=True)
class Log:
    """A log and who writes it: `pid` is 0 when nobody does any more."""

    path: Path
    pid: int


def find(target: PlanTarget, vm: str, *, qemu: bool) -> Log:
    """Return the log of a VM's console, or QEMU's own. Raises VmnetError when there is none."""
    name = one(target, vm)
    domain_name = naming.domain(target.name, name)
    embedded = paths.libvirt_root(target.name)
    log = paths.consoles(target.name) / f"{name}.log"
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


def follow(log: Log, size: int, write: Callable[[bytes], None]) -> None:
    """Write what a log gets from its byte `size` on, until its VM has ended."""
    if log.pid:
        console_log.follow(log.path, size, log.pid, write)
