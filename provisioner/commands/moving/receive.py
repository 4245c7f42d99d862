"""vmnet receive: what the other host of a move does.

All of the guest's part of the plan is made here, its macvtaps down, but for its domain: that comes
from where it runs. Unless it comes, all of it goes again.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from provisioner.commands.moving.arriving import (
    FAILED,
    LONGEST_S,
    MOVED,
    Lines,
    NotComeError,
    kept_keys,
    said,
    say,
    target_of,
)
from provisioner.commands.moving.take import take
from provisioner.commands.session import Session, begun
from provisioner.commands.steps.refusals import refuse_losses, refuse_shortage
from provisioner.commands.target import CommandRun, PlanTarget
from provisioner.commands.up import performed
from provisioner.errors import Complaints, Exit, VmnetError
from provisioner.guest.domain import Domain
from provisioner.guest.moving import same_guest, stopped_offer
from provisioner.guest.moving.arriving_xml import arriving_xml
from provisioner.guest.moving.offer import GuestOffer, from_line, missing_flags
from provisioner.host.guest import console_log
from provisioner.host.libvirt.moving import migration
from provisioner.host.machine import MACHINE
from provisioner.host.moving import arrival
from provisioner.host.moving.peer import state_line
from provisioner.host.moving.processor import flags
from provisioner.network.moving.announcements import announcements
from provisioner.network.resources import Macvtap
from provisioner.plan.nic_id import NicId
from provisioner.reconcile import partial
from provisioner.reconcile.diff import Step, Verb, diff
from provisioner.reconcile.undo import undo
from provisioner.resource import Resource
from provisioner.text import one_line

FIRST_S: Final = 60.0  # until the offer is there
_COMES_S: Final = 10.0  # until libvirt tells of a guest that is said to have moved


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
        if stopped_offer.is_of_stopped(line):
            given = stopped_offer.from_line(line)
            take(target_of(given.plan, "", given.vm, uri), given, run, lines)
            return Exit.DONE
        offer = from_line(line)
        target = target_of(offer.plan, offer.domain.plan, offer.vm, uri)
        _received(target, offer, run, lines)
    except Complaints as complaints:
        first = complaints.errors[0]
        say(_refusal(first, len(complaints.errors) - 1))
        return complaints.status
    except NotComeError as error:
        say(state_line(FAILED, what=error.what, fix=error.fix or ""))
        return error.status
    except VmnetError as error:
        say(_refusal(error, 0))
        return error.status
    return Exit.DONE


def _refusal(error: VmnetError, others: int) -> str:
    more = f" (and {others} more)" if others else ""
    where = f"{one_line(str(error.where))}: " if error.where else ""
    return state_line(
        "refused", what=f"{where}{error.what}{more}", fix=error.fix or "", status=int(error.status)
    )


def _received(target: PlanTarget, offer: GuestOffer, run: CommandRun, lines: Lines) -> None:
    run = replace(run, only=frozenset({offer.vm}))
    with begun(target, run) as session:
        _refuse(session, offer)
        with kept_keys(session, offer.vm, offer.keys), session.claimed({offer.vm}):
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
                say(state_line("ready", xml=xml))
                _await(arriving, lines)
            except BaseException:
                _take_back(arriving)
                raise
        took = session.worker.do(MACHINE.on_domains, migration.downtime_ms, goal.name)
        say(state_line("arrived", downtime_ms=took))


def _refuse(session: Session, offer: GuestOffer) -> None:
    """Raise VmnetError or Complaints when the guest cannot come to this host."""
    if session.is_embedded:
        raise VmnetError(
            "this host has no libvirt daemon, and a guest that runs can only come to one",
            fix="start the daemon here (systemctl start libvirtd), or move the guest while it is "
            f"stopped: vmnet move {offer.vm} HOST --stopped",
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
    state = said(lines.next(LONGEST_S)).get("state")
    # A host that has died after the guest has come says nothing: here it runs on.
    within_s = _COMES_S if state == MOVED else 0.0
    has_come = session.worker.do(MACHINE.on_libvirt, arrival.has_come, goal.name, within_s)
    if state == FAILED or not has_come:
        raise NotComeError(
            f"{arriving.offer.vm} has not come",
            fix="it runs on where it was: look there why: vmnet status",
        )
    session.worker.do(MACHINE.on_libvirt, arrival.forget, goal, stays=True)
    session.look()


def _take_back(arriving: _Arriving) -> None:
    """End what has come of the guest, and take away what was made for it."""
    session, goal = arriving.session, arriving.goal
    session.worker.do(MACHINE.on_libvirt, arrival.forget, goal, stays=False)
    created = [s for s in arriving.done if s.verb is Verb.CREATE]
    back = performed(session, undo(created, session.look().resources), {})
    for _, error in back.failed:
        session.tell(f"warning: {error.what}")
    console_log.remove(Path(goal.console))
