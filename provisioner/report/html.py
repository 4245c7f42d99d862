"""The check as one page of HTML: who is where, the grid, and what stands behind each cell.

The page holds all it needs and may load nothing: its policy allows its own style and script, by
their digests, and no other.
"""

import base64
import hashlib
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from provisioner.check.result import Result
from provisioner.guest.xml.render import rendered
from provisioner.network.devices import uplink_of
from provisioner.plan.nic_settings import settings_on
from provisioner.report import failures, matrix
from provisioner.report.report import Report
from provisioner.text import sanitize

if TYPE_CHECKING:
    from provisioner.check.result import Finding
    from provisioner.plan.model import Plan

_WIDTH, _HEIGHT, _GAP, _TOP = 132, 44, 24, 28
_ROW = 150  # between the networks and the VMs

STYLE = """
:root { color-scheme: light dark; --line: #8886; --good: #1a7f37; --bad: #cf222e; --soft: #8882; }
@media (prefers-color-scheme: dark) { :root { --good: #3fb950; --bad: #ff7b72; } }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem; }
h1 { font-size: 1.4rem } h2 { font-size: 1.1rem; margin-top: 2rem }
table { border-collapse: collapse } th, td { border: 1px solid var(--line); padding: 0 }
th { padding: .3rem .6rem; text-align: left }
td button { all: unset; display: block; padding: .3rem .6rem; cursor: pointer; width: 100%;
  box-sizing: border-box }
td button:focus-visible, td button[aria-pressed=true] { outline: 2px solid currentColor }
.kept { color: var(--good) } .broken { color: var(--bad); font-weight: 600 }
#details { border: 1px solid var(--line); padding: .6rem 1rem; margin-top: 1rem; min-height: 4rem }
#details dl { display: grid; grid-template-columns: 8rem 1fr; margin: .3rem 0 } dd { margin: 0 }
svg { max-width: 100%; height: auto } svg rect { fill: var(--soft); stroke: var(--line) }
svg line { stroke: var(--line) } svg text { font: 12px system-ui, sans-serif; fill: currentColor }
code { background: var(--soft); padding: .1rem .3rem } li { margin: .4rem 0 }
"""

SCRIPT = """
"use strict";
const cells = JSON.parse(document.getElementById("cells").textContent);
const details = document.getElementById("details");
function line(list, name, value) {
  if (!value) return;
  const dt = document.createElement("dt"), dd = document.createElement("dd");
  dt.textContent = name; dd.textContent = value; list.append(dt, dd);
}
function show(button) {
  for (const other of document.querySelectorAll("td button"))
    other.setAttribute("aria-pressed", String(other === button));
  details.replaceChildren();
  for (const one of cells[button.dataset.cell]) {
    const list = document.createElement("dl");
    line(list, "asked", one.asked); line(list, "address", one.address);
    line(list, "expected", one.expected); line(list, "because", one.why);
    line(list, "observed", one.observed); line(list, "how", one.how); line(list, "note", one.note);
    line(list, "reason", one.reason); line(list, "fix", one.fix);
    for (const seen of one.evidence) line(list, "seen", seen);
    details.append(list);
  }
}
for (const button of document.querySelectorAll("td button"))
  button.addEventListener("click", () => show(button));
"""


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
    """Write a report as one page. Every text is escaped by the template or set as text."""
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
                    cells.append([_told(r) for r in found])
            rows.append((_clean(source), row))
        grids.append((_clean(grid.network), [_clean(t) for t in grid.targets], rows))
    boxes, edges = topology(plan)
    return rendered(
        "check.html.j2",
        plan=_clean(report.plan),
        summary=_clean(report.summary),
        grids=grids,
        cells=cells,
        boxes=boxes,
        edges=edges,
        size=(max(b.x for b in boxes) + _WIDTH + _GAP, max(b.y for b in boxes) + _HEIGHT + _GAP),
        box=(_WIDTH, _HEIGHT),
        surprises=[(_clean(pairs), _finding(f)) for pairs, f in failures.of(report)],
        consoles=[(_clean(vm), _clean(text)) for vm, text in report.consoles],
        style=STYLE,
        script=SCRIPT,
        style_digest=_digest(STYLE),
        script_digest=_digest(SCRIPT),
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
            mode = str(settings_on(plan.network(nic.network), nic).mode)
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


def _told(r: Result) -> dict[str, object]:
    took = f" in {r.seconds * 1000:.2f} ms" if r.seconds is not None else ""
    texts = {
        "asked": failures.told(r),
        "address": r.address,
        "expected": str(r.pair.expected),
        "why": r.pair.why,
        "observed": f"{r.observed}{took}",
        "how": str(r.by or ""),
        "note": r.note,
        "reason": r.finding.what if r.finding else "",
        "fix": r.finding.fix if r.finding else "",
    }
    evidence = [_clean(line) for line in r.finding.evidence] if r.finding else []
    return {key: _clean(text) for key, text in texts.items()} | {"evidence": evidence}


def _finding(finding: "Finding") -> dict[str, object]:
    known = asdict(finding)
    return {
        key: [_clean(x) for x in value] if isinstance(value, tuple) else _clean(value)
        for key, value in known.items()
    }


def _clean(text: str) -> str:
    return sanitize(text)


def _digest(text: str) -> str:
    """Give the digest by which a content security policy allows an inline block."""
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
