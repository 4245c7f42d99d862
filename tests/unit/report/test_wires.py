"""What passes between hosts, as their guests have measured it."""

from dataclasses import replace

import pytest

from provisioner.check.result import Result
from provisioner.network.facts import Chosen
from provisioner.plan.load.loader import load
from provisioner.report.joining import wires
from tests.builders.report import DEAD, GOOD, pair

TEXT = """\
name: lab
networks: {lan: {uplink: eno1, subnet: 10.0.0.0/24}, own: {switch: true, subnet: 10.7.0.0/24}}
hosts: {h1: {address: 10.9.0.1, uplinks: {}}, h2: {address: 10.9.0.2, uplinks: {}}}
vms: {a: {nics: [lan]}, b: {nics: [lan, own]}, c: {nics: [lan]}}
"""
HOMES = {"a": "h1", "b": "h2", "c": "h2"}
PATH = "path h1 - h2 on lan"
NARROW = "packets of 1500 bytes do not pass"


def cell(source: str, target: str, one: Result, **more: object) -> Result:
    return replace(one, pair=pair(source=source, target=target), **more)  # type: ignore[arg-type]


def passed(size: int, source: str = "a", target: str = "b") -> Result:
    return cell(source, target, GOOD, note=f"ping of {size} bytes")


@pytest.mark.parametrize(
    ("results", "what", "why"),
    [
        ([passed(1400), passed(1500, "c", "a")], "packets of 1500 bytes pass", "from c to a"),
        ([passed(1500), cell("a", "c", GOOD, wrong=NARROW)], NARROW, "from a to c"),
        ([cell("a", "b", DEAD)], "not measured", "no guest has reached"),
        ([cell("a", "b", GOOD, note="who-has")], "not measured", "no guest has reached"),
    ],
)
def test_a_path_has_the_largest_packets_or_those_that_are_lost(
    results: list[Result], what: str, why: str
) -> None:
    found = wires.measured(load(TEXT, "p").plan, HOMES, results)
    assert found[PATH].what == what
    assert why in found[PATH].why


def test_guests_of_one_host_and_other_machines_say_nothing_of_a_path() -> None:
    results = [passed(1500, "b", "c"), passed(1500, "a", "nas")]
    assert wires.measured(load(TEXT, "p").plan, HOMES, results) == {}


def test_what_passes_with_a_tag_is_told_with_its_vlan() -> None:
    plan = load(TEXT.replace("uplink: eno1", "uplink: eno1, vlan: 20"), "p").plan
    found = wires.measured(plan, HOMES, [passed(1500)])
    how = "measured from a to b and back, in frames of VLAN 20"
    assert found == {PATH: Chosen("packets of 1500 bytes pass", how)}


def test_paths_of_which_the_same_is_known_share_a_line() -> None:
    good, bad = Chosen("packets of 1500 bytes pass", "x"), Chosen(NARROW, "y")
    chosen = {PATH: good, "path h1 - h3 on lan": good, "path h2 - h3 on lan": bad, "accel": bad}
    assert list(wires.lines(chosen)) == [
        "between hosts, h1 - h2 on lan; h1 - h3 on lan: packets of 1500 bytes pass",
        f"between hosts, h2 - h3 on lan: {NARROW}",
    ]
