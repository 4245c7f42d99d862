"""Guests that are started when others are ready: the order of the steps that create them."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from provisioner.guest.domain import Domain
from provisioner.reconcile.diff import Step, Verb

if TYPE_CHECKING:
    from provisioner.plan.model import Plan


def ordered(steps: Sequence[Step], plan: "Plan") -> list[Step]:
    """Return steps in which a guest is created after those that its VM starts after."""
    starts = {s.resource.vm: s.id for s in steps if _starts(s) and isinstance(s.resource, Domain)}
    known = {vm.name: vm.after for vm in plan.vms}
    out = []
    for step in steps:
        names = known.get(step.resource.vm, ()) if isinstance(step.resource, Domain) else ()
        if names and _starts(step):
            before = frozenset(starts[name] for name in names if name in starts)
            cause = f"{step.cause}, when {' and '.join(names)} {_are(names)} ready"
            step = replace(step, after=step.after | before, cause=cause)  # noqa: PLW2901
        out.append(step)
    return out


def awaited_by(step: Step, plan: "Plan") -> str:
    """Return the VM that a step starts if it starts after others, else ""."""
    if not (isinstance(step.resource, Domain) and _starts(step)):
        return ""
    vm = step.resource.vm
    return vm if any(one.name == vm and one.after for one in plan.vms) else ""


def with_those_before(plan: "Plan", vms: Iterable[str]) -> frozenset[str]:
    """Return VMs with all that they start after, and so on."""
    found: set[str] = set()
    wanted = set(vms)
    while wanted:
        found |= wanted
        wanted = {name for vm in wanted for name in plan.vm(vm).after} - found
    return frozenset(found)


def _starts(step: Step) -> bool:
    return step.verb is Verb.CREATE and isinstance(step.resource, Domain)


def _are(names: Sequence[str]) -> str:
    return "is" if len(names) == 1 else "are"
