"""Findings of vmnet doctor about a host, each with its fix, and their summary."""

from collections.abc import Iterator, Sequence
from enum import StrEnum
from functools import cache
from typing import Annotated, Any, TypedDict

import yaml

from provisioner.dataclass import dataclass
from provisioner.distribution import HERE
from provisioner.errors import Exit
from provisioner.json_document import json_document
from provisioner.template_files import template
from provisioner.text import one_line


class Severity(StrEnum):
    """How something stands."""

    GOOD = "ok"
    NOTE = "note"  # works otherwise than one may think, or less well than it could
    LACKS = "lacking"  # some plans cannot be brought up, the finding names them
    BAD = "broken"  # no plan can be brought up
    UNKNOWN = "unknown"  # could not be checked, the finding says why


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that was looked at: what was found, and the fix where there is need."""

    area: str
    what: str
    state: Severity = Severity.GOOD
    fix: str = ""


Case = tuple[object, str, Severity, str]
"""Whether a case holds (its truth); the message then, how bad that is, and the fix."""


@cache
def table(name: str) -> list[dict[str, Any]]:
    """Return the rows of a table of templates/doctor.yaml."""
    rows: list[dict[str, Any]] = yaml.safe_load(template("doctor.yaml"))[name]
    return rows


def first(area: str, good: str, *cases: Case) -> Item:
    """Return the finding of the first case that holds, or that all is good."""
    for holds, what, state, fix in cases:
        if holds:
            return Item(area, what, state, fix)
    return Item(area, good)


def status(items: Sequence[Item]) -> Exit:
    """Return the exit status: 4 as soon as one thing keeps every plan from coming up."""
    return Exit.HOST_CANNOT if any(i.state is Severity.BAD for i in items) else Exit.DONE


def lines(items: Sequence[Item]) -> Iterator[str]:
    """Return the findings for people, area by area, each with its fix below."""
    for area in dict.fromkeys(i.area for i in items):
        yield area
        for item in (i for i in items if i.area == area):
            yield f"  {item.state:<8} {one_line(item.what, 400)}"
            if item.fix:
                yield f"  {'':<8} fix: {one_line(HERE.spoken(item.fix), 600)}"
    yield summary(items)


def summary(items: Sequence[Item]) -> str:
    """Return the summary in one sentence."""
    numbers = {state: sum(i.state is state for i in items) for state in Severity}
    counts = ["1 check" if len(items) == 1 else f"{len(items)} checks"]
    for state, n in numbers.items():
        if n and state is not Severity.GOOD:
            counts.append(f"{n} {state}s" if state is Severity.NOTE and n > 1 else f"{n} {state}")
    end = "no plan can be brought up" if status(items) else "nothing keeps vmnet up from working"
    return f"doctor: {', '.join(counts)}; {end}"


class ItemValue(TypedDict):
    """One thing that was looked at."""

    area: str
    state: Severity
    what: str
    fix: str | None


class DoctorDocument(TypedDict):
    """What would keep plans from coming up on this host."""

    summary: str
    findings: Annotated[list[ItemValue], "All that was looked at, what is well too."]


def as_json(items: Sequence[Item]) -> str:
    """Format the findings as JSON."""
    found = [
        ItemValue(area=i.area, state=i.state, what=i.what, fix=HERE.spoken(i.fix) or None)
        for i in items
    ]
    document = DoctorDocument(summary=summary(items), findings=found)
    return json_document("doctor", status(items), document)
