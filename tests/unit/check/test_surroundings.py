"""What is wrong around the cells, with what it rests on; nothing is told of when all is well."""

from dataclasses import replace
from ipaddress import IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner.check.evidence import Endpoint, Uplink
from provisioner.check.result import Finding
from provisioner.check.surroundings import (
    GATEWAY,
    AddressOwner,
    Reported,
    WireHeard,
    aliens,
    judged,
    notes,
    of_addresses,
    of_links,
    of_wire,
)
from provisioner.network.overheard import Answered, Offer, Overheard, Router
from provisioner.plan.choices import Mode
from provisioner.plan.ip import Address
from tests.builders.report import ADDRESS, APART, GOOD, LEAK

NIC0 = Uplink("nic0", mtu=1500)
A = Endpoint("a", 1, "mvta", "02:00:00:00:00:0a", mode="bridge", wanted_mode=Mode.BRIDGE)


def test_links_that_are_as_they_should_be_are_not_told_of() -> None:
    assert list(of_links([NIC0], [A], [])) == []


@pytest.mark.parametrize(
    ("uplink", "what", "seen"),
    [
        (Uplink("nic0", exists=False), "is not there", "not there"),
        (Uplink("nic0", up=False, carrier=False), "is down", "down, no carrier"),
        (Uplink("nic0", carrier=False), "has no carrier: ", "up, no carrier"),
    ],
)
def test_an_uplink_that_carries_nothing_is_told_of(uplink: Uplink, what: str, seen: str) -> None:
    (found,) = of_links([uplink], [], [])
    assert found.what.startswith(f"the uplink nic0 {what}")
    assert (found.evidence, found.about) == ((f"uplink nic0: {seen}",), "nic0")


def test_a_macvtap_that_is_down_is_told_of_unless_somebody_has() -> None:
    down = replace(A, up=False)
    (found,) = of_links([NIC0], [down], [Finding("the macvtap mvtb of b is down", "")])
    assert (found.what, found.about) == ("the macvtap mvta of a is down", "a")
    assert found.evidence == ("macvtap of a: mvta, mode bridge, down",)
    told = Finding("the host is not as the plan says; vmnet up would update macvtap mvta", "")
    assert list(of_links([NIC0], [down], [told])) == []


def test_an_impaired_link_is_told_of_with_the_command_that_clears_it() -> None:
    (found,) = of_links([NIC0], [replace(A, impaired="loss 30%")], [])
    assert found == Finding(
        "the link of a is impaired: loss 30%, set by vmnet link",
        "take it away: vmnet link a.1 --clear",
        ("mvta: loss 30%",),
        "a",
    )


# --- who is on the wire ---------------------------------------------------------------------------

MAC_A, MAC_B = "02:00:00:00:00:0a", "02:00:00:00:00:0b"
HOST, ROUTER, OTHER = "02:00:00:00:00:01", "02:00:00:00:00:fe", "02:00:00:00:66:66"
OF_A, OF_B, OF_HOST = map(ip_address, ("10.0.0.11", "10.0.0.12", "10.0.0.2"))
OF_GATEWAY, OF_NAS = map(ip_address, ("10.0.0.1", "10.0.0.9"))
FREE = tuple(map(ip_address, ("10.0.0.77", "10.0.0.88", "10.0.0.99")))
SIX = ip_address("fe80::1")
PREFIX, ALIEN = IPv6Network("fd00::/64"), IPv6Network("fd66::/64")
WELL = [(OF_A, MAC_A), (OF_B, MAC_B), (OF_HOST, HOST), (OF_GATEWAY, ROUTER), (OF_NAS, ROUTER)]
LAN = WireHeard(
    "nic0",
    Overheard(),
    {
        OF_A: AddressOwner("a", frozenset({MAC_A}), "a"),
        OF_B: AddressOwner("b", frozenset({MAC_B}), "b"),
        OF_HOST: AddressOwner("this host", frozenset({HOST})),
        OF_GATEWAY: AddressOwner(GATEWAY),
        OF_NAS: AddressOwner("nas"),
    },
    FREE,
    {MAC_A: "a", MAC_B: "b"},
    (ip_network("10.0.0.0/24"), PREFIX),
)


def heard(*more: tuple[Address, str], **others: Any) -> WireHeard:  # noqa: ANN401
    answers = tuple(Answered(a, mac, outside=True) for a, mac in (*WELL, *more))
    return replace(LAN, heard=Overheard(answers, **others))


def what(seen: WireHeard) -> list[str]:
    found = list(of_wire(seen))
    assert all(each.evidence and each.fix for each in found)
    return [each.what for each in found]


def test_a_wire_on_which_all_is_well_is_not_told_of() -> None:
    """One router has the address of another machine too, as many have."""
    assert what(heard()) == []
    assert what(replace(LAN, heard=Overheard())) == []
    assert list(notes(heard())) == []


@pytest.mark.parametrize(
    ("address", "mac", "said"),
    [
        (OF_GATEWAY, OTHER, f"the gateway is used twice: {ROUTER} and {OTHER} answer for it"),
        (OF_GATEWAY, MAC_B, f"the gateway is used twice: {ROUTER} and {MAC_B} (b) answer for it"),
        (OF_NAS, OTHER, f"nas is used twice: {ROUTER} and {OTHER} answer for it"),
        (OF_HOST, OTHER, f"this host is used twice: {OTHER} answers for it too"),
        (OF_A, OTHER, f"a is used twice: {OTHER} answers for it too"),
        (OF_A, MAC_B, f"a is used twice: {MAC_B} (b) answers for it too"),
    ],
)
def test_a_second_station_with_an_address_is_told_of(address: Address, mac: str, said: str) -> None:
    assert what(heard((address, mac))) == [f"{address} of {said}"]


def test_several_macs_of_one_virtual_router_are_one() -> None:
    answers = tuple(Answered(OF_GATEWAY, f"00:07:b4:00:01:0{n}", outside=True) for n in (1, 2, 3))
    assert what(replace(LAN, heard=Overheard(answers))) == []


def test_who_answers_for_nobodys_addresses_and_a_guests_is_told_of_once() -> None:
    each = [(a, OTHER) for a in (*FREE, OF_A, OF_B, OF_HOST)]
    whose = f"{OF_A} of a, {OF_B} of b, {OF_HOST} of this host"
    said = f"{OTHER} answers for addresses that are not its own (proxy ARP): {whose}"
    assert what(heard(*each)) == [said]


def test_who_answers_for_nobodys_addresses_alone_is_a_note() -> None:
    """Some networks are built so: what guests are to each other does not change by it."""
    seen = heard(*((a, ROUTER) for a in FREE))
    assert what(seen) == []
    assert list(notes(seen)) == [
        f"{ROUTER} behind nic0 answers for addresses that nobody has (proxy ARP)"
    ]
    assert list(notes(heard((FREE[0], ROUTER), (FREE[1], ROUTER)))) == []


def test_a_guests_mac_elsewhere_is_told_of_with_each_frame() -> None:
    strays = ((MAC_A, "ARP of 10.0.0.77"), (MAC_A, "a frame to many"))
    (found,) = of_wire(heard(strays=strays))
    assert found.what == (
        f"the MAC {MAC_A} of a is used elsewhere too: frames from it come in by nic0"
    )
    assert (found.about, len(found.evidence)) == ("a", 2)


def test_another_dhcp_server_is_told_of_where_the_plan_has_one() -> None:
    offers = tuple(Offer(mac, OF_B, FREE[0]) for mac in (HOST, MAC_B))  # type: ignore[arg-type]
    seen = heard(offers=offers)
    assert what(seen) == []
    assert what(replace(seen, serves=frozenset({HOST}))) == [
        f"another DHCP server is on nic0: {MAC_B} (b)"
    ]


def ra(mac: str, *prefixes: IPv6Network, default: bool = True) -> Router:
    return Router(mac, IPv6Address(f"fe80::{mac[-2:]}"), default, prefixes)


@pytest.mark.parametrize(
    ("routers", "right", "said"),
    [
        ([ra(ROUTER, PREFIX)], frozenset({ROUTER}), []),
        ([ra(ROUTER, PREFIX, ALIEN)], frozenset({ROUTER}), []),
        ([ra(ROUTER, PREFIX), ra(OTHER)], frozenset({ROUTER}), [f"another router {OTHER} no"]),
        ([ra(ROUTER, PREFIX), ra(OTHER, default=False)], frozenset({ROUTER}), []),
        ([ra(ROUTER, PREFIX), ra(OTHER, PREFIX)], frozenset(), []),
        ([ra(ROUTER, PREFIX, ALIEN)], frozenset(), []),
        (
            [ra(OTHER, ALIEN)],
            frozenset(),
            [f"a router with prefixes outside the plan's subnets {OTHER} {ALIEN}"],
        ),
    ],
    ids=[
        "the plan's", "with one prefix more", "another", "one that routes nothing",
        "two of a LAN that the plan knows no gateway of", "a LAN with two prefixes", "alien",
    ],
)  # fmt: skip
def test_routers_that_guests_listen_to(
    routers: list[Router], right: frozenset[str], said: list[str]
) -> None:
    seen = replace(heard(routers=tuple(routers)), routers=right)
    assert what(seen) == []  # nobody listens
    found = [
        x.replace("advertises itself on nic0: ", "") for x in what(replace(seen, listens=True))
    ]
    assert [x.replace(" with no prefix", " no").replace(" with fd", " fd") for x in found] == said


def test_the_gateway_that_the_plan_names_is_the_right_router() -> None:
    stations = {**LAN.stations, SIX: AddressOwner(GATEWAY)}
    routers = (ra(ROUTER, PREFIX), ra(OTHER, PREFIX))
    seen = replace(heard((SIX, ROUTER), routers=routers), stations=stations, listens=True)
    assert what(seen) == [f"another router advertises itself on nic0: {OTHER} with {PREFIX}"]


@given(
    st.sets(st.sampled_from([*LAN.stations, *FREE])),
    st.sets(st.sampled_from([MAC_A, MAC_B, ROUTER, HOST])),
)
def test_nobody_is_blamed_who_answers_for_its_own_alone(
    silent: set[Address], away: set[str]
) -> None:
    """Whatever is missing of what was heard."""
    answers = tuple(
        Answered(a, mac, outside=True) for a, mac in WELL if a not in silent and mac not in away
    )
    assert what(replace(LAN, heard=Overheard(answers))) == []


# --- what guests say of their addresses -----------------------------------------------------------

LAB = (ip_network("10.0.0.0/24"), PREFIX)
SAYS_A = Reported("a", 0, "nic0", (OF_A,), (OF_A,), LAB)
SAYS_B = Reported("b", 1, "nic0", (OF_B,), (OF_B,), LAB)


def alien(text: str, subnet: str) -> str:
    return f"b has the address {text}, which is outside the plan's subnet {subnet}"


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("10.0.0.200", ""),
        ("fd00::7", ""),
        ("10.9.9.9", alien("10.9.9.9", "10.0.0.0/24")),
        ("fd66::7", alien("fd66::7", "fd00::/64")),
        ("10.0.0.11", "10.0.0.11 of a is used twice: b has it too"),
    ],
)
def test_an_address_that_a_guest_should_not_have_is_told_of(more: str, said: str) -> None:
    has = replace(SAYS_B, addresses=(OF_B, ip_address(more)))
    found = list(of_addresses([SAYS_A, has], []))
    assert [x.what for x in found] == ([said] if said else [])
    assert all(x.evidence == (f"b says its NIC 1 has {more}",) and x.about == "b" for x in found)
    outside = {ip_address(more): x for x in found if "outside" in x.what}
    assert aliens([SAYS_A, has]) == outside  # so cells of that address have the very same reason


def test_an_address_outside_is_none_where_the_plan_knows_no_subnet_or_has_chosen_it() -> None:
    foreign = ip_address("10.9.9.9")
    has = replace(SAYS_B, addresses=(foreign,))
    assert list(of_addresses([replace(has, subnets=())], [])) == []
    assert list(of_addresses([replace(has, planned=(foreign,))], [])) == []
    given = replace(SAYS_B, addresses=(ip_address("fd66::7"),), listens=True)
    assert list(of_addresses([given], [])) == []


def test_an_address_that_is_used_twice_is_told_of_once() -> None:
    has = replace(SAYS_B, addresses=(OF_A,))
    told = Finding(f"{OF_A} of a is used twice: {MAC_B} (b) answers for it too", "")
    assert list(of_addresses([SAYS_A, has], [told])) == []


def test_two_wires_may_have_the_same_addresses() -> None:
    there = replace(SAYS_B, uplink="nic1", addresses=(OF_A,), planned=(OF_A,))
    assert list(of_addresses([SAYS_A, there], [])) == []


# --- what of the cells is not known because of them -----------------------------------------------


def test_the_addresses_that_two_answer_for_are_named() -> None:
    (twice,) = of_wire(heard((OF_A, OTHER)))
    (proxy,) = of_wire(heard(*((a, OTHER) for a in (*FREE, OF_A, OF_B))))
    (inside,) = of_addresses([SAYS_A, replace(SAYS_B, addresses=(OF_A,))], [])
    found = [finding.addresses for finding in (twice, proxy, inside)]
    assert found == [(OF_A,), (OF_A, OF_B), (OF_A,)]


def test_what_was_reached_at_an_address_that_two_have_shows_nothing() -> None:
    twice = Finding("used twice", "look", addresses=(ADDRESS,))
    good, leak, apart = judged([GOOD, LEAK, APART], {("lan", ADDRESS): twice})
    assert (good.met, good.observed, good.finding) == (False, "answered, but by whom?", twice)
    assert (leak.met, leak.observed) == (False, "answered, but by whom?")
    assert apart == APART, "silence has its control, which names the MAC"
    assert judged([GOOD], {("other", ADDRESS): twice, ("lan", OF_A): twice}) == [GOOD]
