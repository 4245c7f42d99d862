"""move and drain of a plan of several hosts: the host that a VM leaves is asked to move it.

That host logs in to the other one by itself, so what moves does not come by this machine. Where a
VM is, its hosts say; so whoever brings the plan up next finds it where it has gone.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Final

from provisioner.commands.fabric import images
from provisioner.commands.fabric.fleet import FleetRun, FleetSession, begun
from provisioner.commands.fabric.roll_call import login_of
from provisioner.commands.moving.errand import Moved, MoveWay
from provisioner.commands.session import one
from provisioner.commands.target import PlanTarget
from provisioner.dataclass import dataclass
from provisioner.errors import Exit, VmnetError, bad_input, refuse
from provisioner.fabric import moving
from provisioner.fabric.facts import HostFacts, Silent
from provisioner.fabric.parts.part import HostPart, fleet_nics, part_of
from provisioner.fabric.placing import Decision, found_in
from provisioner.fabric.remote.answers import HostAnswer, Request
from provisioner.json_document import json_document
from provisioner.plan.placing.carriers import carriers
from provisioner.preflight.several_hosts import taken_by_hosts
from provisioner.report.joining import taken, told
from provisioner.text import one_line

HERE, THERE = "here", "there"
"""The plans that a host is sent which a VM leaves: its own part, and that of the other host."""

_COMMAND: Final = "move"


@dataclass(frozen=True, slots=True)
class FleetErrand:
    """How VMs are moved: live or not, and at most how many MiB/s, 0 for no limit."""

    way: MoveWay = MoveWay.LIVE
    bandwidth_mib: int = 0

    @property
    def words(self) -> tuple[str, ...]:
        """The words that say it to a host."""
        way = {MoveWay.STOPPED: ("--stopped",), MoveWay.AS_POSSIBLE: ("--or-stopped",)}.get(
            self.way, ()
        )
        limit = ("--bandwidth", str(self.bandwidth_mib)) if self.bandwidth_mib else ()
        return (*way, *limit)


@dataclass(frozen=True, slots=True)
class NotMoved:
    """A VM that has not gone, or of which that is not known, and why."""

    vm: str
    host: str  # where it was to go
    what: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Drained:
    """What has become of the VMs of a host that was drained."""

    plan: str
    host: str
    moved: tuple[Moved, ...] = ()
    failed: tuple[NotMoved, ...] = ()

    @property
    def status(self) -> Exit:
        """Whether the host has no VM of the plan any more."""
        left = self.failed or any(one.left for one in self.moved)
        return Exit.PARTLY_DONE if left else Exit.DONE


def as_json(drained: Drained) -> str:
    """Return what has become of the VMs as a document."""
    return json_document("drain", drained.status, asdict(drained))


def move(target: PlanTarget, run: FleetRun, vm: str, to: str, errand: FleetErrand) -> Moved:
    """Move a VM to a host of the plan. Raises Complaints or VmnetError when it has not gone there.

    Done twice, nothing is left to do.
    """
    vm = one(target, vm)
    with begun(target, run, f"move {vm} of") as session:
        _require(session, to)
        homes = found_in(target.name, session.fleet)
        found = homes.get(vm, ())
        if not found:
            _refuse_silent(session, vm)
            raise VmnetError(f'VM "{vm}" is on no host', fix="bring the plan up: vmnet up")
        if not any(home.runs for home in found):
            _refuse_silent(session, vm)
        source = next((home.host for home in found if home.host != to), "")
        if not source:
            run.tell(f"{vm} is on {to} already")
            return Moved(target.name, vm, to, 0)
        decision = moving.moved(target.plan, session.fleet, homes, vm, to)
        _refuse_unfit(session, decision)
        _tell(session, decision, [vm])
        return _moved(session, vm, source, to, errand)


def drain(target: PlanTarget, run: FleetRun, host: str, errand: FleetErrand) -> Drained:
    """Move all VMs of the plan away from a host, one after the other.

    Raises Complaints, before anything is touched, when they fit nowhere else.
    """
    with begun(target, run, f"drain {host} of") as session:
        _require(session, host)
        homes = found_in(target.name, session.fleet)
        decision = moving.drained(target.plan, session.fleet, homes, host)
        _refuse_unfit(session, decision)
        vms = [vm for vm in moving.leave(homes, host) if decision.host_of(vm)]
        for vm in moving.leave(homes, host):
            if vm not in vms:
                run.tell(
                    f"{vm} stays on {host}, as the plan has it no more: there, vmnet down {vm}"
                )
        if not vms:
            run.tell(f"{host} has no VM of the plan {target.name}")
        _tell(session, decision, vms)
        done: list[Moved] = []
        failed: list[NotMoved] = []
        for vm in vms:
            to = str(decision.host_of(vm))
            try:
                done.append(_moved(session, vm, host, to, errand))
            except VmnetError as error:
                failed.append(NotMoved(vm, to, error.what, error.fix or ""))
                run.tell(f"{vm} has not gone to {to}: {error.what}")
        return Drained(target.name, host, tuple(done), tuple(failed))


def _require(session: FleetSession, host: str) -> None:
    """Raise VmnetError unless a host is one of the plan's that answers."""
    known = carriers(session.target.plan)
    if host not in known:
        name = one_line(host, 80)
        raise bad_input(f"{name} runs no VMs of this plan", f"its hosts: {', '.join(known)}")
    if host in session.lost:
        raise VmnetError(
            f"{host} does not answer ({one_line(session.lost[host])}): nothing is moved",
            fix=f"bring {host} back, then run the command again",
        )


def _refuse_silent(session: FleetSession, vm: str) -> None:
    """Raise VmnetError when a VM that runs on no host that answers may run on another one."""
    for host, why in session.lost.items():
        raise VmnetError(
            f"{host} does not answer ({one_line(why)}): {vm} may run there",
            fix=f"bring {host} back, then run the command again",
        )


def _tell(session: FleetSession, decision: Decision, vms: Sequence[str]) -> None:
    for chosen in decision.assigned:
        if chosen.vm in vms:
            session.run.tell(f"{chosen.vm} goes to {chosen.host}: {chosen.why}")


def _moved(session: FleetSession, vm: str, source: str, to: str, errand: FleetErrand) -> Moved:
    """Have a host move a VM. Raises VmnetError when it has not gone."""
    target, run = session.target, session.run
    before = {**session.homes, vm: source}
    after = {**session.homes, vm: to}
    here, there = _part(session, source, before), _part(session, to, after)
    images.passed(session, {to: there})
    run.tell(f"{source} moves {vm} to {to}")
    words = (_COMMAND, vm, str(login_of(target.plan, to)), "--parts", "--json", *run.waiting)
    texts = json.dumps({HERE: here.text, THERE: there.text})
    request = Request((*words, *errand.words), texts)
    answer = run.ask({source: request})[source]
    if isinstance(answer, Silent):
        raise VmnetError(
            f"{source} does not answer any more: {answer.why}; whether {vm} has gone is not known",
            fix=f"bring {source} back, then run the command again: it goes on from there",
            status=Exit.PARTLY_DONE,
        )
    for line in answer.stderr.splitlines():
        if line.startswith("warning: "):
            run.tell(f"warning: {source}: {line.removeprefix('warning: ')}")
    found = _read(answer, source, to)
    session.homes = after
    return found


def _part(session: FleetSession, host: str, homes: Mapping[str, str]) -> HostPart:
    """Return what a host gets of the plan with VMs on these hosts."""
    plan = session.target.plan
    nics = fleet_nics(plan, session.fleet, homes)
    return part_of(plan, session.target.positions, host, homes, nics)


def _refuse_unfit(session: FleetSession, decision: Decision) -> None:
    """Raise Complaints about VMs that fit nowhere, and about what hosts have already."""
    plan, places = session.target.plan, session.target.positions
    nics = fleet_nics(plan, session.fleet, {one.vm: one.host for one in decision.assigned})
    facts = {h: said for h, said in session.fleet.items() if isinstance(said, HostFacts)}
    refuse([*decision.complaints(places), *taken_by_hosts(plan, places, nics, facts)])


def _read(answer: HostAnswer, host: str, to: str) -> Moved:
    """Return what a host has moved. Raises VmnetError when it has not."""
    found = answer.document or {}
    texts = [found.get(name) for name in ("plan", "vm", "way")]
    downtime, left = found.get("downtime_ms"), found.get("left")
    if (
        answer.status in {Exit.DONE, Exit.PARTLY_DONE}
        and all(isinstance(text, str) for text in texts)
        and type(downtime) is int
        and isinstance(left, list)
    ):
        plan, vm, way = map(str, texts)
        return Moved(plan, vm, to, downtime, way, tuple(f"{host}: {text}" for text in left))
    raise next(_errors(answer, host))


def _errors(answer: HostAnswer, host: str) -> Iterator[VmnetError]:
    try:
        yield from taken.errors(told.read(answer.stdout, host, _COMMAND), host)
    except VmnetError as error:
        yield error
    yield VmnetError(
        f"vmnet move on {host} has ended with {answer.status}, and says nothing that can be used",
        fix=f"look at it there: on {host}, vmnet ls",
    )
