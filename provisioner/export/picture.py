"""A plan as a picture of its own, SVG or a page of HTML: the drawing that reports have."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from provisioner.export.graph import ReportCell
from provisioner.guest.xml.render import rendered
from provisioner.json_document import sanitized
from provisioner.report.html import KINDS
from provisioner.report.topology import drawing
from provisioner.template_files import template

if TYPE_CHECKING:
    from provisioner.network.addressing import Nics
    from provisioner.plan.model import Plan


def as_svg(plan: "Plan", nics: "Nics", cells: Sequence[ReportCell] = ()) -> str:
    """Write a plan as SVG, which loads nothing and runs nothing."""
    return rendered(
        "plan.svg.j2",
        plan=plan.name,
        drawing=_drawing(plan, nics, cells),
        kinds=KINDS,
        style=template("drawing.css"),
    )


def as_page(plan: "Plan", nics: "Nics", cells: Sequence[ReportCell] = ()) -> str:
    """Write a plan as a page: the picture, and what was measured between its ends."""
    return rendered(
        "plan.html.j2",
        plan=plan.name,
        drawing=_drawing(plan, nics, cells),
        kinds=KINDS,
        style=template("drawing.css") + template("check.css"),
        cells=sanitized([(c.source, c.target, c.observed, c.as_expected) for c in cells]),
    )


def _drawing(plan: "Plan", nics: "Nics", cells: Sequence[ReportCell]) -> object:
    details = {
        (key.vm, key.number): ", ".join(map(str, nic.addresses)) for key, nic in nics.items()
    }
    return drawing(plan, details=details, ends=_marks(cells))


def _marks(cells: Sequence[ReportCell]) -> Mapping[str, str]:
    """Return the symbol of all that was measured from or to an end, by its name."""
    found: dict[str, str] = {}
    for cell in cells:
        for end in (cell.source.partition(".")[0], cell.target.partition(".")[0]):
            found[end] = "✓" if cell.as_expected and found.get(end, "✓") == "✓" else "✗"
    return found
