"""A plan as a graph: this host, its uplinks, networks, guests; Graphviz's language and Mermaid's.

Every text is escaped for the language that it stands in.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from provisioner.dataclass import dataclass
from provisioner.json_document import strict
from provisioner.plan.checks import HOST
from provisioner.plan.choices import LinkState
from provisioner.plan.nic_settings import settings_of
from provisioner.report.topology import subtitle
from provisioner.text import sanitize

if TYPE_CHECKING:
    from provisioner.network.addressing import Nics
    from provisioner.plan.model import Network, Plan

_MOST_CELLS: Final = 100_000
_MOST_TEXT: Final = 120  # characters of a label


@dataclass(frozen=True, slots=True)
class ReportCell:
    """What a report says of one direction between two ends, of all its measurements together."""

    source: str
    target: str
    as_expected: bool
    observed: str


@dataclass(frozen=True, slots=True)
class Node:
    """A host, an uplink, a network, a guest or another machine."""

    id: str
    kind: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Edge:
    """What joins two nodes; a `cell` is a measurement, and goes one way."""

    source: str
    target: str
    label: str = ""
    loose: bool = False  # nothing passes there
    cell: ReportCell | None = None


@dataclass(frozen=True, slots=True)
class Graph:
    """All of it."""

    title: str
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]


def graph(plan: "Plan", nics: "Nics", cells: Sequence[ReportCell] = ()) -> Graph:
    """Return the graph of a plan, with what a report has measured between its ends."""
    nodes = dict(_nodes(plan, nics))
    edges = list(_edges(plan, nodes))
    for cell in cells:
        source, target = (_end(nodes, end) for end in (cell.source, cell.target))
        if source and target:
            edges.append(Edge(source, target, cell.observed, cell=cell))
    return Graph(plan.name, tuple(nodes.values()), tuple(edges))


def cells_of(text: str) -> list[ReportCell]:
    """Return the cells of a report, as `vmnet check --json` prints it.

    Raises ValueError for what is no such report.
    """
    try:
        results = strict(text)["results"]
        found: dict[tuple[str, str], ReportCell] = {}
        for one in results[:_MOST_CELLS]:
            ends = str(one["from"]), str(one["to"])
            cell = ReportCell(*ends, one["as_expected"] is True, str(one["observed"]))
            if ends not in found or (found[ends].as_expected and not cell.as_expected):
                found[ends] = cell
    except (KeyError, TypeError, RecursionError) as error:
        raise ValueError("it has no results") from error
    return list(found.values())


def _nodes(plan: "Plan", nics: "Nics") -> "Iterator[tuple[tuple[str, str], Node]]":
    """Return each node with what it is: its kind and its name."""
    named: list[tuple[str, str, tuple[str, ...]]] = [(HOST, HOST, ("this host",))]
    uplinks = dict.fromkeys(n.uplink for n in plan.networks if n.uplink)
    named += [("uplink", one, (one, "uplink")) for one in uplinks]
    named += [("network", n.name, (n.name, *_about(plan, n))) for n in plan.networks]
    named += [
        ("machine", name, (name, *map(str, machine.addresses)))
        for name, machine in plan.hosts.items()
    ]
    for vm in plan.vms:
        there = [a for key, nic in nics.items() if key.vm == vm.name for a in nic.addresses]
        named.append(("vm", vm.name, (vm.name, *map(str, there))))
    for number, (kind, name, lines) in enumerate(named):
        yield (kind, name), Node(f"n{number}", kind, lines)


def _about(plan: "Plan", network: "Network") -> tuple[str, ...]:
    return f"mode {network.mode}", *subtitle(plan, network)


def _edges(plan: "Plan", nodes: "Mapping[tuple[str, str], Node]") -> Iterator[Edge]:
    host = nodes[HOST, HOST].id
    for (kind, _), node in nodes.items():
        if kind == "uplink":
            yield Edge(host, node.id)
    for network in plan.networks:
        there = nodes["network", network.name].id
        if network.uplink:
            yield Edge(nodes["uplink", network.uplink].id, there)
            machines = (name for name, one in plan.hosts.items() if one.on(network.subnet))
            yield from (Edge(there, nodes["machine", name].id) for name in machines)
        if network.switch or network.host_access is not None:
            yield Edge(host, there, "switch" if network.switch else "host access")
    for key, nic in plan.nics():
        up = nic.link is LinkState.UP
        label = str(settings_of(plan, nic).mode) if up else "link down"
        there = nodes["network", nic.network].id
        yield Edge(there, nodes["vm", key.vm].id, label, loose=not up)


def _end(nodes: "Mapping[tuple[str, str], Node]", name: str) -> str:
    """Return the node that a report calls so: VM, VM.NUMBER, host, a machine; "" for none."""
    for known in ((HOST, name), ("vm", name), ("machine", name), ("vm", name.partition(".")[0])):
        if known in nodes:
            return nodes[known].id
    return ""


_SHAPES: Final = {
    HOST: "box3d", "uplink": "cds", "network": "ellipse", "vm": "box", "machine": "box",
}  # fmt: skip


def as_dot(found: Graph) -> str:
    """Write a graph in Graphviz's language."""
    lines = [
        f"graph {_quoted(found.title)} {{",
        "  rankdir=LR;",
        '  node [fontname="sans-serif"]; edge [fontname="sans-serif", fontsize=10];',
    ]
    for node in found.nodes:
        style = ", style=dashed" if node.kind == "machine" else ""
        label = "\\n".join(map(_in_quotes, node.lines))
        lines.append(f'  {node.id} [shape={_SHAPES[node.kind]}, label="{label}"{style}];')
    for edge in found.edges:
        words = [f"label={_quoted(edge.label)}"]
        if edge.cell:
            color = "darkgreen" if edge.cell.as_expected else "red"
            words += ["dir=forward", f"color={color}", f"fontcolor={color}", "constraint=false"]
        elif edge.loose:
            words.append("style=dotted")
        lines.append(f"  {edge.source} -- {edge.target} [{', '.join(words)}];")
    return "\n".join([*lines, "}"]) + "\n"


def as_mermaid(found: Graph) -> str:
    """Write a graph as a Mermaid flowchart."""
    ends = {HOST: ("[[", "]]"), "uplink": ("{{", "}}"), "network": ("([", "])")}
    lines = ["flowchart LR"]
    for node in found.nodes:
        before, behind = ends.get(node.kind, ("[", "]"))
        label = "<br>".join(map(_in_mermaid, node.lines))
        lines.append(f'  {node.id}{before}"{label}"{behind}')
    styles = []
    for number, edge in enumerate(found.edges):
        line = "-.-" if edge.loose else "-->" if edge.cell else "---"
        label = f'|"{_in_mermaid(edge.label)}"|' if edge.label else ""
        lines.append(f"  {edge.source} {line}{label} {edge.target}")
        if edge.cell:
            color = "green" if edge.cell.as_expected else "red"
            styles.append(f"  linkStyle {number} stroke:{color},color:{color}")
    return "\n".join([*lines, *styles]) + "\n"


def _shown(text: str) -> str:
    """Return a text on one line, harmless and not too long."""
    line = re.sub(r"\s+", " ", sanitize(text))
    return line if len(line) <= _MOST_TEXT else line[: _MOST_TEXT - 1] + "…"


def _quoted(text: str) -> str:
    return f'"{_in_quotes(text)}"'


def _in_quotes(text: str) -> str:
    r"""Return a text for Graphviz, which reads \N and &lt; in labels."""
    return _shown(text).replace("&", "&amp;").replace("\\", "\\\\").replace('"', '\\"')


def _in_mermaid(text: str) -> str:
    """Return a text for Mermaid, whose escapes are #NUMBER; for characters."""
    return "".join(c if c.isalnum() or c in " .,:()/-" else f"#{ord(c)};" for c in _shown(text))
