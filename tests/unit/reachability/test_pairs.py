"""What is expected of each pair of a plan; the modes themselves are reachability.mode_table's."""

from dataclasses import replace
from ipaddress import ip_address
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provisioner.network.addressing import assign
from provisioner.network.facts import Facts
from provisioner.plan.checks import HOST
from provisioner.plan.choices import Mode
from provisioner.plan.load.loader import load
from provisioner.plan.model import Plan
from provisioner.reachability.pairs import Promises, pairs
from tests.unit.network.test_granted import ONE, TWO

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
        ("a", "host", (ip_address("10.0.0.1"),)),
    ]


@pytest.mark.parametrize(("mode", "expected"), [(Mode.BRIDGE, YES), (Mode.PRIVATE, NO)])
def test_granted_devices_promise_what_the_modes_do_that_root_has_made_them_in(
    mode: Mode, expected: str
) -> None:
    text = "name: lab\nnetworks: {lan: {granted: lan, subnet: 10.0.0.0/24}}\n"
    plan = load(text + "vms: {a: {nics: [lan]}, b: {nics: [lan]}}\n", "p").plan
    links = (replace(ONE, mode=mode), replace(TWO, mode=mode))
    found = pairs(plan, assign(plan), Facts(links=links, user=1000))
    assert {(p.source, p.target): p.expected for p in found} == {
        ("a", "b"): expected,
        ("b", "a"): expected,
    }


NETWORKS = {
    "nic": "{uplink: nic0, subnet: 10.0.0.0/24, mode: %s}",
    "met": "{uplink: nic1, subnet: 10.1.0.0/24, host_access: true}",
    "own": "{switch: {hairpin: %s, dhcp: %s}, subnet: [10.2.0.0/24, 'fd02::/64']}",
    "far": "{uplink: nic2, addressing: dhcp}",
    "lent": "{granted: lent, subnet: 10.3.0.0/24}",
}
MODES = st.sampled_from(["bridge", "vepa", "private"])
ONOFF = st.sampled_from(["on", "off"])
CARDS = st.sampled_from(
    [
        *("nic", "met", "own", "far", "lent", "{network: nic, mode: vepa}", "{network: own}"),
        *("{network: own, mode: source, allow: ['vm:v0', host]}", "{network: nic, link: down}"),
        "{network: nic, mode: source, allow: ['vm:v1']}",
    ]
)


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    values = (draw(MODES), draw(ONOFF), draw(st.sampled_from(["true", "false"])))
    networks = "\n".join(f"  {name}: {body}" for name, body in NETWORKS.items()) % values
    listed = st.lists(CARDS, max_size=2).flatmap(
        lambda more: st.permutations([*more, "nic", "own"])
    )
    vms = draw(st.tuples(listed, listed)) + tuple(
        draw(st.lists(st.lists(CARDS, min_size=1, max_size=3), max_size=3))
    )
    guests = "\n".join(f"  v{at}: {{nics: [{', '.join(nics)}]}}" for at, nics in enumerate(vms))
    return load(f"name: lab\nnetworks:\n{networks}\nvms:\n{guests}\n", "p").plan


@settings(deadline=None)
@given(plan=plans(), reflects=st.sampled_from([{}, {"nic0": True}, {"nic0": False}]))
def test_one_pair_alone_is_promised_what_it_is_promised_among_all(
    plan: Plan, reflects: dict[str, bool]
) -> None:
    everything = pairs(plan, assign(plan), Facts(), reflects)
    promises = Promises(plan, assign(plan), Facts(), reflects)
    for ends in product([HOST, *(vm.name for vm in plan.vms)], repeat=2):
        expected = [pair for pair in everything if (pair.source, pair.target) == ends]
        assert list(promises.between(*ends)) == expected
    assert everything


@settings(deadline=None)
@given(plan=plans())
def test_each_two_nics_of_two_guests_on_a_network_make_a_pair_each_way(plan: Plan) -> None:
    found = [
        (p.network, p.source_key, p.target_key)
        for p in pairs(plan, assign(plan), Facts())
        if HOST not in {p.source, p.target}
    ]
    expected = {
        (network.name, one, other)
        for network in plan.networks
        for (one, _), (other, _) in product(plan.nics_on(network), repeat=2)
        if one.vm != other.vm
    }
    assert set(found) == expected
    assert len(found) == len(expected)


@settings(deadline=None)
@given(plan=plans())
def test_a_nic_has_its_number_in_its_name_exactly_where_its_guest_has_several(plan: Plan) -> None:
    for p in pairs(plan, assign(plan), Facts()):
        on = [key.vm for key, _ in plan.nics_on(plan.network(p.network))]
        for label, key in ((p.source_label, p.source_key), (p.target_label, p.target_key)):
            assert label == (str(key) if on.count(key.vm) > 1 else key.vm)
