"""The check: what is expected, what was measured, and why an expectation was not met."""

import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from provisioner.check import surroundings
from provisioner.check.readiness import GuestState
from provisioner.check.result import Finding, Result, loss_notes
from provisioner.commands.check.control.controls import Controls
from provisioner.commands.check.diagnosis.diagnose import Diagnosis
from provisioner.commands.check.endpoints import endpoints
from provisioner.commands.check.measure import Measuring
from provisioner.commands.check.readiness import Readiness
from provisioner.commands.check.readiness_probes import ReadinessProbes
from provisioner.commands.check.surroundings import Surroundings, of_services
from provisioner.commands.session import Session
from provisioner.dataclass import dataclass
from provisioner.errors import Exit, VmnetError
from provisioner.host.guest import console_log
from provisioner.host.lab import switch_probe
from provisioner.host.network import nftables
from provisioner.network.devices import uplink_of
from provisioner.network.facts import Chosen
from provisioner.plan.checks import HOST
from provisioner.reachability import external, pairs, user_checks
from provisioner.reachability.pairs import Expected, Pair
from provisioner.reachability.sampling import sample
from provisioner.report.report import Report

if TYPE_CHECKING:
    from provisioner.host.system.worker import Call
    from provisioner.plan.nic_id import NicId

_CONSOLE_LINES = 40
_MEASURE_S = 4.0  # after --timeout: for measuring those that are up, and for the reasons
_REASON_S = 2.5  # what looking for reasons needs: wires are asked for a second, twice
_READY_S, _CLOUD_INIT_S = 120.0, 600.0  # a distribution takes its time, most of all without KVM
_EACH_S = 5.0  # more for each that was just started: emulated ones boot one after another


@dataclass(frozen=True, slots=True)
class When:
    """When what began, by time.monotonic(), and the VMs that were just started."""

    ready_since: float  # from when a guest's readiness is counted
    started: float  # from when the command's time is counted
    fresh: frozenset[str] = frozenset()
    asked: "frozenset[NicId]" = frozenset()  # NICs whose LAN was asked for their addresses just now
    end: float | None = None  # when the guests are waited for no more, as --timeout says


def checked(session: Session, report: Report, when: When) -> Report:
    """Wait for the guests, measure, find out why, and add all of it to the report.

    With `when.end` all of it is over a few seconds after that, however slow the guests are.
    """
    last = None if when.end is None else when.end + _MEASURE_S
    with session.worker.limited(last):
        return _checked(session, report, when, last)


def _checked(session: Session, report: Report, when: When, last: float | None) -> Report:
    domains = session.domains
    # What was started a moment ago may have died since: it counts, so that its end is reported.
    up_now = sorted({d.vm for d in domains} | when.fresh)
    ends = endpoints(session)
    pairs = _pairs(session, set(up_now))
    images = {d.vm: d.image for d in domains}
    readiness = Readiness(ends, pairs, ReadinessProbes(ends, images), session.tell)
    around = Surroundings(ends, readiness, session.tell)
    around.begin(when.fresh, when.asked)
    before = session.worker.do(nftables.dropped)
    with Controls(ends, pairs, readiness) as controls:
        measuring = Measuring(ends, pairs, readiness, sees_late=controls.sees_answers)
        session.run.count(partial(_counted, readiness, measuring, pairs))
        threads = measuring.start()
        threading.Thread(target=session.run.idle, daemon=True).start()
        patience = _CLOUD_INIT_S if any(image.cloud_init for image in images.values()) else _READY_S
        patience += _EACH_S * len(when.fresh)
        left_s = patience if when.end is None else max(0.0, when.end - time.monotonic())
        readiness.settle(up_now, left_s, when.ready_since, when.fresh)
        rivals = around.of_wires()
        for thread in threads:
            thread.join(None if last is None else max(0.0, last - time.monotonic()))
        if readiness.errors:
            raise readiness.errors[0]
        order = {id(p): n for n, p in enumerate(pairs)}
        found = list(measuring.results)
        found += _unmeasured(pairs, found)
        results = sorted(found, key=lambda r: order[id(r.pair)])
        results = controls.made(results, last)
    notes = (*loss_notes(results), *around.notes)
    for note in notes:
        session.tell(note)
    report = replace(report, warnings=(*report.warnings, *notes))
    diagnosis = Diagnosis(ends, readiness, before, report.findings)
    if any(not r.met for r in results):
        if last is None or last - time.monotonic() > _REASON_S:
            session.tell("not everything is as expected: looking for the reason")
            ends = replace(ends, facts=session.look().facts)
            diagnosis = Diagnosis(ends, readiness, before, report.findings, around.aliens)
            results = diagnosis.explained(results)
        else:
            session.tell("not everything is as expected; --timeout leaves no time for the reason")
    results = surroundings.judged(results, around.disputed)
    findings = (*report.findings, *_about_guests(readiness), *rivals)
    findings += around.of_links(findings)
    down = tuple(sorted(vm for vm, guest in readiness.guests.items() if guest.state.is_down))
    report = replace(report, results=tuple(results), findings=findings, down=down)
    return _reported(session, report, when)


def _counted(readiness: Readiness, measuring: Measuring, pairs: Sequence[Pair]) -> str:
    """Return how far a check is."""
    guests = list(readiness.guests.values())
    up = sum(guest.state.is_up for guest in guests)
    every = max(sum(len(pair.addresses) or 1 for pair in pairs), len(measuring.results))
    guests_up = f"{up} of {len(guests)} guests {'is' if up == 1 else 'are'} up"
    return f"{guests_up}, {len(measuring.results)} of {every} measured"


def _unmeasured(pairs: Iterable[Pair], results: Iterable[Result]) -> list[Result]:
    """Return a result for each pair that has none, since --timeout has left no time for it."""
    known = {id(result.pair) for result in results}
    note = "not measured: --timeout is over"
    return [
        Result(pair, address, None, note=note)
        for pair in pairs
        if id(pair) not in known
        for address in pair.addresses or (None,)
    ]


def _reported(session: Session, report: Report, when: When) -> Report:
    violated = {vm for r in report.results if not r.met for vm in (r.pair.source, r.pair.target)}
    violated |= {finding.about for finding in report.findings}
    names = {vm.name for vm in session.target.plan.vms}
    home = Path(session.snapshot.facts.home)
    consoles = tuple(
        (vm, console_log.last_lines(home / "console" / f"{vm}.log", _CONSOLE_LINES))
        for vm in sorted(violated & names)
    )
    status = report.status
    if status is Exit.DONE:
        status = Exit.CHECK_FAILED if violated else Exit.PARTLY_DONE if report.to_do else Exit.DONE
    took = time.monotonic() - when.started
    return replace(
        report, status=status, chosen=dict(session.chosen), consoles=consoles, seconds=took
    )


def _pairs(session: Session, up: set[str]) -> tuple[Pair, ...]:
    """List what is to be measured among the VMs that are there."""
    if session.run.pairs == "none":
        return ()
    plan, facts = session.target.plan, session.snapshot.facts
    known, names = {HOST, *up}, {vm.name for vm in plan.vms}
    promised = pairs.pairs(plan, session.nics, facts)
    there = [p for p in promised if {p.source, p.target} <= known]
    if reflects := _measured_switches(session, there):
        promised = pairs.pairs(plan, session.nics, facts, reflects)
        there = [p for p in promised if {p.source, p.target} <= known]
    there += external.pairs(plan, session.nics)
    there += of_services(session, there)
    asked = user_checks.expand(plan, session.nics, promised)
    every = [*(there if user_checks.wants_matrix(plan) else ()), *asked]
    every = [p for p in every if not {p.source, p.target} & names - up]
    return sample(every, names) if session.run.pairs == "sample" else tuple(every)


def _measured_switches(session: Session, pairs: Iterable[Pair]) -> dict[str, bool]:
    """Ask the switches that promises depend on whether they send frames back."""
    plan = session.target.plan
    depends = {p.network for p in pairs if p.expected is Expected.EITHER}
    uplinks = {
        uplink_of(plan.name, network)
        for network in plan.networks
        if network.name in depends and network.uplink
    }
    asked: dict[str, Call[bool | None]] = {}
    for uplink in sorted(uplinks):
        session.tell(f"asking the switch behind {uplink} whether it sends frames back")
        asked[uplink] = session.worker.call(switch_probe.reflects, uplink)
    found: dict[str, bool] = {}
    for uplink, pending in asked.items():
        try:
            reflects = pending.result()
        except VmnetError as error:
            session.tell(f"the switch behind {uplink} cannot be asked: {error.what}")
            continue
        if reflects is not None:
            found[uplink] = reflects
            answer = "reflects" if reflects else "reflects not"
            session.chosen[f"switch behind {uplink}"] = Chosen(answer, "measured")
    return found


def _about_guests(readiness: Readiness) -> Iterable[Finding]:
    for vm, guest in sorted(readiness.guests.items()):
        if guest.state.is_down:
            yield readiness.about(vm)
        elif guest.state is GuestState.NO_AGENT:
            what = f"{vm}: {guest.why}; it answers on the wire, so it was measured at its macvtap"
            yield Finding(what, guest.fix, guest.evidence, vm)
