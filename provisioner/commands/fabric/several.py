"""up, down, plan, status and check of a plan of several hosts: each host does its own part.

Guests are started when all hosts are ready: first everything is prepared everywhere, then all of it
is started, then each host measures what begins at its guests.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import chain
from typing import TypeVar

from provisioner.commands.fabric import images
from provisioner.commands.fabric.fleet import (
    FleetRun,
    FleetSession,
    begun,
    refuse_torn,
    refuse_unfit,
    together,
)
from provisioner.commands.target import PlanTarget
from provisioner.errors import Exit
from provisioner.fabric.parts.part import HostPart
from provisioner.fabric.placing import found_in
from provisioner.fabric.remote.answers import Request
from provisioner.network.facts import Chosen
from provisioner.report.joining import wires
from provisioner.report.joining.join import joined
from provisioner.report.report import Report

_T = TypeVar("_T")
_WORST = (Exit.DONE, Exit.CHECK_FAILED)


def up(target: PlanTarget, run: FleetRun) -> Report:
    """Bring the plan up on its hosts, and measure; doing it twice changes nothing.

    Raises Complaints when it cannot be, before any host is touched.
    """
    with begun(target, run, "up") as session:
        refuse_unfit(session)
        tell_placing(session)
        parts = session.parts(session.answering)
        passed = images.passed(session, parts)
        gone = _removed(session)
        run.tell(f"preparing on {together([*parts])}")
        prepared = session.asked("up", _calls(parts, run, "up", "--prepare"))
        ready = {host: part for host, part in parts.items() if _is_ready(prepared.get(host))}
        if run.all_or_nothing and set(ready) != set(parts):
            run.tell("not all hosts are ready: nothing is started")
            report = joined(session.outcome("up", prepared), changes=True)
            return chosen(session, report, passed)
        behind = {host: part for host, part in ready.items() if prepared[host].to_do}
        if any(report.done for report in prepared.values()):
            refuse_torn(session, [vm for part in behind.values() for vm in part.vms])
        if behind:
            run.tell(f"starting on {together([*behind])}")
        started = session.asked("up", _calls(behind, run, "up", "--no-check"))
        up_now = {h: part for h, part in ready.items() if h in started or h not in behind}
        run.tell(f"measuring on {together([*up_now])}")
        checked = session.asked("check", _calls(up_now, replace(run, words=()), "check"))
        reports = put_together(gone, prepared, started, checked)
        report = joined(session.outcome("up", reports), changes=True)
        for line in wires.lines(report.chosen):
            run.tell(line)
        return chosen(session, report, passed)


def down(target: PlanTarget, run: FleetRun) -> Report:
    """Take away what the plan's hosts have of it, but the disks that guests have written."""
    with begun(target, run, "down") as session:
        there = _residents(session)
        calls = {}
        for host in session.answering:
            vms = sorted(there.get(host, frozenset()) & run.only)
            if vms or not run.only:
                calls[host] = Request(
                    ("down", "--name", target.name, "--json", *run.waiting, *run.words, *vms)
                )
        session.homes = {vm: host for host, vms in there.items() for vm in vms}
        reports = session.asked("down", calls)
        outcome = replace(session.outcome("down", reports), held={})
        return joined(outcome, changes=True)


def plan(target: PlanTarget, run: FleetRun) -> Report:
    """Return where VMs go and what `up` would do on each host; touch nothing."""
    with begun(target, run) as session:
        refuse_unfit(session)
        tell_placing(session)
        return chosen(session, _looked(session, "plan"))


def status(target: PlanTarget, run: FleetRun) -> Report:
    """Return what the plan is made of on its hosts, and what `up` would do."""
    with begun(target, run) as session:
        return _looked(session, "status")


def check(target: PlanTarget, run: FleetRun) -> Report:
    """Measure who reaches whom, on all hosts side by side."""
    with begun(target, run) as session:
        report = _looked(session, "check")
        for line in wires.lines(report.chosen):
            run.tell(line)
        return report


def measured(session: FleetSession, command: str, done: Mapping[str, Report]) -> Report:
    """Measure on hosts that have done their part of a command; return one report of both."""
    parts = {host: session.part(host) for host, report in done.items() if _is_ready(report)}
    run = replace(session.run, words=(), only=frozenset())
    run.tell(f"measuring on {together([*parts])}")
    checked = session.asked("check", _calls(parts, run, "check"))
    reports = put_together(done, checked, command=command)
    return joined(session.outcome(command, reports), changes=True)


def _looked(session: FleetSession, command: str) -> Report:
    parts = session.parts(session.answering)
    reports = session.asked(command, _calls(parts, session.run, command))
    return joined(session.outcome(command, reports), changes=False)


def _calls(
    parts: Mapping[str, HostPart], run: FleetRun, command: str, *more: str
) -> dict[str, Request]:
    """Return the calls for the hosts whose VMs are meant; the plan comes by standard input."""
    calls: dict[str, Request] = {}
    for host, part in parts.items():
        only = [vm for vm in part.vms if vm in run.only]
        if only or not run.only:
            named = [word for vm in only for word in ("--only", vm)] if command == "up" else []
            words = (command, "-", "--json", *more, *run.waiting, *run.words, *named)
            calls[host] = Request(words, part.text)
    return calls


def _removed(session: FleetSession) -> dict[str, Report]:
    """Take the plan from hosts that are to have no VM of it any more."""
    if session.run.only:
        return {}
    there = _residents(session)
    placed = set(session.homes.values())
    hosts = [h for h in session.answering if there.get(h) and h not in placed]
    words = ("down", "--name", session.target.name, "--json", *session.run.waiting)
    return session.asked("down", dict.fromkeys(hosts, Request(words)))


def _residents(session: FleetSession) -> dict[str, frozenset[str]]:
    """Return which VMs of the plan each host says it has."""
    found: dict[str, set[str]] = {}
    for vm, homes in found_in(session.target.name, session.fleet).items():
        for home in homes:
            found.setdefault(home.host, set()).add(vm)
    return {host: frozenset(vms) for host, vms in found.items()}


def _is_ready(report: Report | None) -> bool:
    return report is not None and not report.failed


def put_together(*phases: Mapping[str, Report], command: str = "up") -> dict[str, Report]:
    """Return one report of each host, of all that it has done."""
    found: dict[str, Report] = {}
    for host in dict.fromkeys(chain.from_iterable(phases)):
        every = [phase[host] for phase in phases if host in phase]
        last = every[-1]
        found[host] = replace(
            last,
            command=command,
            status=_worst(one.status for one in every),
            chosen={key: value for one in every for key, value in one.chosen.items()},
            warnings=_once(one.warnings for one in every),
            done=_once(one.done for one in every),
            failed=_once(one.failed for one in every),
            findings=_once(one.findings for one in every),
            seconds=sum(one.seconds for one in every),
        )
    return found


def _once(parts: Iterable[Iterable[_T]]) -> tuple[_T, ...]:
    return tuple(dict.fromkeys(chain.from_iterable(parts)))


def _worst(statuses: Iterable[Exit]) -> Exit:
    found = set(statuses)
    refused = found - {*_WORST}
    return min(refused) if refused else max(found)


def tell_placing(session: FleetSession) -> None:
    """Show where each VM goes, and who waits for nobody."""
    for line in session.decision.lines():
        session.run.tell(line)
    homes = session.homes
    for vm in session.target.plan.vms:
        for other in vm.after:
            if vm.name in homes and homes.get(other, homes[vm.name]) != homes[vm.name]:
                session.run.tell(
                    f"warning: {vm.name} does not wait for {other}, which is on another host"
                )


def chosen(
    session: FleetSession, report: Report, passed: Mapping[str, Chosen] | None = None
) -> Report:
    """Add where each VM goes, and why, and which images were passed."""
    hosts = {f"host of {one.vm}": Chosen(one.host, one.why) for one in session.decision.assigned}
    return replace(report, chosen={**hosts, **(passed or {}), **report.chosen})
