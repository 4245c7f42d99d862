"""vmnet receive: what the other host of a move does.

All of the guest's part of the plan is made here, its macvtaps down, but for its domain: that comes
from where it runs. Unless it comes, all of it goes again.
"""

import os
import select
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from provisioner.commands.loading import texts
from provisioner.commands.moving import keys
from provisioner.commands.session import Session, begun, mark_of
from provisioner.commands.steps.refusals import refuse_losses, refuse_shortage
from provisioner.commands.target import CommandRun, PlanTarget
from provisioner.commands.up import performed
from provisioner.errors import Complaints, Exit, VmnetError
from provisioner.guest.domain import Domain
from provisioner.guest.moving import same_guest
from provisioner.guest.moving.arriving_xml import arriving_xml
from provisioner.guest.moving.offer import MOST_LENGTH, GuestOffer, from_line, missing_flags
from provisioner.host.guest import console_log
from provisioner.host.libvirt.moving import migration
from provisioner.host.machine import MACHINE
from provisioner.host.moving import arrival
from provisioner.host.moving.peer import state_line
from provisioner.host.moving.processor import flags
from provisioner.host.system import paths, plan_folders
from provisioner.json_document import strict
from provisioner.network.moving.announcements import announcements
from provisioner.network.resources import Macvtap
from provisioner.plan.nic_id import NicId
from provisioner.reconcile import partial
from provisioner.reconcile.diff import Step, Verb, diff
from provisioner.reconcile.undo import undo
from provisioner.resource import Resource
from provisioner.text import one_line

FIRST_S: Final = 60.0  # until the offer is there
LONGEST_S: Final = 24 * 3600.0  # that a guest may take to arrive
_COMES_S: Final = 10.0  # until libvirt tells of a guest that is said to have moved
MOVED, FAILED = "moved", "failed"
"""What the host that the guest leaves says when libvirt has moved it, or has not."""


class Lines:
    """The lines of standard input, each with a deadline."""

    def __init__(self) -> None:
        self._heard = b""

    def next(self, within_s: float) -> str:
        """Return the next line, "" when there is none any more or none has come in time."""
        end = time.monotonic() + within_s
        while b"\n" not in self._heard and len(self._heard) <= MOST_LENGTH:
            readable, _, _ = select.select([0], [], [], max(0.0, end - time.monotonic()))
            piece = os.read(0, 1 << 16) if readable else b""
            if not piece:
                return ""
            self._heard += piece
        line, _, self._heard = self._heard.partition(b"\n")
        return line.decode("utf-8", "replace")


class NotComeError(VmnetError):
    """A guest that has been expected has not come, and nothing of it is here."""


@dataclass(slots=True)
class _Arriving:
    """A guest that is to come, and what has been made for it."""

    session: Session
    offer: GuestOffer
    goal: Domain
    done: list[Step] = field(default_factory=list)


def receive(run: CommandRun, uri: str = "") -> Exit:
    """Take a guest that another host offers on standard input; say on standard output how it goes.

    `uri` is where libvirt is, if not where the plan says. Returns the exit status; what is against
    it has been said.
    """
    lines = Lines()
    try:
        line = lines.next(FIRST_S)
        offer = from_line(line)
        _received(_target(offer, uri), offer, run, lines)
    except Complaints as complaints:
        first = complaints.errors[0]
        _say(_refusal(first, len(complaints.errors) - 1))
        return complaints.status
    except NotComeError as error:
        _say(state_line(FAILED))
        return error.status
    except VmnetError as error:
        _say(_refusal(error, 0))
        return error.status
    return Exit.DONE


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _refusal(error: VmnetError, others: int) -> str:
    more = f" (and {others} more)" if others else ""
    where = f"{one_line(str(error.where))}: " if error.where else ""
    return state_line(
        "refused", what=f"{where}{error.what}{more}", fix=error.fix or "", status=int(error.status)
    )


def _target(offer: GuestOffer, uri: str) -> PlanTarget:
    """Return the plan of an offer, which must be of its guest."""
    written = [("the offered plan", offer.plan)]
    target = texts.loaded(written, (), None, uri=uri, folder=Path("/"))
    if target.name != offer.domain.plan or offer.vm not in {vm.name for vm in target.plan.vms}:
        raise VmnetError(
            f"the offered plan {one_line(target.name)} has no VM {offer.vm}",
            fix="name the plan that it runs in: vmnet move VM HOST --file PLAN",
            status=Exit.BAD_INPUT,
        )
    return target


def _received(target: PlanTarget, offer: GuestOffer, run: CommandRun, lines: Lines) -> None:
    run = replace(run, only=frozenset({offer.vm}))
    with begun(target, run) as session:
        _refuse(session, offer)
        with _kept_keys(session, offer), session.claimed({offer.vm}):
            wanted = session.wanted(restored={offer.vm: offer.domain})
            goal = _goal(wanted.values(), offer)
            there = session.snapshot.resources
            steps = diff(partial.with_only({**wanted, goal.key: goal}, there, {offer.vm}), there)
            refuse_losses(steps)
            refuse_shortage(session, steps)
            xml = arriving_xml(offer.xml, offer.domain, goal)
            arriving = _Arriving(session, offer, goal)
            try:
                _prepare(arriving, steps)
                _say(state_line("ready", xml=xml))
                _await(arriving, lines)
            except BaseException:
                _take_back(arriving)
                raise
        took = session.worker.do(MACHINE.on_domains, migration.downtime_ms, goal.name)
        _say(state_line("arrived", downtime_ms=took))


def _refuse(session: Session, offer: GuestOffer) -> None:
    """Raise VmnetError or Complaints when the guest cannot come to this host."""
    if session.is_embedded:
        raise VmnetError(
            "this host has no libvirt daemon, and a guest that runs can only come to one",
            fix="start the daemon here (systemctl start libvirtd), or move the guest while it is "
            "stopped",
        )
    if offer.vm in {x.vm for x in session.snapshot.facts.live}:
        raise VmnetError(
            f"{offer.vm} of the plan {session.target.name} is on this host already",
            fix=f"look at it here: vmnet status --name {session.target.name}",
            status=Exit.CONFLICT,
        )
    if error := missing_flags(offer, flags() if offer.domain.accel == "kvm" else offer.cpu_flags):
        raise error
    session.refuse()


@contextmanager
def _kept_keys(session: Session, offer: GuestOffer) -> Iterator[None]:
    """Have the guest's keys while it is made; they go with it when it does not come."""
    plan = session.target.name
    plan_folders.make(paths.home(plan), plan, mark_of(session.target))
    try:
        keys.keep(plan, offer.vm, offer.keys)
        yield
    except BaseException:
        keys.forget(plan, offer.vm)
        raise


def _goal(wanted: Iterable[Resource], offer: GuestOffer) -> Domain:
    found = [r for r in wanted if isinstance(r, Domain) and r.vm == offer.vm]
    return same_guest.goal(offer.domain, found[0])


def _prepare(arriving: _Arriving, steps: list[Step]) -> None:
    """Make all but the domain, the macvtaps down. Raises VmnetError; then `done` has what is."""
    session, goal = arriving.session, arriving.goal
    made = [_silent(s, goal) for s in steps if not isinstance(s.resource, Domain)]
    outcome = performed(session, made, {})
    arriving.done = list(outcome.done)
    if outcome.failed:
        raise outcome.failed[0][1]
    session.worker.do(MACHINE.on_libvirt, arrival.expect, goal, _frames(session, goal))


def _silent(step: Step, goal: Domain) -> Step:
    """Return a step as it is done while the guest runs elsewhere."""
    tap = step.resource
    if isinstance(tap, Macvtap) and tap.name in {nic.link for nic in goal.nics}:
        return replace(step, resource=replace(tap, up=False))
    return step


def _frames(session: Session, goal: Domain) -> Mapping[str, tuple[bytes, ...]]:
    return {
        nic.link: announcements(nic.mac, session.nics[NicId(goal.vm, number)].static)
        for number, nic in enumerate(goal.nics)
    }


def _await(arriving: _Arriving, lines: Lines) -> None:
    """Wait until the guest has come. Raises VmnetError when it does not."""
    session, goal = arriving.session, arriving.goal
    said = _state(lines.next(LONGEST_S))
    # A host that has died after the guest has come says nothing: here it runs on.
    within_s = _COMES_S if said == MOVED else 0.0
    has_come = session.worker.do(MACHINE.on_libvirt, arrival.has_come, goal.name, within_s)
    if said == FAILED or not has_come:
        raise NotComeError(
            f"{arriving.offer.vm} has not come",
            fix="it runs on where it was: look there why: vmnet status",
        )
    session.worker.do(MACHINE.on_libvirt, arrival.forget, goal, stays=True)
    session.look()


def _state(line: str) -> str:
    try:
        found: Any = strict(line)
    except (ValueError, RecursionError):
        return ""
    return str(found.get("state")) if isinstance(found, dict) else ""


def _take_back(arriving: _Arriving) -> None:
    """End what has come of the guest, and take away what was made for it."""
    session, goal = arriving.session, arriving.goal
    session.worker.do(MACHINE.on_libvirt, arrival.forget, goal, stays=False)
    created = [s for s in arriving.done if s.verb is Verb.CREATE]
    back = performed(session, undo(created, session.look().resources), {})
    for _, error in back.failed:
        session.tell(f"warning: {error.what}")
    console_log.remove(Path(goal.console))
