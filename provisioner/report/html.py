"""The check as one page of HTML: who is where, the grid, and what stands behind each cell.

The page holds all it needs and may load nothing: its policy allows its own style and script, by
their digests, and no other.
"""

import base64
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from provisioner.check.result import Finding, Result
from provisioner.guest.xml.render import rendered
from provisioner.json_document import sanitized
from provisioner.network.devices import uplink_of
from provisioner.plan.nic_settings import settings_of
from provisioner.report import matrix
from provisioner.report.report import Report, causes, title
from provisioner.template_files import template
from provisioner.text import sanitize

if TYPE_CHECKING:
    from provisioner.plan.model import Plan

_WIDTH, _HEIGHT, _GAP, _TOP = 132, 44, 24, 28
_ROW = 150  # between the networks and the VMs


@dataclass(frozen=True, slots=True)
class Box:
    """A box of the topology."""

    x: int
    y: int
    title: str
    subtitle: str


@dataclass(frozen=True, slots=True)
class Edge:
    """A NIC: from a VM to its network."""

    x1: int
    y1: int
    x2: int
    y2: int
    label: str


def as_html(report: Report, plan: "Plan") -> str:
    """Format a report as one page. Every text is escaped by the template or set as text."""
    cells: list[list[dict[str, object]]] = []
    grids = []
    for grid in matrix.grids(report.results):
        rows = []
        for source, row in grid.rows():
            numbered: list[tuple[int, str, bool] | None] = []
            for cell in row:
                numbered.append((len(cells), str(cell), cell.met) if cell else None)
                cells += [[_entry(r) for r in cell.results]] if cell else []
            rows.append((source, numbered))
        grids.append((grid.network, grid.targets, rows))
    boxes, edges = topology(plan)
    style, script = template("check.css"), template("check.js")
    return rendered(
        "check.html.j2",
        plan=sanitize(report.plan),
        summary=sanitize(report.summary),
        grids=sanitized(grids),
        cells=sanitized(cells),
        boxes=boxes,
        edges=edges,
        size=(max(b.x for b in boxes) + _WIDTH + _GAP, max(b.y for b in boxes) + _HEIGHT + _GAP),
        box=(_WIDTH, _HEIGHT),
        causes=sanitized([(pairs, f.what, f.fix) for pairs, f in causes(report)]),
        consoles=sanitized(report.consoles),
        style=style,
        script=script,
        style_digest=_digest(style),
        script_digest=_digest(script),
    )


def topology(plan: "Plan") -> tuple[list[Box], list[Edge]]:
    """Return networks in a row above VMs and other machines, and a line with the mode of each NIC.

    A machine is joined to the networks on uplinks that an address of its lies in.
    """
    wide = _WIDTH + _GAP
    homes = {n.name: _GAP + i * wide for i, n in enumerate(plan.networks)}
    boxes = [
        Box(homes[n.name], _TOP, n.name, ("switch" if n.switch else uplink_of(plan.name, n)))
        for n in plan.networks
    ]
    below = [
        (
            vm.name,
            f"{len(vm.nics)} NIC{'s' if len(vm.nics) > 1 else ''}",
            [(nic.network, str(settings_of(plan, nic).mode)) for nic in vm.nics],
        )
        for vm in plan.vms
    ]
    for name, machine in plan.hosts.items():
        near = [n.name for n in plan.networks if n.uplink and machine.on(n.subnet)]
        below.append((name, str(machine.addresses[0]), [(n, "machine") for n in near]))
    edges = []
    middle, y = _WIDTH // 2, _TOP + _ROW
    for i, (name, subtitle, joined) in enumerate(below):
        x = _GAP + i * wide
        boxes.append(Box(x, y, name, subtitle))
        for network, label in joined:
            edges.append(Edge(x + middle, y, homes[network] + middle, _TOP + _HEIGHT, label))
    return boxes, edges


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
        "reason": finding.what,
        "fix": finding.fix,
        "evidence": finding.evidence,
    }


def _digest(text: str) -> str:
    """Return the digest by which a content security policy allows an inline block."""
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
