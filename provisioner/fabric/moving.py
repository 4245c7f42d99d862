"""Where VMs of a plan can be moved to, by what their hosts tell. Pure.

The other VMs stay where they are, so the VMs that move are placed as new ones would be.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from provisioner.fabric.place import place
from provisioner.fabric.placing import Decision, Fleet, Home, Homes, listed
from provisioner.plan.placing.carriers import candidates, together
from provisioner.plan.problem import Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from provisioner.plan.model import Plan


def moved(plan: Plan, fleet: Fleet, now: Homes, vm: str, to: str) -> Decision:
    """Decide whether a VM can be moved to a host; what is against it is refused."""
    found = [*_pinned(plan, [vm], lambda host: host == to, f"and not on {to}")]
    unit = next(names for names in together(plan) if vm in names)
    if others := [name for name in unit if name != vm]:
        what = f"VM {vm} shares a switch with {listed(others)}, and a switch is one host's own"
        found.append(Problem(("vms", vm), what, "move all of them: vmnet drain HOST"))
    if found:
        return Decision(refused=tuple(found))
    rest = {name: homes for name, homes in now.items() if name != vm}
    return place(plan, fleet, rest, {vm: frozenset({to})})


def drained(plan: Plan, fleet: Fleet, now: Homes, leaving: str) -> Decision:
    """Decide where the VMs of a host go, all of them; what fits nowhere else is refused."""
    vms = leave(now, leaving)
    known = {vm.name for vm in plan.vms}
    found = _pinned(
        plan, [vm for vm in vms if vm in known], lambda host: host != leaving, "which is drained"
    )
    if refused := tuple(found):
        return Decision(refused=refused)
    rest = {name: _elsewhere(homes, leaving) for name, homes in now.items()}
    others = frozenset(fleet) - {leaving}
    return place(plan, fleet, rest, dict.fromkeys(known & {*vms}, others))


def leave(now: Homes, host: str) -> list[str]:
    """Return the VMs that a host has, running or not."""
    return [name for name, homes in now.items() if any(home.host == host for home in homes)]


def _elsewhere(homes: Iterable[Home], host: str) -> tuple[Home, ...]:
    return tuple(home for home in homes if home.host != host)


def _pinned(
    plan: Plan, vms: Iterable[str], fits: Callable[[str], bool], why: str
) -> Iterator[Problem]:
    """List the VMs that the plan wants on hosts to which they would not come."""
    for name in vms:
        vm = plan.vm(name)
        if vm.on is not None and not any(map(fits, candidates(plan, vm))):
            what = f"VM {name} is to be on {vm.on}, {why}"
            yield Problem(
                ("vms", name, "on"), what, "change `on` of it in the plan, or leave it out"
            )
