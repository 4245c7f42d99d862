"""The way of a frame, step by step: it ends as the truth table says, in every mode."""

import re
from itertools import product

import pytest

from provisioner.errors import VmnetError
from provisioner.network.addressing import assign
from provisioner.network.facts import Facts
from provisioner.plan.load.loader import load
from provisioner.reachability import explain as ways
from provisioner.reachability import explain_text as words
from provisioner.reachability.pairs import Promises

MODES = ("private", "vepa", "bridge", "source", "passthru")
UPLINK = """\
name: lab
networks: {lan: {uplink: nic0, subnet: 10.0.0.0/24, gateway: 10.0.0.1}}
vms:
  a: {nics: [{network: lan, mode: %s%s}]}
  b: {nics: [{network: lan, mode: %s%s}]}
"""


def explained(a: str, b: str, reflects: bool | None, *ends: str) -> ways.Explanation:  # noqa: FBT001
    allow = {True: ', allow: ["vm:a", "vm:b", host]', False: ""}
    text = UPLINK % (a, allow[a == "source"], b, allow[b == "source"])
    plan = load(text, "p").plan
    source, target = ends or ("a", "b")
    return ways.explain(plan, assign(plan), source, target, reflects=reflects)


@pytest.mark.parametrize(
    ("a", "b", "reflects"), list(product(MODES[:4], MODES[:4], (True, False, None)))
)
def test_the_steps_end_as_the_verdict_says(a: str, b: str, reflects: bool | None) -> None:  # noqa: FBT001
    found = explained(a, b, reflects)
    asked, answered = ([step.passes for step in way] for way in (found.there, found.back))
    match found.verdict:
        case "reaches":
            # One of the two must be able to ask; the other answers by unicast.
            assert False not in asked or False not in answered
            assert None not in asked + answered
        case "must not reach" | "unicast only":
            assert False in asked
        case _:
            assert (found.verdict, None in asked) == ("depends on the switch", True)


@pytest.mark.parametrize(("a", "b"), list(product(MODES[:4], MODES[:4])))
def test_the_verdict_is_what_the_check_promises(a: str, b: str) -> None:
    found = explained(a, b, None)
    allow = {True: ', allow: ["vm:a", "vm:b", host]', False: ""}
    plan = load(UPLINK % (a, allow[a == "source"], b, allow[b == "source"]), "p").plan
    (promised,) = Promises(plan, assign(plan), Facts()).between("a", "b")
    told = {"depends on the switch": "as measured"}
    assert told.get(found.verdict, found.verdict) == promised.expected


def test_a_way_is_told_step_by_step() -> None:
    text = words.as_text(explained("private", "bridge", False))  # noqa: FBT003
    assert re.sub(r"mvt\w+|(\w\w:){5}\w\w", "X", text) == (
        "a -> b on network lan: must not reach, as the plan and the modes have it "
        "(vmnet check measures it)\n"
        "  because private mode hands nothing to its neighbours, and this switch reflects nothing\n"
        "the question:\n"
        "  ✓ a: sends to b from X\n"
        "  ✓ macvtap X: spoof guard (mac): lets pass what comes from X\n"
        "  ✓ nic0: mode private: sends to the wire\n"
        "  ✗ behind nic0: does not send frames back (hairpin off)\n"
        "the answer:\n"
        "  ✓ b: sends to a from X\n"
        "  ✓ macvtap X: spoof guard (mac): lets pass what comes from X\n"
        "  ✓ nic0: mode bridge: sends to the wire what is not for another bridge guest\n"
        "  ✗ behind nic0: does not send frames back (hairpin off)\n"
    )


def test_the_gateway_and_an_address_outside_are_reached_by_the_wire() -> None:
    for outside in ("gateway", "192.0.2.1"):
        assert explained("private", "vepa", None, "a", outside).verdict == "reaches"


def test_a_chart_has_a_node_for_each_step_and_no_quote_in_any() -> None:
    found = explained("vepa", "vepa", None)
    chart = words.as_mermaid(found)
    assert chart.startswith("flowchart LR\n")
    assert len(re.findall(r'^  [qa]\d+\["[^"]*"\]$', chart, re.MULTILINE)) == len(
        found.there
    ) + len(found.back)


@pytest.mark.parametrize(("ends", "what"), [(("a", "x"), "no VM"), (("a", "a"), "two ends")])
def test_who_is_not_in_the_plan_is_told(ends: tuple[str, str], what: str) -> None:
    with pytest.raises(VmnetError, match=what):
        explained("vepa", "vepa", None, *ends)


WIRES = {
    "an uplink": "uplink: nic0, gateway: 10.0.0.1",
    "host access": "uplink: nic0, gateway: 10.0.0.1, host_access: 10.0.0.2",
    "a switch": "switch: {hairpin: false}",
    "a switch that reflects": "switch: {hairpin: true}",
}
WITH_HOST = """\
name: lab
networks: {lan: {%s, subnet: 10.0.0.0/24, mode: %s%s}}
vms: {a: {nics: [lan]}}
hosts: {nas: {address: 10.0.0.9, ssh: nas}}
"""
STRANGER = '"02:00:00:00:00:01"'
TOLD = {"depends on the switch": "as measured"}


@pytest.mark.parametrize(
    ("wire", "mode"),
    [
        (wire, mode)
        for wire, mode in product(WIRES, MODES)
        if wire != "host access" or mode == "bridge"  # other plans are refused
    ],
)
@pytest.mark.parametrize("listed", [True, False])
def test_the_way_to_and_from_the_host_is_explained_as_it_is_promised(
    wire: str, mode: str, listed: bool  # noqa: FBT001
) -> None:  # fmt: skip
    allow = f", allow: [{'host' if listed else STRANGER}]" if mode == "source" else ""
    plan = load(WITH_HOST % (WIRES[wire], mode, allow), "p").plan
    for ends in (("host", "a"), ("a", "host")):
        found = ways.explain(plan, assign(plan), *ends)
        promised = next(Promises(plan, assign(plan), Facts()).between(*ends), None)
        if promised:
            assert promised.expected == TOLD.get(found.verdict, found.verdict)
        assert_the_steps_end_so(found)


def assert_the_steps_end_so(found: ways.Explanation) -> None:
    """A way that reaches stops nowhere; one that does not, stops at a step that says why."""
    passes = [[step.passes for step in way] for way in (found.there, found.back)]
    match found.verdict:
        case "reaches":
            assert not all(False in way for way in passes)
        case "depends on the switch" | "depends on the list":
            assert None in passes[0] + passes[1]
        case _:
            assert False in passes[0] + passes[1]
    assert found.why


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("ends", [("a", "gateway"), ("a", "nas"), ("nas", "a"), ("a", "192.0.2.1")])
def test_machines_outside_are_explained_in_every_mode(mode: str, ends: tuple[str, str]) -> None:
    allow = f", allow: [{STRANGER}]" if mode == "source" else ""
    plan = load(WITH_HOST % (WIRES["an uplink"], mode, allow), "p").plan
    found = ways.explain(plan, assign(plan), *ends)
    # Nobody knows the MAC of a machine outside: what a source list says of it is left open.
    assert found.verdict == ("depends on the list" if mode == "source" else "reaches")
    assert_the_steps_end_so(found)


def test_a_machine_is_met_on_the_network_that_it_lies_in() -> None:
    text = (
        "name: lab\nnetworks:\n  one: {uplink: nic0, subnet: 10.0.0.0/24}\n"
        "  two: {uplink: nic1, subnet: 10.1.0.0/24}\n"
        "vms: {a: {nics: [one, two]}}\nhosts: {nas: 10.1.0.9}\n"
    )
    plan = load(text, "p").plan
    assert ways.explain(plan, assign(plan), "nas", "a").network == "two"
    assert ways.explain(plan, assign(plan), "a", "gateway").network == "one"


SEVERAL = """\
name: lab
networks: {lan: {uplink: nic0, subnet: 10.0.0.0/24}, dmz: {uplink: nic1, subnet: 10.1.0.0/24}}
vms:
  a: {nics: [dmz, lan, {network: lan, mode: private}]}
  b: {nics: [lan, dmz]}
"""


@pytest.mark.parametrize(
    ("ends", "network", "verdict"),
    [
        (("a", "b"), "dmz", "reaches"),
        (("b", "a"), "lan", "reaches"),
        (("a.1", "b"), "lan", "reaches"),
        (("b", "a.2"), "lan", "must not reach"),
        (("a.0", "b.1"), "dmz", "reaches"),
    ],
)
def test_one_nic_of_several_is_explained_by_its_number(
    ends: tuple[str, str], network: str, verdict: str
) -> None:
    plan = load(SEVERAL, "p").plan
    found = ways.explain(plan, assign(plan), *ends, reflects=False)
    assert (found.network, found.verdict) == (network, verdict)
    assert (found.source, found.there[0].at) == (ends[0], ends[0])


@pytest.mark.parametrize(
    ("ends", "what"),
    [
        (("a.1", "a.2"), "a way has two ends"),
        (("a.0", "b.0"), "a.0 and b.0 share no network"),
        (("a.9", "b"), 'the plan lab has no VM "a.9"'),
    ],
)
def test_two_nics_between_which_there_is_no_way(ends: tuple[str, str], what: str) -> None:
    plan = load(SEVERAL, "p").plan
    with pytest.raises(VmnetError, match=what):
        ways.explain(plan, assign(plan), *ends)
