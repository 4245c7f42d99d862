"""The plans of a host as a table of at most 100 columns, and as JSON."""

from collections.abc import Iterable, Iterator
from typing import Annotated, Final, NotRequired, TypedDict

from provisioner.errors import Exit
from provisioner.image.listing import size
from provisioner.inventory.found import FoundPlan, FoundVm, Inventory, LockHolder, Thing
from provisioner.inventory.times import span
from provisioner.json_document import json_document
from provisioner.text import one_line

WIDTH: Final = 100
_TITLES: Final = ("PLAN", "VMS", "DISKS", "MADE", "UNTIL")
_NAMED: Final = 3  # VMs of one state that are named in the table


class ThingValue(TypedDict):
    """A thing on this host: a device, a domain, a file, a process."""

    kind: str
    name: str
    made: Annotated[int | None, "In seconds since 1970; null where that is not known."]
    why: NotRequired[Annotated[str, "Why it is not vmnet's."]]


class FoundVmValue(TypedDict):
    """A VM of a plan."""

    name: str
    state: str
    pid: int
    elsewhere: Annotated[bool, "It runs in another network namespace."]


class FoundDiskValue(TypedDict):
    """A disk in a plan's folder."""

    path: str
    vm: str
    bytes: int
    keep: bool


class LockValue(TypedDict):
    """The command that works on a plan now."""

    pid: int
    doing: str
    since: str


class FoundPlanValue(TypedDict):
    """A plan of this host; times are seconds since 1970, null where unknown."""

    name: str
    vms: list[FoundVmValue]
    disks: list[FoundDiskValue]
    snapshots: list[str]
    made: int | None
    until: int | None
    expired: bool
    file: str | None
    connection: str | None
    lock: LockValue | None
    has: list[str]
    notes: list[str]


class LsDocument(TypedDict):
    """The plans of this host."""

    plans: list[FoundPlanValue]
    strangers: Annotated[list[ThingValue], "What bears a mark of vmnet's and is not vmnet's."]
    troubles: Annotated[list[str], "What could not be seen."]


def as_rows(inventory: Inventory, now: int) -> list[tuple[str, ...]]:
    """Return the titles of a table of the plans, and its cells, row by row."""
    return [_TITLES, *(_cells(plan, now) for plan in inventory.plans)]


def notes(inventory: Inventory, now: int) -> Iterator[str]:
    """Return what there is to say about plans beside the table, a line each."""
    for plan in inventory.plans:
        if plan.file:
            yield f"{plan.name}: its plan is {plan.file}"
        if plan.snapshots:
            yield f"{plan.name}: it has the snapshots {', '.join(plan.snapshots)}"
        if plan.holder:
            yield f"{plan.name}: {plan.holder} works on it"
        if 0 < plan.until <= now:
            yield (
                f"{plan.name}: its time was over {span(now - plan.until)} ago: take it away "
                f"with vmnet gc --expired, or keep it with vmnet extend {plan.name} 2h"
            )
        yield from (f"{plan.name}: {note}" for note in plan.notes)
    yield from (
        f"left alone, not vmnet's: {one_line(str(x))} ({x.why})" for x in inventory.strangers
    )
    yield from (f"cannot be seen: {trouble}" for trouble in inventory.troubles)


def as_json(inventory: Inventory, now: int) -> str:
    """Return the plans as JSON."""
    return json_document(
        "ls",
        Exit.DONE,
        LsDocument(
            plans=[plan_value(plan, now) for plan in inventory.plans],
            strangers=[thing_value(thing) for thing in inventory.strangers],
            troubles=list(inventory.troubles),
        ),
    )


def thing_value(thing: Thing) -> ThingValue:
    """Return a thing as what becomes JSON."""
    value = ThingValue(kind=thing.kind, name=thing.name, made=thing.made or None)
    if thing.why:
        value["why"] = thing.why
    return value


def plan_value(plan: FoundPlan, now: int) -> FoundPlanValue:
    """Return a plan as what becomes JSON; times are seconds since 1970, null where unknown."""
    holder = plan.holder
    return {
        "name": plan.name,
        "vms": [_vm(vm) for vm in plan.vms],
        "disks": [
            {"path": d.path, "vm": d.vm, "bytes": d.size, "keep": d.keep} for d in plan.disks
        ],
        "snapshots": list(plan.snapshots),
        "made": plan.made or None,
        "until": plan.until or None,
        "expired": 0 < plan.until <= now,
        "file": plan.file or None,
        "connection": plan.connection or None,
        "lock": _lock(holder) if holder else None,
        "has": [str(thing) for thing in plan.things],
        "notes": list(plan.notes),
    }


def _lock(holder: LockHolder) -> LockValue:
    return LockValue(pid=holder.pid, doing=holder.doing, since=holder.since)


def _vm(vm: FoundVm) -> FoundVmValue:
    return {"name": vm.name, "state": vm.state, "pid": vm.pid, "elsewhere": vm.is_elsewhere}


def _cells(plan: FoundPlan, now: int) -> tuple[str, ...]:
    count = len(plan.disks)
    return (
        plan.name,
        "; ".join(_states(plan.vms)) or "-",
        f"{count}, {size(plan.size)}" if count else "-",
        f"{span(now - plan.made)} ago" if plan.made else "?",
        _until(plan, now),
    )


def _until(plan: FoundPlan, now: int) -> str:
    if not plan.until:
        return "-"
    return f"in {span(plan.until - now)}" if plan.until > now else "over"


def _states(vms: Iterable[FoundVm]) -> Iterator[str]:
    by_state: dict[str, list[str]] = {}
    for vm in vms:
        by_state.setdefault(vm.state, []).append(vm.name)
    for state, names in by_state.items():
        few = len(names) <= _NAMED
        yield f"{' '.join(names)} {state}" if few else f"{len(names)} {state}"
