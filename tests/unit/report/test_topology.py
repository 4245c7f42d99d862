"""The drawing of a plan: everybody is on it, and no text lies on another one."""

from dataclasses import replace
from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from provisioner.plan.load.loader import load
from provisioner.report.topology import Drawing, Station, drawing
from tests.builders.report import APART, DEAD, GOOD, NOT_SHOWN, PLAN, pair

MODES = ("private", "vepa", "bridge", "source")
TEXT = """\
name: lab
networks:
  lan: {uplink: nic0, subnet: 10.0.0.0/24, gateway: 10.0.0.254, host_access: true}
  dmz: {uplink: nic1, vlan: 7, addressing: none, mode: private}
  lab: {switch: {nat: true, dhcp: true}, subnet: [10.1.0.0/24, "fd77::/64"], mode: vepa}
vms:
  a: {nics: [lan, {network: lab, link: down}]}
  b: {nics: [dmz]}
hosts: {nas: 10.0.0.9, far: 192.0.2.1}
"""


def told(station: Station) -> list[tuple[str, str, bool]]:
    return [(wire.rail.full, wire.label, wire.loose) for wire in station.wires]


def test_guests_host_gateways_and_machines_are_on_the_networks_that_they_are_on() -> None:
    found = drawing(load(TEXT, "p").plan)
    assert [(s.kind, s.full, told(s)) for s in found.stations] == [
        ("host", "host", [
            ("lan", "access", False), ("dmz", "no access", True), ("lab", "switch", False),
        ]),
        ("gateway", "gateway", [("lan", "gateway", False)]),
        ("machine", "nas", [("lan", "machine", False)]),
        ("vm", "a", [("lan", "bridge", False), ("lab", "link down", True)]),
        ("vm", "b", [("dmz", "private", False)]),
    ]  # fmt: skip
    assert [(rail.title, rail.sign, *rail.subtitles) for rail in found.rails] == [
        ("lan", "●", "uplink nic0", "10.0.0.0/24"),
        ("dmz", "■", "uplink nic1, VLAN 7", "none"),
        ("lab", "▲", "switch (nat, dhcp)", "10.1.0.0/24, fd77::/64"),
    ]


def test_a_mark_is_the_worst_of_all_that_was_asked_of_an_end_on_a_network() -> None:
    def marks(*results: object) -> dict[str, list[str]]:
        found = drawing(PLAN, results)  # type: ignore[arg-type]
        return {s.full: [wire.mark for wire in s.wires] for s in found.stations}

    assert marks(GOOD, APART) == {"host": ["", ""], "a": ["✓"], "b": ["✓", ""]}
    assert marks(GOOD, DEAD)["a"] == ["✗"]
    assert marks(GOOD, NOT_SHOWN)["b"] == ["○", ""]
    back = replace(DEAD, pair=pair(network="dmz", source="b", target="host"))
    assert marks(GOOD, back) == {"host": ["", "✗"], "a": ["✓"], "b": ["✓", "✗"]}


names = st.text(st.sampled_from("ab1-"), min_size=1, max_size=38).map(lambda text: f"v{text}z")


@st.composite
def plans(draw: st.DrawFn) -> Drawing:
    networks = draw(st.lists(names, min_size=1, max_size=7, unique=True))
    lines = ["name: lab", "networks:"]
    lines += [
        f"  {name}: {{uplink: nic{n}, addressing: none, mode: {draw(st.sampled_from(MODES))}}}"
        for n, name in enumerate(networks)
    ]
    lines.append("vms:")
    for name in draw(st.lists(names, min_size=1, max_size=12, unique=True)):
        on = draw(st.lists(st.sampled_from(networks), min_size=1, max_size=4))
        lines.append(f"  {name}: {{nics: [{', '.join(on)}]}}")
    return drawing(load("\n".join(lines) + "\n", "p").plan)


def texts(found: Drawing) -> list[tuple[float, float, float, float]]:
    """Return where the texts are, generously: left, right, top, bottom."""
    places: list[tuple[float, float, float, float]] = []
    for rail in found.rails:
        places.append((rail.x - 12 - 8.2 * len(rail.title), rail.x + 7, rail.top, rail.top + 16))
        for line, text in enumerate(rail.subtitles, 1):
            base = rail.top + 14 + 14 * line
            places.append((rail.x - 12 - 6.2 * len(text), rail.x - 12, base - 9, base + 3))
    for station in found.stations:
        left = found.x + 26
        places.append((left, left + 8.2 * len(station.title), station.y + 5, station.y + 21))
        for wire in station.wires:
            right = wire.rail.x - 9
            places.append((right - 6.2 * len(wire.label), right, wire.y - 12, wire.y))
    return places


@given(plans())
def test_no_text_lies_on_another_one_or_on_a_network_or_outside(found: Drawing) -> None:
    places = texts(found)
    for (l1, r1, t1, b1), (l2, r2, t2, b2) in combinations(places, 2):
        assert r1 <= l2 or r2 <= l1 or b1 <= t2 or b2 <= t1
    for left, right, top, bottom in places:
        assert left >= 0
        assert top >= 0
        assert right <= found.width
        assert bottom <= found.height
        for rail in found.rails:
            assert not (left < rail.x < right and top >= rail.top + 16 and bottom <= rail.bottom)


@given(plans())
def test_wires_are_at_heights_of_their_own(found: Drawing) -> None:
    heights = [wire.y for station in found.stations for wire in station.wires]
    assert heights == sorted(set(heights))
    assert all(
        station.y < wire.y < station.y + station.height
        for station in found.stations
        for wire in station.wires
    )
