"""vmnet move: a guest goes to another host while it runs.

This host tells vmnet there of it, by ssh, and lets libvirt move it when all is ready there. What
the guest had here goes when it runs there, and not before.
"""

from collections.abc import Iterator
from concurrent.futures import wait
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import Final

from provisioner.commands.lifecycle.down import taken_away
from provisioner.commands.moving import keys
from provisioner.commands.moving.receive import FAILED, MOVED
from provisioner.commands.session import Session, begun, domain, one
from provisioner.commands.target import CommandRun, PlanTarget
from provisioner.dataclass import dataclass
from provisioner.errors import Exit, VmnetError
from provisioner.guest.domain import RUNNING, Domain, Overlay
from provisioner.guest.moving.offer import GuestOffer, as_line
from provisioner.host.libvirt.domains import Domains
from provisioner.host.libvirt.moving import migration
from provisioner.host.libvirt.moving.migration import Departure
from provisioner.host.machine import MACHINE
from provisioner.host.moving import arrival, departure, peer
from provisioner.host.moving.peer import Peer, state_line
from provisioner.host.moving.processor import flags
from provisioner.host.system import paths
from provisioner.json_document import json_document
from provisioner.network.resources import Macvtap
from provisioner.plan.hosts import Login
from provisioner.report.report import Report
from provisioner.signals import Deferred, deferred

_READY_S: Final = 600.0  # that the other host may take: its image may have to be built
_PUT_AWAY_S: Final = 60.0
_LOOK_S: Final = 0.1
_LONGEST_S: Final = 24 * 3600.0  # a large memory, a slow line


@dataclass(frozen=True, slots=True)
class Errand:
    """What is to be moved and where to; `plan` is the plan's text as the other host has it.

    `bandwidth_mib` is how many MiB/s it may take at most, 0 for no limit.
    """

    vm: str
    login: Login
    plan: str
    bandwidth_mib: int = 0


@dataclass(frozen=True, slots=True)
class Moved:
    """A guest that has moved, and for how long QEMU says it was stopped: 0 when it does not."""

    plan: str
    vm: str
    host: str
    downtime_ms: int
    left: tuple[str, ...] = ()  # what could not be taken away here

    @property
    def status(self) -> Exit:
        """Whether nothing of it is left here."""
        return Exit.PARTLY_DONE if self.left else Exit.DONE


def as_json(moved: Moved) -> str:
    """Return what has become of a move as a document."""
    return json_document("move", moved.status, asdict(moved))


def move(target: PlanTarget, run: CommandRun, errand: Errand) -> Moved:
    """Move a guest that runs. Raises VmnetError or Complaints when it has stayed here.

    An interrupt stops the move if it can still be stopped, and is obeyed when one host alone has
    the guest.
    """
    with begun(target, run) as session:
        vm = one(target, errand.vm)
        guest = domain(session.snapshot.resources.values(), vm)
        refuse(session, guest)
        offer = _offer(session, guest, errand.plan)
        folder = arrival.sockets_folder(target.name, vm)
        run.tell(f"asking {errand.login} to take {vm}")
        with peer.opened(errand.login, folder, ("receive",)) as there:
            there.say(as_line(offer))
            ready = there.hear("ready", _READY_S)
            run.tell(f"moving {vm} to {errand.login}")
            leaving = departure.leaving(guest, str(ready.get("xml", "")), errand.bandwidth_mib)
            with deferred() as interrupt:
                with _told(session, there, guest):
                    _migrate(session, leaving, there, interrupt)
                took = _arrived(session, there)
                left = [str(step) for step in _taken_away(session, guest).to_do]
        return Moved(target.name, vm, str(errand.login), took, tuple(left))


def _migrate(session: Session, leaving: Departure, there: Peer, interrupt: Deferred) -> None:
    """Let libvirt move a guest. Raises VmnetError.

    It is asked to stop that at an interrupt, and when nobody is there to set the guest's links up.
    """
    worker = session.worker.within(_LONGEST_S)
    call = worker.call(MACHINE.on_libvirt, departure.migrate, leaving)
    is_stopped = False
    while not wait([call], _LOOK_S).done:
        if (interrupt.number is not None or there.has_ended) and not is_stopped:
            is_stopped = True
            session.worker.do(MACHINE.on_domains, migration.abort, leaving.domain.name)
    call.result()


def _arrived(session: Session, there: Peer) -> int:
    """Tell the other host that it has the guest; return for how many ms QEMU stopped it."""
    try:
        there.say(state_line(MOVED))
        took = there.hear("arrived", _PUT_AWAY_S).get("downtime_ms")
    except VmnetError as error:
        session.tell(f"warning: the guest is there, and {error.what}: run vmnet up there")
        return 0
    return took if isinstance(took, int) else 0


def refuse(session: Session, guest: Domain) -> None:
    """Raise VmnetError when a guest cannot leave while it runs."""
    if why := next(_hindrances(session, guest), ""):
        raise VmnetError(
            f"{guest.vm} cannot be moved while it runs: {why}",
            fix=f"move it while it is stopped: vmnet down {guest.vm}, and vmnet up on the other "
            "host",
            status=Exit.CONFLICT,
        )


def _hindrances(session: Session, guest: Domain) -> Iterator[str]:
    """List what keeps a guest from leaving while it runs."""
    taps = {r.name: r for r in session.snapshot.resources.values() if isinstance(r, Macvtap)}
    exclusive = [t for n in guest.nics if (t := taps.get(n.link)) and t.mode.is_exclusive]
    own = f"{paths.home(session.target.name)}/disk/"
    if session.is_embedded:
        yield "vmnet's embedded libvirt has started it, and that one moves no guests"
    if guest.state != RUNNING:
        yield f"it is {guest.state}"
    if exclusive:
        yield f"its NIC {exclusive[0].name} is passthru, and the MAC stays with this host's NIC"
    if any(nic.granted for nic in guest.nics):
        yield "one of its devices is granted by root, and of this host alone"
    if any(not disk.path.startswith(own) for disk in guest.disks if not disk.readonly):
        yield "one of its disks is the user's own file or device, which stays on this host"
    if guest.firmware:
        yield "UEFI's variables do not move with it"


def _offer(session: Session, guest: Domain, plan: str) -> GuestOffer:
    xml = session.worker.do(MACHINE.on_domains, migration.described, guest)
    known = flags() if guest.accel == "kvm" else frozenset()
    return GuestOffer(
        guest.vm, plan, xml, guest, keys.of_guest(session.target.name, guest.vm), known
    )


@contextmanager
def _told(session: Session, there: Peer, guest: Domain) -> Iterator[None]:
    """Tell the other host of it when the block fails, and wait until nothing is left there.

    A guest that libvirt has here no more may be there all the same: then it is left in peace.
    """
    try:
        yield
    except VmnetError as failed:
        if not session.worker.do(MACHINE.on_domains, Domains.runs, guest.name):
            raise
        try:
            there.say(state_line(FAILED))
            there.hear(FAILED, _PUT_AWAY_S)
        except VmnetError as error:
            session.tell(f"warning: {error.what}")
        raise VmnetError(
            f"{guest.vm} has not moved, and runs on here: {failed.what}",
            fix="look at QEMU's messages on both hosts (vmnet logs --qemu VM), then run vmnet move "
            "again",
            status=failed.status,
        ) from failed


def _taken_away(session: Session, guest: Domain) -> Report:
    """Take away what the guest had here: nothing of it is used any more."""
    session.look()
    disks = {
        r.path
        for r in session.snapshot.resources.values()
        if isinstance(r, Overlay) and r.vm == guest.vm
    }
    session.run = replace(session.run, only=frozenset({guest.vm}), doomed=frozenset(disks))
    return taken_away(session)
