"""What guests on a switch get of its host besides its answers: names, and the way out."""

from ipaddress import ip_address

import pytest

from provisioner.network.addressing import assign
from provisioner.network.facts import Facts
from provisioner.plan.load.loader import load
from provisioner.reachability import services
from provisioner.reachability.pairs import Pair, pairs
from tests.builders.pairs import written

PLAN = """\
name: lab
networks:
  lab: {switch: {nat: true, dhcp: true}, subnet: [10.0.0.0/24, "fd00::/64"]}
  own: {switch: {nat: true}, subnet: 10.1.0.0/24}
vms:
  a: {nics: [lab]}
  b: {nics: [lab, own]}
  c: {nics: [own]}
  d: {nics: [{network: lab, mode: source, allow: [vm:a]}]}
"""
OUT4, OUT6 = ip_address("192.0.2.1"), ip_address("2001:db8::1")
NAMES = "reaches: the host's dnsmasq answers for the names of guests"
NAT = "reaches: the host does NAT for it"


def found(text: str = PLAN, *, outside: bool = True, agents: str = "abcd") -> tuple[Pair, ...]:
    plan = load(text, "p", ()).plan
    nics = assign(plan)
    promised = pairs(plan, nics, Facts())
    there = (OUT4, OUT6) if outside else ()
    return tuple(services.pairs(plan, nics, promised, there, set(agents)))


def test_each_guest_resolves_the_next_ones_name_and_gets_out() -> None:
    assert written(found()) == (
        f"lab: a.0 -> host.0 at its name dns b.lab within 4s: {NAMES}\n"
        f"lab: a.0 -> outside.0 at 192.0.2.1 2001:db8::1: {NAT}\n"
        f"lab: b.0 -> host.0 at its name dns d.lab within 4s: {NAMES}\n"
        f"lab: b.0 -> outside.0 at 192.0.2.1 2001:db8::1: {NAT}\n"
        f"own: c.0 -> outside.0 at 192.0.2.1: {NAT}\n"
    )


def test_a_name_is_due_to_have_the_addresses_of_its_guest_on_that_network() -> None:
    plan = load(PLAN, "p", ()).plan
    nics = assign(plan)
    first = found()[0]
    assert first.due == tuple(
        one.ip for key, _ in plan.nics_on(plan.network("lab")) if key.vm == "b"
        for one in nics[key].addresses
    )  # fmt: skip
    assert len(first.due) == 1


def test_where_nobody_beyond_the_host_answers_no_way_out_is_asked_for() -> None:
    assert {pair.target for pair in found(outside=False)} == {"host"}


def test_a_guest_without_an_agent_can_be_asked_for_neither() -> None:
    assert {pair.source for pair in found(agents="b")} == {"b"}


def test_a_guest_that_is_alone_resolves_its_own_name() -> None:
    alone = PLAN.partition("  b:")[0]
    assert [str(pair.asked) for pair in found(alone, outside=False)] == ["dns a.lab"]


@pytest.mark.parametrize(
    ("was", "then"),
    [
        ("  a: {nics: [lab]}", "  a: {nics: [lab, {network: lab}]}"),
        ("  a: {nics: [lab]}", "  a: {nics: [{network: lab, address: 10.0.0.9}]}"),
        ("switch: {nat: true, dhcp: true}", "dns: 192.0.2.53, switch: {nat: true, dhcp: true}"),
        (
            "switch: {nat: true, dhcp: true}",
            "switch: {nat: true, dhcp: true, host_services: [dhcp]}",
        ),
    ],
    ids=["by another NIC", "by no lease", "by the network", "by nobody"],
)
def test_a_guest_that_may_ask_another_resolver_is_asked_for_no_name(was: str, then: str) -> None:
    assert "a" not in {pair.source for pair in found(PLAN.replace(was, then), outside=False)}


def test_a_guest_that_has_another_router_is_not_asked_to_get_out() -> None:
    other = PLAN.replace("own: {switch", "own: {gateway: 10.1.0.9, switch")
    assert "c" in {pair.source for pair in found()}
    assert "c" not in {pair.source for pair in found(other)}


def test_a_vm_that_is_named_outside_is_told_from_it() -> None:
    named = PLAN.replace("  c: {nics: [own]}", "  outside: {nics: [own]}")
    assert {p.target for p in found(named) if p.network == "lab"} == {"host", "(outside)"}
