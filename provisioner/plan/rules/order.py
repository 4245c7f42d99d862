"""What must hold among VMs that start after others."""

from __future__ import annotations

from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING

from provisioner.plan.problem import Problem
from provisioner.plan.scalars import meant, quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from provisioner.plan.model import Plan


def order_problems(plan: Plan) -> Iterator[Problem]:
    """List names after which nobody can start, and a circle of VMs that wait for each other."""
    known = {vm.name for vm in plan.vms}
    for vm in plan.vms:
        for at, name in enumerate(vm.after):
            if name not in known:
                yield Problem(
                    ("vms", vm.name, "after", at),
                    f"there is no VM {quoted(name)}",
                    f"{meant(name, known)}VMs of this plan: {', '.join(sorted(known))}",
                )
    circle = _circle(plan)
    if circle:
        first, other = circle[0], circle[1]
        at = plan.vm(first).after.index(other)
        waits = " after ".join((*circle[:-1], circle[-1]))
        yield Problem(
            ("vms", first, "after", at),
            f"these VMs would wait for each other: {waits}",
            "take one of them out of the other's after",
        )


def _circle(plan: Plan) -> list[str]:
    """Return VMs each of which starts after the next, the first again at the end; or none."""
    try:
        TopologicalSorter({vm.name: vm.after for vm in plan.vms}).prepare()
    except CycleError as error:
        circle: list[str] = error.args[1]
        return circle[::-1]
    return []
