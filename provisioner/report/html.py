"""The check as one page of HTML: who is where, the grid, and what stands behind each cell.

The page holds all it needs and may load nothing: its policy allows its own style and script, by
their digests, and no other.
"""

import base64
import hashlib
from dataclasses import asdict, dataclass
from importlib.resources import files
from typing import TYPE_CHECKING

from provisioner.check.result import Result
from provisioner.guest.xml.render import rendered
from provisioner.network.devices import uplink_of
from provisioner.plan.nic_settings import settings_of
from provisioner.report import failures, matrix
from provisioner.report.report import Report
from provisioner.text import sanitize

if TYPE_CHECKING:
    from provisioner.check.result import Finding
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
        for source in grid.sources:
            row: list[tuple[int, matrix.Cell] | None] = []
            for target in grid.targets:
                found = _of(report, grid.network, source, target)
                row.append((len(cells), grid.cells[source, target]) if found else None)
                if found:
                    cells.append([_entry(r) for r in found])
            rows.append((sanitize(source), row))
        grids.append((sanitize(grid.network), [sanitize(t) for t in grid.targets], rows))
    boxes, edges = topology(plan)
    style, script = _template("check.css"), _template("check.js")
    return rendered(
        "check.html.j2",
        plan=sanitize(report.plan),
        summary=sanitize(report.summary),
        grids=grids,
        cells=cells,
        boxes=boxes,
        edges=edges,
        size=(max(b.x for b in boxes) + _WIDTH + _GAP, max(b.y for b in boxes) + _HEIGHT + _GAP),
        box=(_WIDTH, _HEIGHT),
        surprises=[(sanitize(pairs), _finding(f)) for pairs, f in failures.of(report)],
        consoles=[(sanitize(vm), sanitize(text)) for vm, text in report.consoles],
        style=style,
        script=script,
        style_digest=_digest(style),
        script_digest=_digest(script),
    )


def topology(plan: "Plan") -> tuple[list[Box], list[Edge]]:
    """Lay networks out in a row above VMs and other machines; a line for each NIC, with its mode.

    A machine is joined to the networks on uplinks that an address of its lies in.
    """
    wide = _WIDTH + _GAP
    homes = {n.name: _GAP + i * wide for i, n in enumerate(plan.networks)}
    boxes = [
        Box(homes[n.name], _TOP, n.name, ("switch" if n.switch else uplink_of(plan.name, n)))
        for n in plan.networks
    ]
    edges = []
    for i, vm in enumerate(plan.vms):
        x, y = _GAP + i * wide, _TOP + _ROW
        boxes.append(Box(x, y, vm.name, f"{len(vm.nics)} NIC{'s' if len(vm.nics) > 1 else ''}"))
        for nic in vm.nics:
            mode = settings_of(plan, nic).mode
            middle = _WIDTH // 2
            edges.append(Edge(x + middle, y, homes[nic.network] + middle, _TOP + _HEIGHT, mode))
    for i, (name, machine) in enumerate(plan.hosts.items(), len(plan.vms)):
        x, y = _GAP + i * wide, _TOP + _ROW
        boxes.append(Box(x, y, name, str(machine.addresses[0])))
        for network in plan.networks:
            if network.uplink and machine.on(network.subnet):
                middle = _WIDTH // 2
                there = homes[network.name] + middle
                edges.append(Edge(x + middle, y, there, _TOP + _HEIGHT, "machine"))
    return boxes, edges


def _of(report: Report, network: str, source: str, target: str) -> list[Result]:
    return [
        r
        for r in report.results
        if (r.pair.network, r.pair.source, r.pair.target) == (network, source, target)
    ]


def _entry(r: Result) -> dict[str, object]:
    took = f" in {r.seconds * 1000:.2f} ms" if r.seconds is not None else ""
    texts = {
        "asked": failures.title(r),
        "address": r.address,
        "expected": str(r.pair.expected),
        "why": r.pair.why,
        "observed": f"{r.observed}{took}",
        "how": str(r.by or ""),
        "note": r.note,
        "reason": r.finding.what if r.finding else "",
        "fix": r.finding.fix if r.finding else "",
    }
    evidence = [sanitize(line) for line in r.finding.evidence] if r.finding else []
    return {key: sanitize(text) for key, text in texts.items()} | {"evidence": evidence}


def _finding(finding: "Finding") -> dict[str, object]:
    known = asdict(finding)
    return {
        key: [sanitize(x) for x in value] if isinstance(value, tuple) else sanitize(value)
        for key, value in known.items()
    }


def _template(name: str) -> str:
    return files("provisioner").joinpath("templates", name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    """Return the digest by which a content security policy allows an inline block."""
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
