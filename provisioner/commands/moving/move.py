"""vmnet move: a guest goes to another host while it runs.

This host tells vmnet there of it, by ssh, and lets libvirt move it when all is ready there. What
the guest had here goes when it runs there, and not before.
"""

from collections.abc import Iterator
from concurrent.futures import wait
from contextlib import contextmanager
from typing import Final

from provisioner.commands.moving import keys
from provisioner.commands.moving.arriving import FAILED, MOVED
from provisioner.commands.moving.errand import Errand, Moved, MoveWay, taken_away
from provisioner.commands.moving.stopped import moved_stopped
from provisioner.commands.session import Session, begun, domain, one
from provisioner.commands.target import CommandRun, PlanTarget
from provisioner.errors import Exit, VmnetError
from provisioner.guest.domain import RUNNING, Domain
from provisioner.guest.moving.offer import GuestOffer, as_line
from provisioner.host.libvirt.domains import Domains
from provisioner.host.libvirt.moving import migration
from provisioner.host.libvirt.moving.migration import Departure
from provisioner.host.machine import MACHINE
from provisioner.host.moving import arrival, departure, peer
from provisioner.host.moving.peer import Peer, state_line
from provisioner.host.moving.processor import flags
from provisioner.host.system import paths
from provisioner.network.resources import Macvtap
from provisioner.signals import Deferred, deferred

_READY_S: Final = 600.0  # that the other host may take: its image may have to be built
_PUT_AWAY_S: Final = 60.0
_LOOK_S: Final = 0.1
_LONGEST_S: Final = 24 * 3600.0  # a large memory, a slow line


class StaysError(VmnetError):
    """Why a guest cannot be moved while it runs; nothing has been touched."""


def move(target: PlanTarget, run: CommandRun, errand: Errand) -> Moved:
    """Move a guest to another host. Raises VmnetError or Complaints when it has stayed here.

    An interrupt stops the move if it can still be stopped, and is obeyed when one host alone has
    the guest.
    """
    with begun(target, run) as session:
        if errand.way is MoveWay.STOPPED:
            return moved_stopped(session, errand)
        try:
            return _moved(session, errand)
        except StaysError as error:
            if errand.way is MoveWay.LIVE:
                raise
            run.tell(error.what)
            return moved_stopped(session, errand)


def _moved(session: Session, errand: Errand) -> Moved:
    """Move a guest that runs on meanwhile. Raises StaysError when that is not possible."""
    target, tell = session.target, session.tell
    vm = one(target, errand.vm)
    try:
        guest = domain(session.snapshot.resources.values(), vm)
    except VmnetError as error:
        raise StaysError(error.what, fix=error.fix, status=error.status) from None
    refuse(session, guest, errand)
    offer = _offer(session, guest, errand.plan)
    folder = arrival.sockets_folder(target.name, vm)
    tell(f"asking {errand.login} to take {vm}")
    with peer.opened(errand.login, ("receive",), folder) as there:
        there.say(as_line(offer))
        try:
            ready = there.hear("ready", _READY_S)
        except VmnetError as error:
            raise StaysError(error.what, fix=error.fix, status=error.status) from error
        tell(f"moving {vm} to {errand.login}")
        leaving = departure.leaving(guest, str(ready.get("xml", "")), errand.bandwidth_mib)
        with deferred() as interrupt:
            with _told(session, there, guest):
                _migrate(session, leaving, there, interrupt)
            took = _arrived(session, there)
            left = [str(step) for step in taken_away(session, vm).to_do]
    return Moved(target.name, vm, str(errand.login), took, str(MoveWay.LIVE), tuple(left))


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


def refuse(session: Session, guest: Domain, errand: Errand) -> None:
    """Raise StaysError when a guest cannot leave while it runs."""
    if why := next(_hindrances(session, guest), ""):
        raise StaysError(
            f"{guest.vm} cannot be moved while it runs: {why}",
            fix=f"move it while it is stopped: vmnet move {guest.vm} {errand.login} --stopped",
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
