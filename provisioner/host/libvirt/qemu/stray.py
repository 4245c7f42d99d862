"""Guests whose QEMU runs and which libvirt does not know: its records were lost, or its daemon is.

They are found in /proc by what libvirt writes on each command line: the domain's name, and a UUID
that is derived from the plan and the VM. Nothing of such a guest may be taken away while it runs.
"""

import os
import select
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from provisioner import naming
from provisioner.dataclass import dataclass
from provisioner.errors import Exit, VmnetError
from provisioner.guest.domain import StrayDomain
from provisioner.guest.qemu import arguments
from provisioner.host.libvirt import half_started, qemu_process
from provisioner.host.libvirt.qemu import monitor as qemu_monitor
from provisioner.host.system import paths, processes
from provisioner.reconcile.resources import Look
from provisioner.text import one_line

_SYSTEM: Final = "/var/lib/libvirt/qemu"
_SHUTDOWN_S: Final = 30.0
"""Seconds that a guest with a disk of its own has to shut down when its power button is pressed."""
_END_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class PlanQemu:
    """A process that is proved to be the QEMU of a plan's VM."""

    vm: str
    pid: int
    argv: tuple[str, ...]


def observe(look: Look) -> list[StrayDomain]:
    """List the guests of a plan that run and that libvirt does not know."""
    known = {d.name for d in look.domains} | {x.name for x in half_started.observe(look)}
    return [
        StrayDomain(x.pid, look.plan, x.vm)
        for x in qemus(look.plan)
        if naming.domain(look.plan, x.vm) not in known
    ]


def delete(stray: StrayDomain) -> None:
    """Let such a guest shut down, and end its QEMU; one that has ended already is fine.

    Raises VmnetError when it does not end.
    """
    try:
        process = os.pidfd_open(stray.pid)
    except OSError:
        return
    try:
        found = next((x for x in qemus(stray.plan) if x.pid == stray.pid), None)
        if found:
            _end(process, found)
    finally:
        os.close(process)


def end(plan: str, vm: str) -> None:
    """End what runs of a VM that libvirt has just ended, or does not know any more.

    libvirt may lose a guest while vmnet works. Raises VmnetError when one does not end.
    """
    for found in qemus(plan):
        if found.vm == vm:
            delete(StrayDomain(found.pid, plan, vm))


def refuse_absent_daemon(plan: str) -> None:
    """Raise VmnetError when VMs of the plan run that another libvirt than the embedded started.

    Their devices and disks must not be touched before that one is there again.
    """
    own = f"{paths.libvirt_root(plan)}/lib/qemu"
    folders = {x: arguments.folder(x.argv) for x in qemus(plan)}
    others = {x: folder for x, folder in folders.items() if folder not in {own, ""}}
    if not others:
        return
    names = ", ".join(f"{x.vm} (process {x.pid})" for x in others)
    folder = next(iter(others.values()))
    run = folder.removesuffix(f"/{plan}/lib/qemu")
    if folder == _SYSTEM:
        who = "a libvirt daemon that does not answer"
        fix = "start it again (systemctl start libvirtd), then run this once more"
    elif run != folder:
        who = f"an embedded libvirt under {one_line(run)}"
        fix = f"run vmnet as it was run then: VMNET_RUN_DIR={one_line(run)}"
    else:
        who = f"another libvirt, under {one_line(folder)}"
        fix = "run vmnet as the user who started them, with --connection qemu:///session"
    raise VmnetError(
        f"VMs of this plan run, started by {who}: {names}", fix=fix, status=Exit.HOST_CANNOT
    )


def qemus(plan: str) -> Iterator[PlanQemu]:
    """Return the QEMUs of a plan's VMs, whoever started them.

    One in another network namespace counts when it uses the plan's own folders here: another
    container's plan of the same name has other ones.
    """
    for entry in os.scandir("/proc"):
        if not entry.name.isdecimal():
            continue
        try:
            text = Path(entry.path, "cmdline").read_bytes()
        except OSError:
            continue  # it has ended
        if b"guest=" not in text:
            continue
        argv = text.decode("utf-8", "surrogateescape").split("\0")
        vm = arguments.vm_of(plan, argv)
        if vm and _is_here(plan, int(entry.name), argv):
            yield PlanQemu(vm, int(entry.name), tuple(argv))


def _is_here(plan: str, pid: int, argv: Sequence[str]) -> bool:
    try:
        if processes.network_namespace(pid) == processes.network_namespace():
            return True
        mine, its = (Path(f"/proc/{x}/root").stat() for x in ("thread-self", pid))
    except OSError:
        return os.geteuid() == 0  # hidden from us: a user's own are not; or it has just ended
    folders = (f"{paths.libvirt_root(plan)}/", f"{paths.home(plan)}/")
    is_same_root = (mine.st_dev, mine.st_ino) == (its.st_dev, its.st_ino)
    return is_same_root and any(folder in word for word in argv for folder in folders)


def _end(process: int, qemu: PlanQemu) -> None:
    with suppress(ProcessLookupError):
        if qemu_process.process_state(qemu.pid) == "T":
            signal.pidfd_send_signal(process, signal.SIGCONT)
        with suppress(OSError, ValueError), qemu_monitor.opened(process, qemu.argv) as monitor:
            if arguments.writes(qemu.argv):
                monitor.ask("cont")  # a guest that is paused hears no button
                monitor.ask("system_powerdown")
                with suppress(TimeoutError):
                    monitor.await_shutdown(_SHUTDOWN_S)
            monitor.ask("quit")
            if _has_ended(process):
                return
        for number in (signal.SIGTERM, signal.SIGKILL):  # to SIGTERM it writes what it has cached
            signal.pidfd_send_signal(process, number)
            if _has_ended(process):
                return
        raise VmnetError(
            f"process {qemu.pid}, the QEMU of {qemu.vm}, does not end after SIGKILL: it "
            "waits for a disk or for memory",
            fix="see what it waits for (ps -o pid,stat,wchan), then run this again",
        )


def _has_ended(process: int) -> bool:
    """Wait for the end; its taps and disks are closed then (pidfd_open(2))."""
    end = time.monotonic() + _END_S
    while (left_s := end - time.monotonic()) > 0:
        if select.select([process], [], [], left_s)[0]:
            return True
    return False
