"""stop, start, restart, pause and resume of a plan of several hosts: each host leads its guests.

What was stopped is started on the host that has it; a guest that no host has is placed, as by `up`.
"""

from collections.abc import Mapping
from dataclasses import replace

from provisioner.commands.fabric import images
from provisioner.commands.fabric.fleet import (
    FleetRun,
    FleetSession,
    begun,
    refuse_torn,
    refuse_unfit,
    together,
)
from provisioner.commands.fabric.several import chosen, put_together, tell_placing
from provisioner.commands.target import PlanTarget
from provisioner.fabric.parts.part import HostPart, fleet_nics, part_of
from provisioner.fabric.placing import found_in
from provisioner.fabric.remote.answers import Request
from provisioner.report.joining.join import joined
from provisioner.report.report import Report

_RUNS = "running"


def led(target: PlanTarget, run: FleetRun, command: str) -> Report:
    """Stop, pause or resume guests, by the command's name, on the hosts that have them.

    What a host has that does not answer is unknown, in the report and by its status.
    """
    with begun(target, run, command) as session:
        for vm, homes in found_in(target.name, session.fleet).items():
            session.homes[vm] = homes[0].host
        session.nics = fleet_nics(target.plan, session.fleet, session.homes)
        parts = _parts(session, session.homes)
        reports = session.asked(command, _calls(parts, run, command))
        return joined(replace(session.outcome(command, reports), held={}), changes=True)


def started(target: PlanTarget, run: FleetRun, command: str) -> Report:
    """Start guests, or restart them, by the command's name, then measure from them.

    Raises Complaints when the plan cannot be on its hosts, before any of them is touched.
    """
    with begun(target, run, command) as session:
        refuse_unfit(session)
        tell_placing(session)
        parts = session.parts(session.answering)
        passed = images.passed(session, parts)
        there = found_in(target.name, session.fleet)
        fresh = replace(run, only=run.only - there.keys(), words=())
        prepared = session.asked("up", _prepare_calls(parts, fresh))
        if any(report.done for report in prepared.values()):
            refuse_torn(session, fresh.only & session.homes.keys())
        ready = {host: part for host, part in parts.items() if _is_ready(session, host, prepared)}
        calls = _calls(ready, run, command, "--no-check")
        run.tell(f"starting on {together([*calls])}")
        begin = session.asked(command, calls)
        run.tell(f"measuring on {together([*begin])}")
        seen = _parts(session, _running(session, begin))
        checking = {host: seen[host] for host, report in begin.items() if not report.failed}
        measured = replace(run, words=())
        checked = session.asked("start", _calls(checking, measured, "start"))
        reports = put_together(prepared, begin, checked, command=command)
        outcome = session.outcome(command, reports)
        held = {vm: why for vm, why in outcome.held.items() if vm in run.only}
        return chosen(session, joined(replace(outcome, held=held), changes=True), passed)


def _parts(session: FleetSession, homes: Mapping[str, str]) -> dict[str, HostPart]:
    """Return what hosts get of the plan: all VMs that they have, and of those elsewhere `homes`.

    So a guest that does not run on another host is asked by nobody, and a VM that is on two hosts
    is led on both.
    """
    target, found = session.target, dict[str, HostPart]()
    there = found_in(target.name, session.fleet)
    for host in session.answering:
        here = {vm for vm, each in there.items() if any(home.host == host for home in each)}
        here |= {vm for vm, home in session.homes.items() if home == host}
        known = {**homes, **dict.fromkeys(here, host)}
        part = part_of(target.plan, target.positions, host, known, session.nics)
        if part.vms:
            found[host] = part
    return found


def _calls(
    parts: Mapping[str, HostPart], run: FleetRun, command: str, *more: str
) -> dict[str, Request]:
    """Return the calls for the hosts whose VMs are meant; the plan comes by standard input."""
    calls: dict[str, Request] = {}
    for host, part in parts.items():
        vms = [vm for vm in part.vms if not run.only or vm in run.only]
        if vms:
            words = (command, "--file", "-", "--json", *more, *run.waiting, *run.words, *vms)
            calls[host] = Request(words, part.text)
    return calls


def _prepare_calls(parts: Mapping[str, HostPart], run: FleetRun) -> dict[str, Request]:
    """Return the calls that prepare VMs which no host has."""
    calls: dict[str, Request] = {}
    for host, part in parts.items():
        named = [word for vm in part.vms if vm in run.only for word in ("--only", vm)]
        if named:
            words = ("up", "-", "--json", "--prepare", *run.waiting, *named)
            calls[host] = Request(words, part.text)
    return calls


def _is_ready(session: FleetSession, host: str, prepared: Mapping[str, Report]) -> bool:
    failed = host in prepared and prepared[host].failed
    return not (failed or host in session.stopped or host in session.lost)


def _running(session: FleetSession, begin: Mapping[str, Report]) -> dict[str, str]:
    """Return the hosts of the VMs that run, as far as hosts have told."""
    homes = found_in(session.target.name, session.fleet)
    found = {vm: home.host for vm, each in homes.items() for home in each if home.runs}
    for host, report in begin.items():
        found |= {vm.name: host for vm in report.vms if vm.state == _RUNS}
    return {vm: host for vm, host in found.items() if host not in session.lost}
