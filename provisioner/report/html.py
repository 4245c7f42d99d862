"""The check as one page of HTML: who is where, the grid, and what stands behind each cell.

The page holds all it needs and may load nothing: its policy allows its own style and script, by
their digests, and no other.
"""

import base64
import hashlib
from typing import TYPE_CHECKING, Final

from provisioner import __version__
from provisioner.check.result import Finding, Result
from provisioner.errors import Exit
from provisioner.guest.xml.render import rendered
from provisioner.json_document import sanitized
from provisioner.report import matrix
from provisioner.report.consoles import telling
from provisioner.report.layout import shortened
from provisioner.report.report import Report, causes, title
from provisioner.report.topology import drawing
from provisioner.template_files import template
from provisioner.text import sanitize

if TYPE_CHECKING:
    from provisioner.plan.model import Plan
    from provisioner.report.matrix import Cell

_FEW: Final = 4  # observations of a cause that are in sight
_MOST: Final = 24  # characters of a name above a column
KINDS: Final = {"✓": "kept", "·": "kept", "~": "kept", "○": "unknown", "?": "unknown"}
"""The style of a cell by its symbol; all others are broken."""


def as_html(report: Report, plan: "Plan") -> str:
    """Format a report as one page. Every text is escaped by the template or set as text."""
    cells: list[list[dict[str, object]]] = []
    grids = []
    for grid in matrix.grids(report.results):
        rows = []
        for source, row in grid.rows():
            numbered: list[tuple[int, Cell] | None] = []
            for cell in row:
                numbered.append((len(cells), cell) if cell else None)
                cells += [[_entry(r) for r in cell.results]] if cell else []
            rows.append((sanitize(source), numbered))
        heads = shortened(map(sanitize, grid.targets), _MOST)
        targets = [(short, name) for name, short in heads.items()]
        grids.append((sanitize(grid.network), targets, rows))
    there = {cell.symbol for grid in matrix.grids(report.results) for cell in grid.cells.values()}
    style = template("drawing.css") + template("check.css")
    script = template("check.js")
    return rendered(
        "check.html.j2",
        plan=sanitize(report.plan),
        summary=sanitize(report.summary),
        good=report.status is Exit.DONE,
        about=sanitized(_about(report)),
        grids=grids,
        cells=sanitized(cells),
        legend=[(symbol, word) for symbol, word in matrix.MEANING.items() if symbol in there],
        kinds=KINDS,
        drawing=drawing(plan, report.results),
        causes=sanitized([(pairs, f.what, f.fix, f.evidence) for pairs, f in causes(report)]),
        few=_FEW,
        consoles=sanitized(report.consoles),
        telling=[vm for vm, _ in telling(report)],
        style=style,
        script=script,
        style_digest=_digest(style),
        script_digest=_digest(script),
    )


def _about(report: Report) -> list[tuple[str, str]]:
    """Return when, where and of what the report is, as far as that is known."""
    found = [("vmnet", __version__), ("took", f"{report.seconds:.1f} s")]
    if origin := report.origin:
        found += [("date", origin.date), ("host", origin.host), ("kernel", origin.kernel)]
        if origin.digest:
            found.append(("plan, SHA-256", origin.digest))
        if origin.changed:
            found.append(("changed by --set", ", ".join(origin.changed)))
    found += [(of, f"{chosen.what}: {chosen.why}") for of, chosen in report.chosen.items()]
    return found


def _entry(r: Result) -> dict[str, object]:
    took = f" in {r.seconds * 1000:.2f} ms" if r.seconds is not None else ""
    finding = r.finding or Finding("", "")
    return {
        "asked": title(r),
        "address": str(r.address or ""),
        "expected": str(r.pair.expected),
        "why": r.pair.why,
        "observed": f"{r.observed}{took}",
        "how": str(r.by or ""),
        "note": r.note,
        "control": r.around,
        "reason": finding.what,
        "fix": finding.fix,
        "evidence": finding.evidence,
    }


def _digest(text: str) -> str:
    """Return the digest by which a content security policy allows an inline block."""
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
