"""vmnet move --stopped: a guest is shut down here, its files are carried, it is started there.

Before the other host is told that the guest is its own, this is written down here: from then on the
guest is not started here, until the other host has said that it has not got it. What the guest has
here goes when it runs there, and not before.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import Any, Final

from provisioner.commands.lifecycle.power import shut_down
from provisioner.commands.moving import keys
from provisioner.commands.moving.arriving import FAILED, MOVED
from provisioner.commands.moving.errand import Errand, Moved, MoveWay, taken_away
from provisioner.commands.moving.take import FILES, HAVE, HERE, READY, WHOLE
from provisioner.commands.session import Session, one
from provisioner.commands.up import brought_up, judged
from provisioner.errors import Complaints, Exit, VmnetError
from provisioner.guest.domain import RUNNING, Domain, FileCopy, Overlay
from provisioner.guest.moving.stopped_offer import OfferedFile, StoppedOffer, as_line, listed
from provisioner.host.moving import carried, given, peer
from provisioner.host.moving.peer import Peer, refused, state_line
from provisioner.host.system import paths
from provisioner.reconcile import partial
from provisioner.signals import deferred

_READY_S: Final = 600.0  # that the other host may take: its image may have to be built
_WHOLE_S: Final = 600.0  # that it may take to prove the files
_STARTS_S: Final = 1800.0  # that the guest may take to be up there
_PUT_AWAY_S: Final = 120.0
_MIB: Final = 1 << 20


def moved_stopped(session: Session, errand: Errand) -> Moved:
    """Move a guest that is shut down for it, and started there; one that is down already, too.

    Raises VmnetError or Complaints when it has not moved: one that ran is started here again,
    unless it may run there. Done again, it goes on from there.
    """
    vm = one(session.target, errand.vm)
    session.run = replace(session.run, only=frozenset({vm}), recreate=True, pairs="none")
    guest = next((x for x in session.domains if x.vm == vm), None)
    refuse(session, vm, guest)
    if guest:
        session.refuse()
        judged(session)  # what cannot be started again is not stopped
    offer = _offer(session, vm, errand.plan)
    session.tell(f"asking {errand.login} to take {vm}")
    with peer.opened(errand.login, ("receive",)) as there:
        there.say(as_line(offer))
        found = there.listen(_READY_S)
        if found.get("state") == HERE:
            _prove_same(session, vm, guest, found, errand)
        elif found.get("state") == READY:
            _hand_over(session, there, guest, errand)
        else:
            raise refused(errand.login, found)
    left = [str(step) for step in taken_away(session, vm).to_do]
    way = str(MoveWay.STOPPED)
    return Moved(session.target.name, vm, str(errand.login), 0, way, tuple(left))


def _hand_over(session: Session, there: Peer, guest: Domain | None, errand: Errand) -> None:
    """Stop a guest, send its files, and let the other host have it. Raises VmnetError."""
    vm, ran = errand.vm, guest is not None
    with _put_back(session, there, vm, ran=ran):
        if not ran and vm not in partial.vms(session.snapshot.resources):
            raise VmnetError(f'VM "{vm}" is on neither host', fix="bring it up: vmnet up")
        _carry(session, there, vm, errand)
    with deferred():
        _give(session, there, vm, errand, ran=ran)


def refuse(session: Session, vm: str, guest: Domain | None) -> None:
    """Raise VmnetError when a guest cannot leave, not even stopped."""
    what, fix = "", ""
    own = [str(d.path or d.device) for d in session.target.plan.vm(vm).disks if d.path or d.device]
    if own:
        what = f"its disk {own[0]} is the user's own file or device, which stays on this host"
        fix = f"copy it there yourself, then: vmnet down {vm}, and vmnet up on the other host"
    elif guest and guest.state != RUNNING:
        what, fix = f"it is {guest.state}", f"let it go on first: vmnet resume {vm}"
    if what:
        raise VmnetError(f"{vm} cannot be moved: {what}", fix=fix, status=Exit.CONFLICT)


def _offer(session: Session, vm: str, plan: str) -> StoppedOffer:
    return StoppedOffer(
        vm, plan, keys.of_guest(session.target.name, vm), tuple(_files(session, vm))
    )


def _files(session: Session, vm: str) -> Iterator[OfferedFile]:
    """Return the files that are a guest's own: its disks, and the variables of its UEFI."""
    home, there = paths.home(session.target.name), session.snapshot.resources
    for one_file in there.values():
        if isinstance(one_file, Overlay | FileCopy) and partial.vm_of(one_file, there) == vm:
            path = Path(one_file.path)
            backing = one_file.backing if isinstance(one_file, Overlay) else ""
            size = path.stat().st_size
            yield OfferedFile(str(path.relative_to(home)), size, backing=backing)


def _prove_same(
    session: Session, vm: str, guest: Domain | None, found: Mapping[str, Any], errand: Errand
) -> None:
    """Raise VmnetError unless the guest that runs there is this one, and has come from here."""
    plan = session.target.name
    digests = found.get("files")
    known = digests if isinstance(digests, dict) else {}
    own = [carried.measured(paths.home(plan) / x.place, x) for x in _files(session, vm)]
    if guest or any(known.get(file.place) != file.sha256 for file in own):
        why = "it runs here, too" if guest else "what it has written here is not what came there"
        raise VmnetError(
            f"{vm} runs on {errand.login} already, and {why}",
            fix=f"end one of the two: vmnet down {vm}, on either host",
            status=Exit.CONFLICT,
        )
    session.tell(f"{vm} runs on {errand.login} already")


@contextmanager
def _put_back(session: Session, there: Peer, vm: str, *, ran: bool) -> Iterator[None]:
    """When the block fails, have the other host forget the guest, and start it here if it ran.

    It has not been given away: nothing can have started it there.
    """
    try:
        yield
    except BaseException as failed:
        with deferred():
            try:
                there.say(state_line(FAILED))
                there.listen(_PUT_AWAY_S)
            except VmnetError as error:
                if not there.has_ended:
                    session.tell(f"warning: {error.what}")
            _started_again(session, vm, ran=ran)
        if isinstance(failed, VmnetError):
            raise _stayed(vm, failed) from failed
        raise


def _stayed(vm: str, failed: VmnetError) -> VmnetError:
    what = f"{vm} has not moved, and is here as before: {failed.what}"
    return VmnetError(what, fix=failed.fix, status=failed.status)


def _started_again(session: Session, vm: str, *, ran: bool) -> None:
    """Start a guest here that has not moved, if it ran."""
    session.look()
    given.write(session.target.name, vm, "")
    if not ran or any(x.vm == vm for x in session.domains):
        return
    session.tell(f"starting {vm} here again")
    try:
        report = brought_up(session, monotonic())
        failed = [one.error.what for one in report.failed]
    except VmnetError as error:
        failed = [error.what]
    except Complaints as complaints:
        failed = [one.what for one in complaints.errors]
    for what in failed:
        session.tell(f"warning: {vm} has not started: {what}")


def _carry(session: Session, there: Peer, vm: str, errand: Errand) -> None:
    """Shut a guest down and send what is missing there. Raises VmnetError."""
    outcome = shut_down(session, {vm})
    if outcome.failed:
        raise outcome.failed[0][1]
    session.look()
    home = paths.home(session.target.name)
    files = [carried.measured(home / x.place, x) for x in _files(session, vm)]
    there.say(state_line(FILES, files=listed(files)))
    have = there.hear(HAVE, _READY_S).get("files")
    known = have if isinstance(have, dict) else {}
    for file in files:
        if file.place in known:
            _send(session, there, file, known[file.place], errand)
    there.hear(WHOLE, _WHOLE_S)


def _send(session: Session, there: Peer, file: OfferedFile, start: object, errand: Errand) -> None:
    """Send a file from one of its bytes on, at most so many MiB a second as are wanted."""
    at = start if isinstance(start, int) and 0 <= start <= file.size else 0
    name = file.place.rpartition("/")[2]
    part = f", of which {at / _MIB:,.1f} are there" if at else ""
    session.tell(f"{name} goes to {errand.login}: {file.size / _MIB:,.1f} MiB{part}")
    began, sent = monotonic(), 0
    for piece in carried.pieces(paths.home(session.target.name) / file.place, at):
        with deferred():  # a piece is sent whole: then the other host hears what is said next
            there.send(b"%d\n" % len(piece) + piece)
        sent += len(piece)
        if errand.bandwidth_mib:
            there.speaks(sent / (errand.bandwidth_mib * _MIB) - (monotonic() - began))


def _give(session: Session, there: Peer, vm: str, errand: Errand, *, ran: bool) -> None:
    """Let the other host have the guest. Raises VmnetError when it has it not, or may have it."""
    given.write(session.target.name, vm, str(errand.login))
    session.tell(f"starting {vm} on {errand.login}")
    try:
        there.say(state_line(MOVED))
        found = there.listen(_STARTS_S)
    except VmnetError as error:
        raise _unknown(vm, errand, error.what) from error
    if found.get("state") == FAILED:
        _started_again(session, vm, ran=ran)
        raise _stayed(vm, refused(errand.login, found))
    if found.get("state") != "arrived":
        raise _unknown(vm, errand, refused(errand.login, found).what)


def _unknown(vm: str, errand: Errand, why: str) -> VmnetError:
    return VmnetError(
        f"whether {vm} runs on {errand.login} is not known, so it is not started here: {why}",
        fix="run the same vmnet move again: it goes on from there",
        status=Exit.PARTLY_DONE,
    )
