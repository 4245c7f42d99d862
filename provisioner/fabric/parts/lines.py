"""The checks of a plan that one host can measure: those that begin at its own guests, or end there.

A pattern is resolved, since guests of other hosts are no VMs of what the host gets.
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

from provisioner.plan.checks import HOST, Check
from provisioner.plan.rules.checks import is_on, matching

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from provisioner.plan.model import Plan


def lines(plan: Plan, here: Collection[str], known: Collection[str]) -> list[str]:
    """Return the checks for a host that has the VMs `here`; `known` are others that it can ask."""
    found: dict[str, None] = {}
    for check in plan.checks:
        if isinstance(check, str):
            found[check] = None
        else:
            found |= dict.fromkeys(_of(plan, check, here, known))
    return list(found)


def _of(plan: Plan, check: Check, here: Collection[str], known: Collection[str]) -> Iterator[str]:
    every = [vm.name for vm in plan.vms]
    sources = _there(plan, check, matching(every, check.source)) or [check.source]
    targets = _there(plan, check, matching(every, check.target)) if check.target else []
    arrow, tail = ("->" if check.reaches else "-/>"), _tail(check, targets=bool(targets))
    for source, target in product(sources, targets or [""]):
        begins = source in here and (target in ("", *here, *known))
        ends = (source == HOST or source in plan.hosts) and target in here
        outward = not target and _asks_outward(source, here)
        if source != target and (outward if not target else begins or ends):
            yield " ".join(filter(None, (source, arrow, target, tail)))


def _asks_outward(source: str, here: Collection[str]) -> bool:
    return source in here or source == HOST


def _there(plan: Plan, check: Check, vms: list[str]) -> list[str]:
    return [vm for vm in vms if not check.network or is_on(plan.vm(vm), check.network)]


def _tail(check: Check, *, targets: bool) -> str:
    """Return what a line says after its target; with the target itself where that is no VM."""
    rest = check.text.partition("->" if check.reaches else "-/>")[2].strip()
    return rest.partition(" ")[2] if targets else rest
