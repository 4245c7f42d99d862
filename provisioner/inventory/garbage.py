"""What dead plans have left, as a table of at most 100 columns, as notes and as JSON."""

from collections.abc import Iterator, Sequence
from typing import Annotated, Final, TypedDict

from provisioner.dataclass import dataclass
from provisioner.errors import Exit
from provisioner.inventory.found import Inventory, Thing
from provisioner.inventory.judge import PlanVerdict
from provisioner.inventory.listing import ThingValue, thing_value
from provisioner.inventory.times import span
from provisioner.json_document import json_document
from provisioner.text import one_line

_TITLES: Final = ("PLAN", "WHAT", "AGE", "WHY")
_NOBODYS: Final = "no process uses it"


@dataclass(frozen=True, slots=True)
class Listed:
    """What gc has found: plans that go and plans that stay, and what is of no plan."""

    inventory: Inventory
    verdicts: tuple[PlanVerdict, ...]
    now: int
    ownerless: tuple[Thing, ...] = ()

    @property
    def garbage(self) -> tuple[PlanVerdict, ...]:
        """The plans that go."""
        return tuple(x for x in self.verdicts if x.is_garbage)

    @property
    def left(self) -> tuple[PlanVerdict, ...]:
        """The plans that stay."""
        return tuple(x for x in self.verdicts if not x.is_garbage)


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a plan or a thing that was to be taken away."""

    name: str
    done: tuple[str, ...] = ()
    error: str = ""
    status: Exit = Exit.DONE


class GarbageValue(TypedDict):
    """A plan that goes, and what there is of it."""

    plan: str
    why: str
    made: Annotated[int | None, "In seconds since 1970; null where that is not known."]
    until: Annotated[int | None, "In seconds since 1970; null without an expiry."]
    things: list[ThingValue]


class LeftValue(TypedDict):
    """A plan that stays."""

    plan: str
    why: str


class TakenValue(TypedDict):
    """What became of a plan or a thing that was to be taken away."""

    name: str
    done: list[str]
    error: str | None


class GcDocument(TypedDict):
    """What dead plans have left, and what became of it."""

    garbage: list[GarbageValue]
    left: list[LeftValue]
    ownerless: list[ThingValue]
    strangers: list[ThingValue]
    taken: list[TakenValue]
    troubles: list[str]


def as_rows(found: Listed) -> list[tuple[str, ...]]:
    """Return the titles of a table of what goes, and its cells: plan after plan, thing by thing."""
    rows: list[tuple[str, ...]] = [_TITLES]
    for one in found.garbage:
        for at, thing in enumerate(one.things):
            made = thing.made or one.plan.made
            age = span(found.now - made) if made else "?"
            rows.append((one.plan.name, str(thing), age, "" if at else one.why))
    rows += [("-", str(thing), "?", _NOBODYS) for thing in found.ownerless]
    return rows


def notes(found: Listed) -> Iterator[str]:
    """Return what stays and why, a line each."""
    for one in found.left:
        yield f"{one.plan.name} stays: {one.why}"
    for thing in found.inventory.strangers:
        yield f"left alone, not vmnet's: {one_line(str(thing))} ({one_line(thing.why)})"
    for trouble in found.inventory.troubles:
        yield f"cannot be seen: {trouble}"


def as_json(found: Listed, taken: Sequence[Taken]) -> str:
    """Return what was found, and what became of it, as JSON."""
    status = Exit.PARTLY_DONE if any(one.status for one in taken) else Exit.DONE
    document = GcDocument(
        garbage=[
            GarbageValue(
                plan=one.plan.name,
                why=one.why,
                made=one.plan.made or None,
                until=one.plan.until or None,
                things=[thing_value(thing) for thing in one.things],
            )
            for one in found.garbage
        ],
        left=[LeftValue(plan=one.plan.name, why=one.why) for one in found.left],
        ownerless=[thing_value(thing) for thing in found.ownerless],
        strangers=[thing_value(thing) for thing in found.inventory.strangers],
        taken=[
            TakenValue(name=one.name, done=list(one.done), error=one.error or None) for one in taken
        ],
        troubles=list(found.inventory.troubles),
    )
    return json_document("gc", status, document)
