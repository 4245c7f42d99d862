"""Whole findings, as findings.txt has them: the sentence, its fix, whom it is about, what was seen.

A section of that file is named after a case: one of the tables in test_diagnosis.py, by the part of
the sentence that stands there, or one of MORE.
"""

from dataclasses import replace
from ipaddress import ip_address, ip_interface
from pathlib import Path

import pytest

from provisioner.check.diagnosis.diagnose import diagnose
from provisioner.check.diagnosis.endpoint import standing
from provisioner.check.evidence import Endpoint, Evidence, Heading, Inside, Point, Sighting, Uplink
from provisioner.check.result import OWN_MTU, Finding
from provisioner.network.exchange import FrameKind
from provisioner.network.nft_ruleset import DropChain
from provisioner.plan.choices import Mode, SpoofGuard
from tests.builders.checks import spec
from tests.unit.check.test_diagnosis import (
    ANSWERED,
    APART,
    ARRIVED,
    ASKED,
    BACK,
    CAUSES,
    DEAD,
    FROM_OUTSIDE,
    LEAK,
    LEAKS,
    MAC_A,
    MAC_B,
    OTHER,
    OTHERWISE,
    UNTESTED,
    A,
    B,
    seen,
)
from tests.unit.check.test_way import ARRIVED as CAME
from tests.unit.check.test_way import DROPS, FORWARDED, PAIR, REFLECTED, SWITCHED, TAKEN
from tests.unit.check.test_way import inside as inside_b

SECTIONS = dict(
    section.rstrip("\n").split("\n", 1)
    for section in Path(__file__).with_name("findings.txt").read_text().split("\n\n")
)
HOST = Endpoint("host", 0, "nic0", MAC_A, (ip_address("10.0.0.9"),))
ON_WIRE = (Point.UPLINK, Heading.OUT, FrameKind.WHO_HAS)
VEPA_A, VEPA_B = (replace(end, mode="vepa", wanted_mode=Mode.VEPA) for end in (A, B))
PRIVATE_B = replace(B, mode="private", wanted_mode=Mode.PRIVATE)
STILL = Uplink("nic0", reflects=False)


def inside(*addresses: str) -> Inside:
    return Inside(MAC_B, up=True, addresses=tuple(map(ip_address, addresses)))


def listened(*where: Point, seen_there: tuple[tuple[Point, Heading, FrameKind], ...]) -> Evidence:
    frames = frozenset(Sighting(*one) for one in seen_there)
    return replace(DEAD, listened=frozenset(where), sightings=frames)


BAD = ("netdev bad", "out", "ip protocol icmp drop")
OWN_DHCP = Uplink("mvl0", own_switch=True, serves_dhcp=True)
DYNAMIC_A, DYNAMIC_B = (replace(end, due=frozenset({4, 6}), addresses=()) for end in (A, B))
NO_LEASE = replace(DEAD, untested=True, address=None, target=DYNAMIC_B)

MORE = {
    "the target has no lease of vmnet's server": replace(
        NO_LEASE, missing=4, uplink=OWN_DHCP, target=replace(DYNAMIC_B, inside=inside("fd00::2"))
    ),
    "the target has no lease of a LAN's server": replace(
        NO_LEASE, missing=4, target=replace(DYNAMIC_B, inside=inside())
    ),
    "the target has no address by router advertisement": replace(
        NO_LEASE, missing=6, target=replace(DYNAMIC_B, inside=inside("10.0.0.2"))
    ),
    "the source has no lease": replace(
        DEAD,
        uplink=OWN_DHCP,
        source=replace(DYNAMIC_A, inside=replace(inside("fd00::2"), mac=MAC_A)),
    ),
    "the source has no lease to resolve names with": replace(
        DEAD,
        uplink=OWN_DHCP,
        address=None,
        asked=spec("dns b.lab"),
        note="no answer",
        source=replace(DYNAMIC_A, inside=replace(inside("fd00::2"), mac=MAC_A)),
        target=Endpoint("host"),
    ),
    "the target's dynamic address is not known": replace(
        NO_LEASE, target=replace(DYNAMIC_B, agent=False)
    ),
    "the source has ended": replace(DEAD, source=replace(A, state="shut off")),
    "the uplink of a switch is down": replace(
        DEAD, uplink=Uplink("mvl0", up=False, carrier=False, own_switch=True)
    ),
    "the target's macvtap is down": replace(DEAD, target=replace(B, up=False)),
    "two programs read a tap": replace(DEAD, source=replace(A, holders=("7 (cat)", "8 (nc)"))),
    "the source is impaired": replace(DEAD, source=replace(A, impaired="delay 5ms")),
    "the guard has dropped frames of other addresses": replace(
        DEAD,
        target=replace(
            B,
            guard=SpoofGuard.STRICT,
            dropped=1,
            inside=inside("10.0.0.2", "10.0.0.7"),
            addresses=(),
        ),
    ),
    "the guard has dropped frames of the guest's own addresses": replace(
        DEAD,
        source=replace(
            A,
            guard=SpoofGuard.STRICT,
            dropped=2,
            inside=Inside(MAC_A, up=True, addresses=(ip_address("10.0.0.1"),)),
        ),
    ),
    "the target has no address inside": replace(DEAD, target=replace(B, inside=inside())),
    "the target has only IPv6 inside": replace(DEAD, target=replace(B, inside=inside("fd00::2"))),
    "the target has other IPv6 addresses inside": replace(
        DEAD,
        address=ip_address("fd00::2"),
        target=replace(B, inside=inside("10.0.0.2", "fd00::3", "fd00::4")),
    ),
    "the source has no address inside": replace(
        DEAD, source=replace(A, inside=Inside(MAC_A, up=True, addresses=()))
    ),
    "the source has another MAC inside": replace(
        DEAD, source=replace(A, inside=Inside(OTHER, up=True, addresses=(ip_address("10.0.0.1"),)))
    ),
    "the source's interface is down": replace(
        DEAD, source=replace(A, nic=1, inside=Inside(MAC_A, up=False, addresses=()))
    ),
    "another status": replace(
        OTHERWISE, asked=spec("http://10.0.0.2/ status 200"), value="status 404"
    ),
    "a slow answer": replace(OTHERWISE, asked=spec("latency < 1ms"), value="median 12 ms"),
    "a slow link": replace(OTHERWISE, asked=spec("throughput > 1000mbit"), value="41 Mbit/s"),
    "a name that is unknown": replace(
        DEAD,
        target=Endpoint("example.org"),
        address=None,
        asked=spec("dns example.org"),
        value="NXDOMAIN",
    ),
    "a name and no resolver": replace(
        DEAD, target=Endpoint("example.org"), address=None, asked=spec("dns example.org")
    ),
    "a URL of an unknown name": replace(
        DEAD,
        target=Endpoint("example.org"),
        address=None,
        asked=spec("https://example.org/x"),
        note="can't resolve",
    ),
    "small packets pass": replace(DEAD, packet=1500),
    "the guest's own MTU": replace(DEAD, packet=1501, note=f"{OWN_MTU} 1500", largest=1500),
    "large packets pass": replace(DEAD, packet=84, largest=1500),
    "hardly anything passes": replace(DEAD, packet=1500, largest=4),
    "all pings of a loss are lost": replace(DEAD, asked=spec("loss < 5%"), sent=20, answered=0),
    "vepa and private before a switch that does not reflect": replace(
        DEAD, source=VEPA_A, target=PRIVATE_B, uplink=STILL
    ),
    "the host before a switch that does not reflect": replace(
        DEAD, source=HOST, target=VEPA_B, uplink=STILL
    ),
    "two ends without a mode before a switch that does not reflect": replace(
        DEAD, source=HOST, target=HOST, uplink=STILL
    ),
    "vmnet's switch has stopped to reflect": replace(
        DEAD,
        source=VEPA_A,
        target=VEPA_B,
        uplink=Uplink("mvl0", reflects=False, own_switch=True, wanted_reflects=True),
    ),
    "not followed, IPv6": replace(
        DEAD,
        address=ip_address("fd00::2"),
        asked=spec("tcp/22"),
        owners=(MAC_B,),
        target=replace(B, alive=True, inside=inside("fd00::2")),
    ),
    "not followed, IPv4": replace(OTHERWISE),
    "the host does not answer": replace(
        listened(*Point, seen_there=(ASKED, ON_WIRE, ARRIVED)),
        target=replace(HOST, mac="", link="mvb"),
        uplink=Uplink("mvl", own_switch=True),
    ),
    "nothing came although it answers ARP": replace(OTHERWISE, listened=frozenset({Point.TARGET})),
    "the host has sent nothing": replace(DEAD, source=HOST, **seen()),
    "frames left the macvtap": listened(Point.SOURCE, Point.TARGET, seen_there=(ASKED,)),
    "frames left by the uplink": listened(*Point, seen_there=(ASKED, ON_WIRE)),
    "only ARP arrived": listened(
        *Point, seen_there=(ASKED, (Point.TARGET, Heading.IN, FrameKind.WHO_HAS))
    ),
    "nobody has listened at the target": listened(Point.SOURCE, seen_there=(ASKED,)),
    "an answer was lost": listened(*Point, seen_there=(ASKED, ARRIVED, ANSWERED)),
    "the source drops the answer": listened(*Point, seen_there=(ASKED, ARRIVED, ANSWERED, BACK)),
    "the switch reflects and the other version works": replace(
        DEAD, uplink=Uplink("nic0", reflects=True), other_family=True
    ),
    "the other version does not work either": replace(
        DEAD, other_family=False, owners=(MAC_B,), target=replace(B, mode="bridge", up=True)
    ),
    "what was not tested, without a note": replace(UNTESTED, note=""),
    "a program is missing": replace(UNTESTED, asked=spec("udp/9")),
    "a leak to the host behind a switch that reflects": replace(
        APART, source=HOST, uplink=Uplink("mvl0", own_switch=True)
    ),
    "another machine has the address": replace(LEAK, near=(OTHER, MAC_A), owners=(MAC_B,)),
    "a leak without a reason": APART,
    "the host and itself": replace(
        DEAD, source=HOST, target=replace(HOST, link=""), uplink=Uplink("nic0", mtu=1500)
    ),
}
CHANGED = Sighting(Point.TARGET, Heading.IN, FrameKind.REQUEST, changed=True)
WAYS = {
    "its firewall drops": inside_b(replace(TAKEN, drops=("icmp type echo-request drop",))),
    "something inside drops": inside_b(TAKEN),
    "it answers others": replace(PAIR, **CAME, answers_others=("c", "host")),
    "pings are ignored": inside_b(replace(TAKEN, asked_in=2, ignores_pings=True)),
    "no way back": inside_b(replace(TAKEN, asked_in=2, no_way="RTNETLINK answers: no")),
    "no way there": replace(
        PAIR,
        source=replace(A, agent=True, stack=replace(TAKEN, no_way="by eth1, not by eth0")),
        **seen(),
    ),
    "rp_filter": inside_b(replace(TAKEN, misrouted=2)),
    "a wrong checksum": inside_b(replace(TAKEN, damaged=2)),
    "nothing came to its NIC": inside_b(replace(TAKEN, nic_in=0, ip_in=0)),
    "its answers never came out": inside_b(replace(TAKEN, asked_in=2, answered_out=2)),
    "changed": replace(
        PAIR, listened=frozenset(Point), sightings=frozenset({Sighting(*ASKED), CHANGED})
    ),
    "a chain at the uplink": replace(
        REFLECTED, **seen(ASKED), drop_chains=(DropChain("nic0", "egress", *BAD),)
    ),
    "a rule in a guard": replace(
        PAIR, **seen(), drop_chains=(DropChain("mvta", "egress", *BAD, is_guard=True),)
    ),
    "an outage": replace(PAIR, works_now=True, measured_at="10:31:02-10:31:06"),
    "an outage of large packets": replace(PAIR, works_now=True, packet=1500),
    "to another MAC": replace(PAIR, **seen(ASKED), sent_to=(OTHER,)),
    "the host forwards nothing": replace(SWITCHED, uplink=DROPS, **FORWARDED),
    "a narrow prefix": replace(
        DEAD,
        source=replace(
            A,
            planned=(ip_interface("10.0.0.1/24"),),
            inside=Inside(
                MAC_A,
                up=True,
                addresses=(ip_address("10.0.0.1"),),
                interfaces=(ip_interface("10.0.0.1/32"),),
            ),
        ),
    ),
    "no route of the host": replace(PAIR, source=replace(HOST, route="nowhere"), **seen(ASKED)),
    "the host's route": replace(PAIR, source=replace(HOST, route="dummy0"), **seen(ASKED)),
}
CASES = (
    {f"cause: {sentence}": evidence for evidence, sentence in CAUSES}
    | {f"leak: {sentence}": evidence for evidence, sentence in LEAKS}
    | {f"from outside: {sentence}": evidence for evidence, sentence in FROM_OUTSIDE}
    | MORE
    | {f"way: {name}": evidence for name, evidence in WAYS.items()}
)
ENDS = {
    "standing: gone": replace(A, exists=False),
    "standing: another mode": replace(A, mode="vepa", up=False),
    "standing: two readers": replace(A, holders=("7 (cat)", "8 (nc)")),
    "standing: no multicast": replace(A, all_multicast=False),
}


def written(finding: Finding) -> str:
    """Write a finding as findings.txt has it."""
    about = [f"about: {finding.about}"] if finding.about else []
    lines = [finding.what, f"fix: {finding.fix}", *about]
    return "\n  ".join([*lines, *(f"seen: {line}" for line in finding.evidence)])


@pytest.mark.parametrize("name", CASES)
def test_a_finding_has_its_fix_and_what_was_seen(name: str) -> None:
    assert written(diagnose(CASES[name])) == SECTIONS[name]


@pytest.mark.parametrize("name", ENDS)
def test_what_is_wrong_with_a_macvtap_by_itself_has_its_fix(name: str) -> None:
    finding = standing(ENDS[name])
    assert finding
    assert written(finding) == SECTIONS[name]


def test_a_sentence_is_cut_off_before_it_fills_a_screen() -> None:
    finding = diagnose(replace(DEAD, note="x" * 500))
    assert (len(finding.what), finding.what[-2:]) == (400, "x…")


def test_no_section_is_without_its_case() -> None:
    assert SECTIONS.keys() == CASES.keys() | ENDS.keys()
