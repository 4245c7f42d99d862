"""One sentence for what was seen, and nothing blamed that was not: cause by cause."""

from dataclasses import replace
from ipaddress import ip_address, ip_interface
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner.check.diagnosis.diagnose import diagnose
from provisioner.check.evidence import Endpoint, Evidence, Heading, Inside, Point, Sighting, Uplink
from provisioner.network.exchange import FrameKind
from provisioner.plan.checks import PING
from provisioner.plan.choices import Mode, SpoofGuard
from provisioner.plan.ip import Address
from provisioner.text import hides
from tests.builders.checks import spec

MAC_A, MAC_B, OTHER = "02:00:00:00:00:0a", "02:00:00:00:00:0b", "02:00:00:00:66:66"
BRIDGE: Any = {"mode": "bridge", "wanted_mode": Mode.BRIDGE}
A = Endpoint(
    "a", 0, "mvta", MAC_A, (ip_address("10.0.0.1"),), mode="bridge", wanted_mode=Mode.BRIDGE
)
B = Endpoint(
    "b", 0, "mvtb", MAC_B, (ip_address("10.0.0.2"),), mode="bridge", wanted_mode=Mode.BRIDGE
)
DEAD = Evidence(
    "lan", A, B, ip_address("10.0.0.2"), PING, expected=True, uplink=Uplink("nic0", mtu=1500)
)
LEAK = replace(DEAD, expected=False)
APART = replace(
    LEAK,
    source=replace(A, mode="private", wanted_mode=Mode.PRIVATE),
    target=replace(B, mode="private", wanted_mode=Mode.PRIVATE),
)
EVERYWHERE = frozenset(Point)
IN, OUT = Heading.IN, Heading.OUT


def seen(*what: tuple[Point, Heading, FrameKind]) -> dict[str, Any]:
    return {"listened": EVERYWHERE, "sightings": frozenset(Sighting(*one) for one in what)}


ASKED = (Point.SOURCE, OUT, FrameKind.REQUEST)
ARRIVED = (Point.TARGET, IN, FrameKind.REQUEST)
ANSWERED = (Point.TARGET, OUT, FrameKind.REPLY)
BACK = (Point.SOURCE, IN, FrameKind.REPLY)


CAUSES = [
    (replace(DEAD, target=replace(B, state="crashed")), "b is not running: libvirt says"),
    (replace(DEAD, uplink=Uplink("nic0", exists=False)), "the uplink nic0 is not there"),
    (replace(DEAD, uplink=Uplink("nic0", up=False)), "the uplink nic0 is down"),
    (replace(DEAD, uplink=Uplink("nic0", carrier=False)), "the uplink nic0 has no carrier"),
    (
        replace(DEAD, uplink=Uplink("mvl", own_switch=True, broken="its bridge mvb is down")),
        "the switch behind the uplink mvl is broken: its bridge mvb is down",
    ),
    (replace(DEAD, source=replace(A, exists=False)), "the macvtap mvta of a is gone"),
    (
        replace(
            DEAD,
            target=Endpoint(
                "host", 0, "mvb", OTHER, (ip_address("fd00::1"),), (ip_interface("10.0.0.2/24"),)
            ),
        ),
        "this host has lost its address 10.0.0.2/24 on mvb",
    ),
    (replace(DEAD, source=replace(A, up=False)), "the macvtap mvta of a is down"),
    (replace(DEAD, target=replace(B, link_mac=OTHER)), f"of b has the MAC {OTHER}"),
    (replace(DEAD, target=replace(B, mode="vepa")), "is in mode vepa, the plan says bridge"),
    (replace(DEAD, target=replace(B, node="foreign")), "/dev/tap of b's macvtap mvtb is"),
    (replace(DEAD, target=replace(B, holders=("77 (cat)",))), "is open in process 77 (cat)"),
    (replace(DEAD, target=replace(B, impaired="loss 5%")), "impaired: loss 5%"),
    (replace(DEAD, asked=spec("tcp/22"), refused=True), "nothing listens there on tcp/22"),
    (
        replace(DEAD, source=replace(A, agent=False), note="no guest agent answers"),
        "cannot be tested: the guest agent of a does not answer",
    ),
    (
        replace(DEAD, target=replace(B, inside=Inside(OTHER, up=True, addresses=()))),
        f"b uses the MAC {OTHER} inside",
    ),
    (
        replace(DEAD, target=replace(B, inside=Inside(MAC_B, up=False, addresses=()))),
        f"inside b the interface with {MAC_B} is down",
    ),
    (
        replace(DEAD, target=replace(B, inside=Inside(MAC_B, up=True, addresses=(), arp=False))),
        "inside b ARP is off at the interface",
    ),
    (
        replace(DEAD, target=replace(B, inside=Inside("", up=False, addresses=(), found=False))),
        f"b has no NIC with the MAC {MAC_B}",
    ),
    (replace(DEAD, source=replace(A, guard=SpoofGuard.MAC, dropped=3)), "has dropped 3 frames"),
    (replace(DEAD, address=None), "b has no address"),
    (
        replace(
            DEAD,
            target=replace(B, inside=Inside(MAC_B, up=True, addresses=(ip_address("10.0.0.7"),))),
        ),
        "b does not have the address 10.0.0.2 inside: it has 10.0.0.7",
    ),
    (
        replace(
            DEAD,
            source=replace(A, inside=Inside(MAC_A, up=True, addresses=(ip_address("fd00::1"),))),
        ),
        "a has no IPv4 address inside to ask from",
    ),
    (replace(DEAD, owners=(MAC_B, OTHER)), f"is used twice: {OTHER} answers for it too"),
    (replace(DEAD, owners=(OTHER,)), "answers for it and b does not"),
    (
        replace(DEAD, source_address=ip_address("10.0.0.1"), source_owners=(MAC_A, OTHER)),
        f"10.0.0.1 of a is used twice: {OTHER} answers for it too",
    ),
    (
        replace(DEAD, packet=1500, largest=1404),
        "1404 bytes still pass; something on the way has an MTU of 1400 to 1404",
    ),
    (
        replace(DEAD, packet=1500, largest=1404, uplink=Uplink("nic0", mtu=1400)),
        "the MTU of nic0 is 1400",
    ),
    (replace(DEAD, sent=20, answered=13), "7 of 20 pings from a to b were lost"),
    (
        replace(DEAD, address=ip_address("fd00::2"), target=replace(B, all_multicast=False)),
        "receives no multicast (ALLMULTI is off)",
    ),
    (
        replace(
            DEAD,
            source=replace(A, mode="vepa", wanted_mode=Mode.VEPA),
            uplink=Uplink("nic0", reflects=False),
        ),
        "the switch behind nic0 sends no frames back",
    ),
    (
        replace(DEAD, uplink=Uplink("nic0", passes_foreign=False, control="10.0.0.254")),
        "drops frames of MACs that it does not know: 10.0.0.254 answers",
    ),
    (replace(DEAD, **seen(ASKED, ARRIVED)), "and b has not answered"),
    (replace(DEAD, **seen()), "a has sent nothing, or a filter at the egress of mvta drops it"),
    (
        replace(DEAD, **seen(ASKED)),
        "is seen at the macvtap mvta of a and never at the macvtap mvtb",
    ),
    (
        replace(DEAD, **seen(ASKED, ARRIVED, ANSWERED)),
        "what b sends to a is seen at the macvtap mvtb of b and never at the macvtap mvta of a",
    ),
    (replace(DEAD, **seen(ASKED, ARRIVED, ANSWERED, BACK)), "and a did not take them"),
    (DEAD, "a -> b (ping): no answer; no reason was found"),
]


@pytest.mark.parametrize(("evidence", "told"), CAUSES)
def test_each_cause_has_its_sentence(evidence: Evidence, told: str) -> None:
    finding = diagnose(evidence)
    assert told in finding.what
    assert finding.fix


LEAKS = [
    (replace(LEAK, source=replace(A, wanted_mode=Mode.PRIVATE)), "the plan says private"),
    (replace(LEAK, owners=(OTHER,)), f"it is {OTHER} that has the address there"),
    (
        replace(LEAK, owners=(MAC_B, OTHER), near=(OTHER,)),
        f"10.0.0.2 answers a, but it is {OTHER} that has the address there",
    ),
    (LEAK, "which it must not: both are in mode bridge"),
    (
        replace(LEAK, refused=True, asked=spec("tcp/22")),
        "b refuses a on tcp/22: nothing listens there",
    ),
    (
        replace(LEAK, target=Endpoint("host", link="vh"), uplink=Uplink("vu", own_switch=True)),
        "the host is at the far side of the switch of network lan",
    ),
    (replace(LEAK, gone_by=OTHER), f"the machine {OTHER} hands the packets on"),
    (
        replace(APART, uplink=Uplink("mvl", own_switch=True, reflects=True)),
        "the switch sends frames back, the plan says hairpin: false",
    ),
    (replace(APART, uplink=Uplink("nic0", reflects=True)), "sends frames back (hairpin)"),
    (APART, "by a way that was not found"),
]


@pytest.mark.parametrize(("evidence", "told"), LEAKS)
def test_each_leak_has_its_way(evidence: Evidence, told: str) -> None:
    assert told in diagnose(evidence).what


def test_what_hides_the_rest_is_blamed_first() -> None:
    many = replace(
        DEAD,
        uplink=Uplink("nic0", up=False),
        target=replace(B, up=False, impaired="loss 5%"),
        owners=(OTHER,),
    )
    assert diagnose(many).what == "the uplink nic0 is down"


def test_a_bridge_pair_is_never_told_to_want_a_hairpin() -> None:
    found = diagnose(replace(DEAD, uplink=Uplink("nic0", reflects=False)))
    assert "hairpin" not in found.what


_WORDS = st.text(max_size=40)


@given(
    _WORDS,
    _WORDS,
    st.sampled_from([None, ip_address("fd00::2"), ip_address("10.0.0.2")]),
    st.booleans(),
    st.sets(
        st.builds(
            Sighting, st.sampled_from(Point), st.sampled_from(Heading), st.sampled_from(FrameKind)
        )
    ),
)
def test_no_evidence_leaves_the_user_without_a_harmless_sentence_and_a_mend(
    note: str,
    said: str,
    address: Address | None,
    expected: bool,  # noqa: FBT001
    sightings: set[Sighting],
) -> None:
    evidence = replace(
        DEAD,
        note=note,
        expected=expected,
        address=address,
        target=replace(B, impaired=said, holders=(said,) if said else ()),
        listened=EVERYWHERE,
        sightings=frozenset(sightings),
    )
    finding = diagnose(evidence)
    assert finding.what
    assert finding.fix
    for text in (finding.what, finding.fix, *finding.evidence):
        assert not any(map(hides, text)), ascii(text)


NAS = Endpoint("nas", login="-l root -- nas")
FROM_NAS = replace(DEAD, source=NAS, uplink=Uplink("nic0", mtu=1500))
UNTESTED = replace(DEAD, untested=True, note="cannot be tested: the guest has no nslookup")
CAME = (Point.UPLINK, IN, FrameKind.REQUEST)
LEFT = (Point.UPLINK, OUT, FrameKind.REPLY)


FROM_OUTSIDE = [
    (replace(FROM_NAS, **seen()), "what nas sent to 10.0.0.2 never came to nic0"),
    (
        replace(FROM_NAS, **seen(CAME)),
        "what is sent to b is seen at the uplink nic0 and never at the macvtap mvtb of b",
    ),
    (
        replace(FROM_NAS, **seen(CAME, ARRIVED)),
        "(ping) has come to the macvtap mvtb of b, and b has not answered",
    ),
    (
        replace(FROM_NAS, **seen(CAME, ARRIVED, ANSWERED)),
        "what b sends is seen at the macvtap mvtb of b and never at the uplink nic0",
    ),
    (
        replace(FROM_NAS, **seen(CAME, ARRIVED, ANSWERED, LEFT)),
        "the answer of b left by nic0, and nas did not get it",
    ),
    (replace(FROM_NAS, target=replace(B, state="crashed")), "b is not running: libvirt says"),
    (
        replace(FROM_NAS, untested=True, note="cannot log in to nas by ssh: no"),
        "cannot be tested: cannot log in to nas by ssh: no",
    ),
    (
        replace(FROM_NAS, expected=False, untested=True, note="cannot log in to nas by ssh"),
        "cannot be tested: cannot log in to nas by ssh",
    ),
    (
        replace(FROM_NAS, expected=False),
        "nas reaches b, which it must not: mode bridge receives from the wire",
    ),
    (
        replace(LEAK, target=NAS, uplink=Uplink("nic0", reflects=True)),
        "a reaches nas, which it must not: mode bridge receives from the wire",
    ),
]


@pytest.mark.parametrize(("evidence", "told"), FROM_OUTSIDE)
def test_what_another_machine_asks_is_told_place_by_place(evidence: Evidence, told: str) -> None:
    assert told in diagnose(evidence).what


@pytest.mark.parametrize("expected", [True, False])
@pytest.mark.parametrize("asked", ["udp/9", "dns example.org", "throughput > 1mbit"])
def test_what_was_not_tested_is_called_neither_down_nor_a_leak(expected: bool, asked: str) -> None:  # noqa: FBT001
    frames = seen(ASKED, ARRIVED, ANSWERED, BACK)
    evidence = replace(
        UNTESTED, expected=expected, asked=spec(asked), uplink=Uplink("nic0"), **frames
    )
    assert (
        diagnose(evidence).what == f"a -> b ({asked}) cannot be tested: the guest has no nslookup"
    )


def test_a_packet_above_the_guests_own_mtu_does_not_vanish_on_the_way() -> None:
    asked = replace(DEAD, asked=spec("mtu 1501"), packet=1501, largest=1500)
    told = diagnose(replace(asked, note="the guest's own MTU is 1500")).what
    assert told == "a sends no packets of 1501 bytes to b: the guest's own MTU is 1500"


@pytest.mark.parametrize(
    ("source", "target", "fix"),
    [
        (A, B, "watch it: vmnet capture a.0"),
        (NAS, B, "watch it: vmnet capture b.0"),
        (Endpoint("host", link="nic0"), NAS, "watch it: tcpdump -n -i nic0"),
    ],
)
def test_the_next_look_is_where_frames_can_be_seen(
    source: Endpoint, target: Endpoint, fix: str
) -> None:
    assert diagnose(replace(DEAD, source=source, target=target)).fix == fix


OTHERWISE = replace(DEAD, owners=(MAC_B,), target=replace(B, alive=True))


@pytest.mark.parametrize(
    ("asked", "value"),
    [
        ("http://10.0.0.2/ status 200", "status 404"),
        ("latency < 1ms", "median 12 ms"),
        ("throughput > 1000mbit", "41 Mbit/s"),
        ("dns example.org", "NXDOMAIN"),
    ],
)
def test_an_answer_that_is_not_the_wanted_one_is_no_firewall(asked: str, value: str) -> None:
    found = diagnose(replace(OTHERWISE, asked=spec(asked), value=value))
    assert found.what == f"b answers a, but {asked} does not hold: {value}"
    assert found.fix


def test_a_name_that_a_guest_does_not_resolve_is_no_machine_without_address() -> None:
    name = replace(DEAD, target=Endpoint("example.org"), address=None, note="can't resolve")
    asked = replace(name, asked=spec("dns example.org"))
    assert diagnose(asked).what == "a does not resolve example.org: can't resolve"
    url = replace(name, asked=spec("http://example.org/x"))
    assert diagnose(url).what == "a does not get http://example.org/x: can't resolve"
