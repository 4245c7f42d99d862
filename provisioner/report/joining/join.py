"""The reports of all hosts on one plan as one: each VM and each step with its host."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field, replace
from itertools import chain
from typing import TYPE_CHECKING, TypeVar

from provisioner.check.result import Finding, Result
from provisioner.dataclass import dataclass
from provisioner.errors import Exit, VmnetError
from provisioner.fabric.placing import listed
from provisioner.network.addressing import Nics
from provisioner.plan.checks import AUTO
from provisioner.reachability.pairs import Expected, Pair
from provisioner.report.joining.taken import Labels, TakenResult
from provisioner.report.joining.wires import measured
from provisioner.report.matrix import NOT_SHOWN
from provisioner.report.report import ImageStatus, NetworkStatus, Report, VmStatus

if TYPE_CHECKING:
    from provisioner.plan.model import Network, Plan

_T = TypeVar("_T")
_REFUSALS = frozenset({Exit.BAD_INPUT, Exit.CONFLICT, Exit.HOST_CANNOT, Exit.PARTLY_DONE})


@dataclass(frozen=True, slots=True)
class FleetOutcome:
    """What came of a command on the hosts of a plan.

    `stopped` are hosts on which nothing was done, and why; `silent` hosts have not outcome.
    `homes` says for each VM that is placed on which host it is, `held` why others are started
    nowhere, `before` what hosts said of VMs before the command: that stands where it asks no more.
    """

    plan: "Plan"
    command: str
    reports: Mapping[str, Report]
    stopped: Mapping[str, Sequence[VmnetError]]
    silent: Mapping[str, str]
    homes: Mapping[str, str]
    held: Mapping[str, str]
    nics: Nics
    before: Mapping[str, VmStatus] = field(default_factory=dict)


def labels(plan: "Plan", nics: Nics) -> Labels:
    """Return by network and address which NIC is meant of VMs with several NICs on a network."""
    found: dict[tuple[str, str], tuple[str, int]] = {}
    for network in plan.networks:
        there = list(plan.nics_on(network))
        vms = [key.vm for key, _ in there]
        for key, _ in there:
            if vms.count(key.vm) > 1:
                found |= {(network.name, str(a)): (key.vm, key.number) for a in nics[key].static}
    return found


def joined(outcome: FleetOutcome, *, changes: bool) -> Report:
    """Return one report; `changes`: the command takes steps, so that some of it may be done.

    What a host that does not answer would have measured is not shown: it is neither isolated nor
    absent.
    """
    reports = [outcome.reports[host] for host in sorted(outcome.reports)]
    stopped = [error for host in sorted(outcome.stopped) for error in outcome.stopped[host]]
    results = [*chain.from_iterable(one.results for one in reports)]
    unseen = tuple(_unseen(outcome)) if any(one.results for one in reports) else ()
    report = Report(
        command=outcome.command,
        plan=outcome.plan.name,
        chosen={
            **dict(chain.from_iterable(one.chosen.items() for one in reports)),
            **measured(outcome.plan, outcome.homes, results),
        },
        warnings=_all(one.warnings for one in reports),
        done=_all(one.done for one in reports),
        to_do=_all(one.to_do for one in reports),
        failed=_all(one.failed for one in reports),
        results=_in_order(outcome.plan, [*results, *unseen]),
        findings=(*_all(one.findings for one in reports), *_about(outcome, stopped)),
        vms=tuple(_vms(outcome, reports)),
        networks=tuple(_networks(reports)),
        images=tuple(_images(reports)),
        disks=_all(one.disks for one in reports),
        down=_all(one.down for one in reports),
        consoles=_all(one.consoles for one in reports),
        seconds=max((one.seconds for one in reports), default=0.0),
        until=max((one.until for one in reports), default=0),
    )
    return replace(report, status=_status(outcome, reports, changes=changes))


def _all(parts: Iterable[Iterable[_T]]) -> tuple[_T, ...]:
    return tuple(chain.from_iterable(parts))


def _status(outcome: FleetOutcome, reports: Sequence[Report], *, changes: bool) -> Exit:
    """Return the exit status of all: the lowest, but 6 where some of it is done."""
    found = {one.status for one in reports}
    found |= {error.status for errors in outcome.stopped.values() for error in errors}
    if outcome.silent or outcome.held:
        found.add(Exit.PARTLY_DONE if changes else Exit.HOST_CANNOT)
    refused = found & _REFUSALS
    if not refused:
        return max(found, default=Exit.DONE)
    some = any(one.status not in _REFUSALS or one.done for one in reports)
    return Exit.PARTLY_DONE if changes and some else min(refused)


def _about(outcome: FleetOutcome, stopped: Iterable[VmnetError]) -> Iterator[Finding]:
    for error in stopped:
        yield Finding(error.what, error.fix or "")
    for host, why in sorted(outcome.silent.items()):
        vms = sorted(vm for vm, home in outcome.homes.items() if home == host)
        what = f"{host} does not answer ({why}): what runs there is not known"
        seen = (f"placed there: {', '.join(vms)}",) if vms else ()
        yield Finding(what, f"bring {host} back, then: vmnet status", seen)
    for vm, why in outcome.held.items():
        yield Finding(
            f"{vm} waits: {why}",
            "bring that host back, or say that it is gone: vmnet up --declare-dead HOST",
            about=vm,
        )


def _vms(outcome: FleetOutcome, reports: Sequence[Report]) -> Iterator[VmStatus]:
    """Return each VM once, those of the plan first: as its host tells it, else why nobody does."""
    told: dict[str, list[VmStatus]] = {}
    for vm in chain.from_iterable(one.vms for one in reports):
        told.setdefault(vm.name, []).append(vm)
    for planned in outcome.plan.vms:
        host = outcome.homes.get(planned.name, "")
        there = told.pop(planned.name, [])
        if there and host not in outcome.silent:  # what it has told before is not known any more
            yield from there
        elif planned.name in outcome.held:
            yield VmStatus(planned.name, "waits", host=host)
        elif host in outcome.silent:
            yield VmStatus(planned.name, _unknown([host]), host=host)
        elif seen := _seen_before(outcome, planned.name):
            yield seen
        elif outcome.silent and not host:  # any of them may have it
            yield VmStatus(planned.name, _unknown(sorted(outcome.silent)))
        else:
            yield VmStatus(planned.name, "not there", host=host)
    yield from chain.from_iterable(told.values())


def _seen_before(outcome: FleetOutcome, vm: str) -> VmStatus | None:
    found = outcome.before.get(vm)
    return found if found and found.host not in {*outcome.reports, *outcome.silent} else None


def _unknown(hosts: Sequence[str]) -> str:
    return f"unknown: {listed(hosts)} {'does' if len(hosts) == 1 else 'do'} not answer"


def _networks(reports: Iterable[Report]) -> Iterator[NetworkStatus]:
    """Return each network once; where its NIC has several names, all of them."""
    found: dict[str, list[NetworkStatus]] = {}
    for network in chain.from_iterable(one.networks for one in reports):
        found.setdefault(network.name, []).append(network)
    for same in found.values():
        names = dict.fromkeys(one.uplink for one in same)
        yield replace(same[0], uplink=", ".join(names))


def _images(reports: Iterable[Report]) -> Iterator[ImageStatus]:
    found: dict[tuple[str, str | None], tuple[str, ...]] = {}
    for image in chain.from_iterable(one.images for one in reports):
        key = image.name, image.disk
        found[key] = (*found.get(key, ()), *image.vms)
    for (name, disk), vms in found.items():
        yield ImageStatus(name, disk, vms)


def _unseen(outcome: FleetOutcome) -> Iterator[Result]:
    """Return what guests of silent hosts would have been asked, and those that are nowhere."""
    if AUTO not in outcome.plan.checks:
        return
    for network in outcome.plan.networks:
        vms = list(dict.fromkeys(key.vm for key, _ in outcome.plan.nics_on(network)))
        for source in vms:
            if not (why := _why_unknown(outcome, source)):
                continue
            for target in vms:
                if target != source and _may_meet(outcome, network, source, target):
                    yield _not_shown(network.name, source, target, why)


def _why_unknown(outcome: FleetOutcome, vm: str) -> str:
    host = outcome.homes.get(vm, "")
    if host in outcome.silent:
        return f"{host} does not answer"
    return f"{vm} waits" if vm in outcome.held else ""


def _may_meet(outcome: FleetOutcome, network: "Network", source: str, target: str) -> bool:
    homes = outcome.homes
    return bool(network.uplink) or homes.get(source) == homes.get(target)


def _not_shown(network: str, source: str, target: str, why: str) -> TakenResult:
    pair = Pair(network, source, target, Expected.EITHER, why, ())
    return TakenResult(pair, None, reached=False, note=why, judged_met=False, judged=NOT_SHOWN)


def _in_order(plan: "Plan", results: Iterable[Result]) -> tuple[Result, ...]:
    """Return results by network, then by source in the order of the plan: hosts come last."""
    networks = {network.name: at for at, network in enumerate(plan.networks)}
    vms = {vm.name: at for at, vm in enumerate(plan.vms)}
    most = len(vms)

    def place(result: Result) -> tuple[int, int, str, int, int, str]:
        pair = result.pair
        return (
            networks.get(pair.network, len(networks)),
            vms.get(pair.source, most),
            pair.source,
            pair.source_nic,
            vms.get(pair.target, most),
            pair.target,
        )

    return tuple(sorted(results, key=place))
