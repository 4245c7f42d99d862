"""Where the VMs of a plan go: decided from facts alone, the same for the same facts.

A VM that a host has stays there. A host that does not answer is unknown, never absent: a VM that
no host says it has may run there, so it is started nowhere until the host answers or is declared
dead; two guests with one MAC are the worst that could happen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from provisioner.fabric.capacity import Capacity
from provisioner.fabric.facts import HostFacts, Silent
from provisioner.fabric.homes import settle, silent
from provisioner.fabric.placing import Assigned, Decision, Fleet, Homes, listed
from provisioner.guest.qemu.memory import wanted_mib
from provisioner.plan.choices import Strategy
from provisioner.plan.placing.carriers import apart_groups, candidates, carriers
from provisioner.plan.problem import Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from provisioner.plan.model import Plan
    from provisioner.plan.vm import Vm

    Unit = tuple[Vm, ...]

_MOST_TRIES: Final = 32
_MOST_TOLD: Final = 8  # hosts whose reasons stand in one sentence


def place(
    plan: Plan, fleet: Fleet, now: Homes, moving: Mapping[str, frozenset[str]] | None = None
) -> Decision:
    """Decide where each VM of a plan goes; `now` says which hosts have which of them.

    Those in `moving` have a host, which is not in `now`, and go to one of these others instead.

    VMs that share a switch go to one host together. What is hardest to place goes first, and what
    then fits nowhere goes before it in another try. What still fits nowhere is refused with a
    reason for each host; the others are decided all the same.
    """
    moving = moving or {}
    settled = settle(plan, fleet, now, moving)
    quiet = silent(plan, fleet)
    start = _Try(plan, quiet, _capacities(plan, fleet), moving)
    for stays in settled.stays:
        if capacity := start.capacities.get(stays.host):
            capacity.take(plan.vm(stays.vm), runs=True)
    for unit, host in settled.bound:
        start.put(unit, [host])
    best = _best(start, settled.free)
    order = {vm.name: number for number, vm in enumerate(plan.vms)}
    return Decision(
        tuple(sorted((*settled.stays, *best.assigned), key=lambda one: order[one.vm])),
        tuple(sorted(settled.held, key=lambda one: order[one.vm])),
        (*settled.refused, *(problem for _, problem in best.failed)),
    )


def _capacities(plan: Plan, fleet: Fleet) -> dict[str, Capacity]:
    apart = tuple(frozenset(group) for group in apart_groups(plan))
    return {
        host: Capacity.of(host, plan, said, apart)
        for host in carriers(plan)
        if isinstance(said := fleet.get(host), HostFacts)
    }


def _best(start: _Try, free: Iterable[Unit]) -> _Try:
    """Place units in several orders; return the first try that fails with the fewest."""
    order = sorted(free, key=start.ease)
    best: _Try | None = None
    seen = set()
    for _ in range(_MOST_TRIES):
        found = start.copy()
        for unit in order:
            found.put(unit, found.hosts_for(unit))
        if best is None or len(found.failed) < len(best.failed):
            best = found
        seen.add(tuple(unit[0].name for unit in order))
        failed = [unit for unit, _ in found.failed if unit in order]
        order = [*failed, *(unit for unit in order if unit not in failed)]
        if not failed or tuple(unit[0].name for unit in order) in seen:
            break
    return best or start


class _Try:
    """One way to place the units of a plan: what is placed, what failed, what the hosts have."""

    def __init__(
        self,
        plan: Plan,
        quiet: dict[str, Silent],
        capacities: dict[str, Capacity],
        moving: Mapping[str, frozenset[str]],
    ) -> None:
        self.plan = plan
        self.moving = moving
        self.quiet = quiet
        self.capacities = capacities
        self.assigned: list[Assigned] = []
        self.failed: list[tuple[Unit, Problem]] = []
        self.packs = plan.placement is not None and plan.placement.strategy is Strategy.PACK
        self.numbers = {vm.name: number for number, vm in enumerate(plan.vms)}

    def copy(self) -> _Try:
        """Return a try that goes on from here and leaves this one as it is."""
        capacities = {host: one.copy() for host, one in self.capacities.items()}
        made = _Try(self.plan, self.quiet, capacities, self.moving)
        made.assigned, made.failed = [*self.assigned], [*self.failed]
        return made

    def hosts_for(self, unit: Unit) -> list[str]:
        """Return the hosts that a unit may be on, as far as the plan says."""
        every = [candidates(self.plan, vm) for vm in unit]
        every += [tuple(self.moving[vm.name]) for vm in unit if vm.name in self.moving]
        return [host for host in carriers(self.plan) if all(host in each for each in every)]

    def ease(self, unit: Unit) -> tuple[int, int, int]:
        """Return how easy a unit is to place: few hosts, much memory, early in the plan first."""
        hosts = (self.capacities.get(host) for host in self.hosts_for(unit))
        fitting = sum(1 for host in hosts if host and not any(host.refusals(unit)))
        return fitting, -sum(map(wanted_mib, unit)), self.numbers[unit[0].name]

    def put(self, unit: Unit, hosts: Sequence[str]) -> None:
        """Place a unit on the best of these hosts, or note why it fits on none."""
        reasons = {host: self._reason(unit, host) for host in hosts}
        fitting = [self.capacities[host] for host, why in reasons.items() if not why]
        if not fitting:
            self.failed.append((unit, _nowhere(unit, reasons)))
            return
        best = min(fitting, key=lambda one: self._cost(one, unit))
        others = [f"{host} {why}" for host, why in reasons.items() if why][:_MOST_TOLD]
        for vm in unit:
            self.assigned.append(Assigned(vm.name, best.host, "; ".join([best.room, *others])))
            best.take(vm)

    def _reason(self, unit: Unit, host: str) -> str:
        """Return the first reason that keeps a unit from a host, "" for none."""
        if said := self.quiet.get(host):
            return "is declared dead" if said.is_dead else f"does not answer ({said.why})"
        return next(self.capacities[host].refusals(unit), "")

    def _cost(self, host: Capacity, unit: Unit) -> tuple[int, int, int]:
        """Return what decides among hosts that fit; the first in the plan of those that tie."""
        there, free = len(host.vms), host.memory_mib
        return host.without_carrier(unit), *((-there, free) if self.packs else (there, -free))


def _nowhere(unit: Unit, reasons: dict[str, str]) -> Problem:
    names = [vm.name for vm in unit]
    what = f"VM {names[0]} fits" if len(unit) == 1 else f"VMs {listed(names)} fit"
    told = [f"{host} {why}" for host, why in reasons.items()]
    more = len(told) - _MOST_TOLD
    told = [*told[:_MOST_TOLD], *([f"and {more} more"] if more > 0 else [])]
    together = "" if len(unit) == 1 else " together, as one switch wants it"
    return Problem(
        ("vms", names[0]),
        f"{what} on no host{together}: {'; '.join(told) or 'there is none for it'}",
        "make room there, let it be on more hosts, or let it want less",
    )
