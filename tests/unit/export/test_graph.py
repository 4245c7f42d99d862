"""A plan as a graph: all that it has is drawn, and no text leaves the place that it stands in."""

import json
import re
import subprocess
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner.export import picture
from provisioner.export.graph import (
    Edge,
    Graph,
    Node,
    ReportCell,
    as_dot,
    as_mermaid,
    cells_of,
    graph,
)
from provisioner.network.addressing import assign
from provisioner.plan.load.loader import load
from provisioner.report.document import as_json
from tests.builders.report import DEAD, GOOD, HOSTILE, UNKNOWN, report
from tests.unit.report.test_topology import TEXT

PLAN = load(TEXT, "p").plan
NICS = assign(PLAN)
CELLS = [ReportCell("a", "b", True, "reaches"), ReportCell("b", "host", False, "no answer")]  # noqa: FBT003
hostile = st.sampled_from(HOSTILE) | st.text(max_size=40)

_TEXT = r"(?:[^\W_]|[ .,:()/-]|\#\d+;|<br>)*"
_MERMAID = re.compile(
    rf"""flowchart\ LR
    |\ \ n\d+(?:\[\["{_TEXT}"\]\]|\{{\{{"{_TEXT}"\}}\}}|\(\["{_TEXT}"\]\)|\["{_TEXT}"\])
    |\ \ n\d+\ (?:---|-\.-|-->)(?:\|"{_TEXT}"\|)?\ n\d+
    |\ \ linkStyle\ \d+\ stroke:(?:green|red),color:(?:green|red)""",
    re.VERBOSE,
)
"""What a line of a Mermaid flowchart of ours may be."""


class Tags(HTMLParser):
    """The tags of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take a tag and its attributes' names."""
        self.found += [tag, *(name for name, _ in attrs)]


def spoilt(text: str) -> Graph:
    nodes = (Node("n0", "host", ("this host",)), Node("n1", "vm", (f"x{text}", text)))
    return Graph(text, nodes, (Edge("n0", "n1", text, cell=ReportCell("a", "b", True, text)),))  # noqa: FBT003


def drawn(text: str) -> ET.Element:
    """Return a graph as Graphviz draws it."""
    argv = ["dot", "-Tsvg"]
    ran = subprocess.run(argv, input=text, capture_output=True, text=True, check=False, timeout=60)
    assert (ran.returncode, ran.stderr) == (0, "")
    return ET.fromstring(ran.stdout.replace("&#160;", " "))  # noqa: S314  (our own)


def texts(root: ET.Element) -> list[str]:
    return [(one.text or "").strip() for one in root.iter("{http://www.w3.org/2000/svg}text")]


def test_graphviz_draws_hosts_uplinks_networks_guests_addresses_and_cells() -> None:
    shown = texts(drawn(as_dot(graph(PLAN, NICS, CELLS))))
    wanted = {"this host", "nic0", "nic1", "lan", "dmz", "lab", "a", "b", "nas", "10.0.0.9"}
    wanted |= {"mode private", "uplink nic1, VLAN 7", "host access", "link down", "vepa"}
    wanted |= {str(address) for nic in NICS.values() for address in nic.addresses}
    wanted |= {"reaches", "no answer"}
    assert wanted - {"vepa"} <= set(shown)


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text)[:20])
def test_graphviz_shows_hostile_texts_and_takes_them_for_nothing_else(text: str) -> None:
    root = drawn(as_dot(spoilt(text)))
    kinds = [one.tag.rpartition("}")[2] for one in root.iter()]
    assert (kinds.count("ellipse"), kinds.count("script"), kinds.count("a")) == (0, 0, 0)
    assert any(shown.startswith("x") for shown in texts(root))


@given(hostile)
def test_no_label_of_graphvizs_language_ends_early(text: str) -> None:
    for line in as_dot(spoilt(text)).splitlines()[3:]:
        assert re.fullmatch(r'(?:[^"\\]|"(?:[^"\\]|\\.)*")*', line), line
        assert re.fullmatch(r"}|  n\d.*;", line), line


@given(hostile)
def test_each_line_of_mermaids_language_is_one_of_ours(text: str) -> None:
    for line in as_mermaid(spoilt(text)).splitlines():
        assert _MERMAID.fullmatch(line), line


def test_mermaid_has_the_same_nodes_and_edges() -> None:
    found = graph(PLAN, NICS, CELLS)
    lines = as_mermaid(found).splitlines()
    assert all(_MERMAID.fullmatch(line) for line in lines)
    assert len(lines) == 1 + len(found.nodes) + len(found.edges) + len(CELLS)
    assert '  n8["a<br>10.0.0.195/24<br>10.1.0.174/24"]' in lines


def test_the_picture_shows_each_address_and_what_was_measured() -> None:
    root = ET.fromstring(picture.as_svg(PLAN, NICS, CELLS))  # noqa: S314  (our own)
    shown = texts(root)
    assert {str(one) for nic in NICS.values() for one in nic.addresses} <= set(shown)
    assert (shown.count("✗"), "✓" in shown) == (4, True)  # of host on three networks, of b on one


@given(hostile)
def test_the_page_has_no_tag_of_a_report(text: str) -> None:
    def tags(page: str) -> list[str]:
        reader = Tags()
        reader.feed(page)
        return reader.found

    plain, spoilt_page = (
        picture.as_page(PLAN, NICS, [ReportCell("a", "b", False, f"x{one}")])  # noqa: FBT003
        for one in ("", text)
    )
    assert tags(spoilt_page) == tags(plain)


def test_a_cell_is_the_worst_of_what_a_report_has_measured() -> None:
    told = as_json(report(GOOD, DEAD, UNKNOWN))
    assert cells_of(told) == [
        ReportCell("a", "b", False, "no answer"),  # noqa: FBT003
        ReportCell("b", "a", False, "not measured"),  # noqa: FBT003
    ]


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"results": 7}', '{"results": [{}]}', "[" * 9999]
)
def test_what_is_no_report_has_no_cells(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  (any text)
        cells_of(text)


def test_ends_of_reports_that_the_plan_has_not_are_left_out() -> None:
    told = json.loads(as_json(report(GOOD)))
    told["results"][0]["from"] = "stranger"
    assert graph(PLAN, NICS, cells_of(json.dumps(told))) == graph(PLAN, NICS)
