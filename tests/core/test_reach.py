"""What is promised of each pair of a plan; who reaches whom in which mode is core.truth's."""

import pytest

from provisioner.core.addresses import assign
from provisioner.core.facts import Facts
from provisioner.core.planfile import load
from provisioner.core.reach import pairs

UPLINK = """\
name: lab
networks: {lan: {uplink: nic0, subnet: 10.0.0.0/24%s}}
vms: {a: {nics: [{network: lan, mode: %s}]}, b: {nics: [{network: lan, mode: %s}]}}
"""
SWITCH = """\
name: lab
networks: {lan: {switch: {hairpin: %s}, subnet: 10.0.0.0/24, allow: [%s]}}
vms: {a: {nics: [{network: lan, mode: %s}]}, b: {nics: [{network: lan, mode: %s}]}}
"""
YES, NO, EITHER, UNICAST = "reaches", "must not reach", "as measured", "unicast only"


def promised(text: str) -> dict[tuple[str, str], str]:
    plan = load(text, "p").plan
    return {(p.source, p.target): str(p.expected) for p in pairs(plan, assign(plan), Facts())}


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ("bridge", "bridge", YES),
        ("vepa", "vepa", EITHER),
        ("bridge", "vepa", EITHER),
        ("private", "private", NO),
        ("private", "vepa", NO),
        ("bridge", "source", NO),
    ],
)
def test_on_a_nic_only_a_measurement_knows_what_its_switch_reflects(
    a: str, b: str, expected: str
) -> None:
    found = promised(UPLINK % ("", a, b))
    assert (found["a", "b"], found["b", "a"]) == (expected, expected)
    assert (found["host", "a"], ("a", "host") in found) == (EITHER, False)


@pytest.mark.parametrize(
    ("hairpin", "modes", "expected"),
    [
        ("off", ("vepa", "vepa"), NO),
        ("on", ("vepa", "vepa"), YES),
        ("on", ("vepa", "bridge"), YES),
        ("on", ("private", "bridge"), UNICAST),
        ("off", ("bridge", "bridge"), YES),
        ("off", ("source", "bridge"), NO),
        ("on", ("source", "bridge"), YES),
    ],
)
def test_on_a_switch_of_vmnets_own_all_is_known(
    hairpin: str, modes: tuple[str, str], expected: str
) -> None:
    a, b = modes
    heard = "vm:a, vm:b, host" if "source" in modes else ""
    text = SWITCH % (hairpin, heard, a, b)
    found = promised(text if heard else text.replace(", allow: []", ""))
    assert (found["a", "b"], found["b", "a"]) == (expected, expected)
    assert {found[pair] for pair in found if "host" in pair} == {YES}


def test_a_source_guest_that_does_not_list_the_host_does_not_reach_it() -> None:
    found = promised(SWITCH % ("on", "vm:b", "source", "bridge"))
    assert found == {
        ("a", "b"): YES,
        ("b", "a"): YES,
        ("host", "a"): NO,
        ("a", "host"): NO,
        ("host", "b"): YES,
        ("b", "host"): YES,
    }


def test_a_guest_whose_cable_is_out_reaches_nobody() -> None:
    text = UPLINK % ("", "bridge", "bridge, link: down")
    assert set(promised(text).values()) == {NO, EITHER}
    assert promised(text)["host", "b"] == NO


def test_host_access_makes_the_host_a_neighbour_of_bridge_mode_guests() -> None:
    found = promised(UPLINK % (", host_access: 10.0.0.9", "bridge", "bridge"))
    assert set(found.values()) == {YES}
    assert ("a", "host") in found


def test_passthru_and_the_hosts_own_stack_never_meet() -> None:
    text = "name: lab\nnetworks: {lan: {uplink: nic0, mode: passthru, subnet: 10.0.0.0/24}}\n"
    assert promised(text + "vms: {a: {nics: [lan]}}\n") == {("host", "a"): NO}


def test_leases_are_measured_as_the_guest_has_them() -> None:
    text = "name: lab\nnetworks: {lan: {switch: {dhcp: true}, subnet: 10.0.0.0/24}}\n"
    plan = load(text + "vms: {a: {nics: [lan]}}\n", "p").plan
    found = pairs(plan, assign(plan), Facts())
    assert [(p.source, p.target, p.addresses) for p in found] == [
        ("host", "a", ()),
        ("a", "host", ("10.0.0.1",)),
    ]
