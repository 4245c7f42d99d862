"""The way of a frame: which places it passes, between which of them it was lost, who is named."""

from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import pytest

from provisioner.check.diagnosis import way
from provisioner.check.diagnosis.diagnose import diagnose, merged
from provisioner.check.evidence import Endpoint, Evidence, Heading, Point, Sighting, Uplink
from provisioner.check.result import Finding
from provisioner.check.stack import Stack
from provisioner.network.exchange import FrameKind
from provisioner.network.nft_ruleset import DropChain
from provisioner.plan.choices import Mode
from tests.builders.checks import spec
from tests.unit.check.test_diagnosis import DEAD, MAC_B, OTHER, A, B

IN, OUT = Heading.IN, Heading.OUT
SOURCE, UPLINK, FAR, TARGET = Point.SOURCE, Point.UPLINK, Point.FAR, Point.TARGET
WHO_HAS, IS_AT = FrameKind.WHO_HAS, FrameKind.IS_AT
REQUEST, REPLY = FrameKind.REQUEST, FrameKind.REPLY
VEPA: Any = {"mode": "vepa", "wanted_mode": Mode.VEPA}
VEPA_A, VEPA_B = replace(A, **VEPA), replace(B, **VEPA)
PAIR = replace(DEAD, again_at="10:31:12", works_now=False, source_address=ip_address("10.0.0.1"))
REFLECTED = replace(PAIR, source=VEPA_A, target=VEPA_B)
SWITCHED = replace(
    REFLECTED, uplink=Uplink("mvl", far="mvh", own_switch=True, reflects=True, wanted_reflects=True)
)
GATEWAY = replace(PAIR, target=Endpoint("gateway"))
FROM_NAS = replace(PAIR, source=Endpoint("nas", login="nas"))
TO_HOST = replace(SWITCHED, target=Endpoint("host", 0, "mvb", OTHER))
HOST_ASKS = replace(SWITCHED, source=Endpoint("host", 0, "mvh", OTHER))


def at(*seen: tuple[Point, Heading, FrameKind]) -> dict[str, Any]:
    return {
        "listened": frozenset(Point),
        "sightings": frozenset(Sighting(*one) for one in seen),
    }


@pytest.mark.parametrize(
    ("e", "forth"),
    [
        (PAIR, ["mvta out", "mvtb in"]),
        (replace(PAIR, source=VEPA_A), ["mvta out", "nic0 out", "nic0 in", "mvtb in"]),
        (SWITCHED, ["mvta out", "mvl out", "mvh in", "mvh out", "mvl in", "mvtb in"]),
        (GATEWAY, ["mvta out", "nic0 out"]),
        (replace(SWITCHED, target=Endpoint("1.1.1.1")), ["mvta out", "mvl out", "mvh in"]),
        (FROM_NAS, ["nic0 in", "mvtb in"]),
        (TO_HOST, ["mvta out", "mvl out", "mvh in", "mvb in"]),
        (HOST_ASKS, ["mvh out", "mvl in", "mvtb in"]),
        (replace(PAIR, source=Endpoint("host", 0, "mva")), ["mva out", "mvtb in"]),
        (
            replace(REFLECTED, source=Endpoint("host", 0, "nic0")),
            ["nic0 out", "nic0 in", "mvtb in"],
        ),
    ],
)
def test_a_frame_passes_these_places_and_its_answer_the_same_the_other_way_round(
    e: Evidence, forth: list[str]
) -> None:
    e = replace(e, listened=frozenset(Point))
    assert [f"{x.device} {x.heading}" for x in way.way(e)] == forth
    turned = {"in": "out", "out": "in"}
    back = [f"{x.device} {turned[x.heading]}" for x in way.back(e)]
    assert back == forth[::-1]


def test_where_nobody_could_listen_nothing_is_said() -> None:
    assert way.lost(PAIR) is None
    assert "not followed" not in diagnose(PAIR).what


@pytest.mark.parametrize(
    ("e", "told"),
    [
        (
            replace(REFLECTED, **at((SOURCE, OUT, WHO_HAS))),
            (
                "what a sends is seen at the macvtap mvta of a and never at the uplink nic0: it is "
                "dropped between them"
            ),
        ),
        (
            replace(GATEWAY, **at((SOURCE, OUT, REQUEST))),
            (
                "what a sends is seen at the macvtap mvta of a and never at the uplink nic0: it is "
                "dropped between them"
            ),
        ),
        (
            replace(
                REFLECTED,
                **at((SOURCE, OUT, REQUEST), (UPLINK, OUT, REQUEST), (UPLINK, IN, REQUEST)),
            ),
            (
                "what is sent to b is seen at the uplink nic0 and never at the macvtap mvtb of b: "
                "it is dropped between them"
            ),
        ),
        (
            replace(
                SWITCHED,
                **at((SOURCE, OUT, REQUEST), (UPLINK, OUT, REQUEST), (FAR, IN, REQUEST)),
            ),
            (
                "what a sends to b comes in by the far end mvh of the switch and never leaves by "
                "it: it is dropped between them"
            ),
        ),
        (
            replace(GATEWAY, **at((SOURCE, OUT, WHO_HAS), (UPLINK, OUT, WHO_HAS))),
            (
                "the question who has 10.0.0.2 has passed the uplink nic0, and no answer came back "
                "there: nobody there has it, or the one or the other was lost behind nic0"
            ),
        ),
        (
            replace(GATEWAY, source=Endpoint("host", 0, "nic0"), **at((SOURCE, OUT, REQUEST))),
            (
                "what asks 10.0.0.2 (ping) has passed the host's nic0, and no answer came back "
                "there: the one or the other was lost behind nic0"
            ),
        ),
        (
            replace(PAIR, **at((SOURCE, OUT, WHO_HAS), (TARGET, IN, WHO_HAS))),
            (
                "the question who has 10.0.0.2 has come to the macvtap mvtb of b, and "
                "b has not answered"
            ),
        ),
        (
            replace(
                PAIR,
                **at(
                    (SOURCE, OUT, REQUEST),
                    (TARGET, IN, REQUEST),
                    (TARGET, OUT, FrameKind.ASKS_BACK),
                ),
            ),
            (
                "what b sends to a is seen at the macvtap mvtb of b and never at the macvtap mvta "
                "of a: it is dropped between them"
            ),
        ),
        (
            replace(
                PAIR,
                **at(
                    (SOURCE, OUT, REQUEST),
                    (TARGET, IN, REQUEST),
                    (TARGET, OUT, FrameKind.ASKS_BACK),
                    (SOURCE, IN, FrameKind.ASKS_BACK),
                ),
            ),
            (
                "the question who has 10.0.0.1 has come to the macvtap mvta of a, and "
                "a has not answered"
            ),
        ),
        (
            replace(
                PAIR,
                **at(
                    (SOURCE, OUT, WHO_HAS),
                    (TARGET, IN, WHO_HAS),
                    (TARGET, OUT, IS_AT),
                    (SOURCE, IN, IS_AT),
                ),
            ),
            (
                "the answer to who has 10.0.0.2 has come to the macvtap mvta of a, and a has sent "
                "no packet after it"
            ),
        ),
    ],
)
def test_the_place_is_named_where_frames_were_lost(e: Evidence, told: str) -> None:
    assert diagnose(e).what == told
    assert "firewall" not in told


FORWARDED = at((SOURCE, OUT, REQUEST), (UPLINK, OUT, REQUEST), (FAR, IN, REQUEST))
DROPS = replace(SWITCHED.uplink, forward_drops=("table inet bad, chain c (policy drop)",))


@pytest.mark.parametrize(
    ("target", "seen", "named"),
    [
        (Endpoint("1.1.1.1"), FORWARDED, True),
        (VEPA_B, FORWARDED, True),
        (VEPA_B, at((SOURCE, OUT, REQUEST), (UPLINK, OUT, REQUEST)), False),
        (TO_HOST.target, FORWARDED, False),
    ],
)
def test_the_hosts_firewall_is_named_where_packets_were_to_be_forwarded(
    target: Endpoint, seen: dict[str, Any], named: object
) -> None:
    e = replace(SWITCHED, target=target, uplink=DROPS, **seen)
    what = "this host's firewall drops what it forwards: table inet bad, chain c (policy drop)"
    assert (diagnose(e).what == what) is named
    assert "firewall" not in diagnose(replace(e, uplink=SWITCHED.uplink)).what


def test_a_message_that_comes_otherwise_than_it_was_sent_was_changed_between_two_places() -> None:
    sightings = frozenset(
        {
            Sighting(SOURCE, OUT, REQUEST),
            Sighting(UPLINK, OUT, REQUEST),
            Sighting(UPLINK, IN, REQUEST, changed=True),
            Sighting(TARGET, IN, REQUEST, changed=True),
        }
    )
    e = replace(REFLECTED, sightings=sightings, listened=frozenset(Point))
    assert diagnose(e).what == (
        "what a sends to b is changed on the way: seen as it was sent at the uplink nic0, and "
        "otherwise at the uplink nic0"
    )


@pytest.mark.parametrize(
    ("device", "hook", "seen"),
    [
        ("nic0", "egress", [(SOURCE, OUT, REQUEST)]),
        (
            "nic0",
            "ingress",
            [(SOURCE, OUT, REQUEST), (UPLINK, OUT, REQUEST), (UPLINK, IN, REQUEST)],
        ),
        ("mvta", "egress", []),
        ("mvtb", "ingress", [(SOURCE, OUT, REQUEST), (UPLINK, IN, REQUEST), (TARGET, IN, REQUEST)]),
    ],
)
def test_a_filter_of_the_host_between_the_two_places_is_named(
    device: str, hook: str, seen: list[tuple[Point, Heading, FrameKind]]
) -> None:
    chains = tuple(
        DropChain(one, way, "netdev bad", "c")
        for one in ("nic0", "mvta", "mvtb")
        for way in ("ingress", "egress")
    )
    (right,) = (x for x in chains if (x.device, x.hook) == (device, hook))
    found = diagnose(replace(REFLECTED, **at(*seen), drop_chains=(right,)))
    chain = "the nftables chain c of table netdev bad drops frames at the"
    names = {"nic0": "the uplink nic0", "mvta": "the macvtap mvta of a"}
    assert found.what == f"{chain} {hook} of {names.get(device, 'the macvtap mvtb of b')}"
    assert found.about == {"mvta": "a", "mvtb": "b"}.get(device, "nic0")
    assert found.fix == "look at it, and take its drop away: nft list table netdev bad"
    others = tuple(x for x in chains if x.device != device)
    assert "chain" not in diagnose(replace(REFLECTED, **at(*seen), drop_chains=others)).what


ARRIVED = at((SOURCE, OUT, REQUEST), (TARGET, IN, REQUEST))
TAKEN = Stack(nic_in=4, nic_out=2, ip_in=2, asked_in=0, answered_out=0, answered_in=0)


def inside(stack: Stack) -> Evidence:
    return replace(PAIR, target=replace(B, agent=True, stack=stack), **ARRIVED)


@pytest.mark.parametrize(
    ("stack", "told"),
    [
        (
            replace(TAKEN, nic_in=0, ip_in=0),
            (
                "what asks 10.0.0.2 (ping) has come to the macvtap mvtb of b, and the NIC inside "
                "b has received nothing meanwhile: it is dropped between them"
            ),
        ),
        (
            replace(TAKEN, drops=("icmp type echo-request drop",)),
            (
                "the firewall of b drops ping of a: its IP has received it and handed nothing on; "
                "it has the rule: icmp type echo-request drop"
            ),
        ),
        (
            TAKEN,
            (
                "b has received ping of a: its IP has counted it and handed nothing on, so "
                "something inside it drops it"
            ),
        ),
        (
            replace(TAKEN, asked_in=2, ignores_pings=True),
            "b ignores pings: icmp_echo_ignore_all is 1 inside it",
        ),
        (
            replace(TAKEN, asked_in=2, no_way="RTNETLINK answers: Network is unreachable"),
            "b has no way back to a: RTNETLINK answers: Network is unreachable",
        ),
        (
            replace(TAKEN, misrouted=2),
            "b drops what comes from a: it has no route back by that NIC (rp_filter)",
        ),
        (
            replace(TAKEN, damaged=2),
            "b receives what a sends with a wrong checksum: something on the way changes it",
        ),
        (
            replace(TAKEN, asked_in=2, drops=("tcp dport 22 drop",)),
            "b has taken ping of a, and its own stack has sent no answer",
        ),
        (
            replace(TAKEN, asked_in=2, answered_out=2),
            (
                "what asks 10.0.0.2 (ping) has come to the macvtap mvtb of b, and of the answers "
                "that b sent none came out: it is dropped between them"
            ),
        ),
    ],
)
def test_what_a_guest_has_counted_tells_how_far_a_packet_came_inside_it(
    stack: Stack, told: str
) -> None:
    found = diagnose(inside(stack))
    assert found.what == told
    assert any("b has counted: NIC received" in line for line in found.evidence)


def test_a_firewall_is_named_when_a_target_answers_others_and_not_the_source() -> None:
    e = replace(PAIR, **ARRIVED, answers_others=("c", "host"))
    assert diagnose(e).what == (
        "b answers c, host but not a, whose packets come to the macvtap mvtb of b: something "
        "inside it drops them, such as its firewall"
    )


def test_a_source_whose_route_goes_nowhere_is_told_its_route() -> None:
    stack = Stack(1, 0, 0, 0, 0, 0, no_way="RTNETLINK answers: Invalid argument")
    e = replace(PAIR, source=replace(A, agent=True, stack=stack), **at())
    assert diagnose(e).what == "a has no way to 10.0.0.2: RTNETLINK answers: Invalid argument"


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        (2, "never comes out of the macvtap mvta of a, but its NIC has sent frames meanwhile"),
        (0, "a has sent nothing to 10.0.0.2: its NIC has sent no frame meanwhile"),
    ],
)
def test_what_never_left_a_macvtap_was_sent_or_not_as_the_guest_counts(
    sent: int, told: str
) -> None:
    stack = Stack(1, sent, 0, 0, 0, 0)
    e = replace(PAIR, source=replace(A, agent=True, stack=stack), **at())
    assert told in diagnose(e).what


def test_packets_that_go_to_another_mac_are_told_before_a_place() -> None:
    e = replace(PAIR, **at((SOURCE, OUT, REQUEST)), sent_to=(OTHER,))
    assert (
        diagnose(e).what
        == f"a sends what is for 10.0.0.2 of b to the MAC {OTHER}, and b is {MAC_B}"
    )
    right = replace(e, sent_to=(OTHER, MAC_B))
    assert "the MAC" not in diagnose(right).what


def test_answers_that_go_to_another_mac_are_told_as_their_sender_s_packets_are() -> None:
    there = replace(PAIR, **at((SOURCE, OUT, REQUEST)), sent_to=(OTHER,))
    seen = (SOURCE, OUT, REQUEST), (TARGET, IN, REQUEST), (TARGET, OUT, REPLY)
    back = replace(
        there,
        source=there.target,
        target=there.source,
        address=there.source_address,
        source_address=there.address,
        sent_to=(A.mac,),
        answered_to=(OTHER,),
        sightings=at(*seen)["sightings"],
    )
    assert diagnose(back).what == diagnose(there).what


def test_a_rule_that_somebody_has_put_into_a_guard_is_told_as_that() -> None:
    chain = DropChain("mvta", "egress", "netdev vmnet_lab_mvta", "egress", "icmp drop", True)  # noqa: FBT003
    found = diagnose(replace(PAIR, **at(), drop_chains=(chain,)))
    assert found.what == (
        "the spoof guard of a has a rule that is not vmnet's and drops frames: icmp drop"
    )
    assert found.fix.endswith("vmnet up")


def test_the_hosts_own_route_is_told_where_it_leads_elsewhere() -> None:
    host = Endpoint("host", 0, "mvb", OTHER, route="dummy0")
    e = replace(PAIR, source=host, **at((SOURCE, OUT, REQUEST)))
    assert diagnose(e).what == (
        "this host's route to 10.0.0.2 of b leaves by dummy0, not by mvb: what it sends to b goes "
        "there"
    )
    back = replace(PAIR, target=host)
    assert "route to 10.0.0.1 of a leaves by dummy0" in diagnose(back).what
    right = replace(e, source=replace(host, route="mvb"))
    assert "route" not in diagnose(right).what


def test_what_works_now_was_an_outage_and_accuses_nobody() -> None:
    e = replace(PAIR, works_now=True, measured_at="10:31:02-10:31:06", **ARRIVED)
    found = diagnose(
        replace(e, answers_others=("c",), target=replace(B, alive=True), owners=(MAC_B,))
    )
    assert found.what == (
        "a did not reach b at 10:31:02-10:31:06; it does now (asked again at 10:31:12): an outage "
        "that has passed"
    )
    assert found.evidence[:2] == (
        "no answer at 10:31:02-10:31:06",
        "answered (asked again at 10:31:12)",
    )


def test_what_works_now_although_something_is_wrong_is_told_by_that() -> None:
    e = replace(PAIR, works_now=True, target=replace(B, impaired="loss 60%"))
    assert diagnose(e).what == "the link of b is impaired: loss 60%, set by vmnet link"


def test_no_fix_sends_anybody_into_a_guest_whose_agent_does_not_answer() -> None:
    silent = diagnose(replace(PAIR, **ARRIVED, target=replace(B, agent=False)))
    assert silent.fix == "look inside: vmnet console b; there: nft list ruleset, or iptables -S"
    answering = diagnose(replace(PAIR, **ARRIVED, target=replace(B, agent=True)))
    assert answering.fix == "look inside: vmnet exec b -- nft list ruleset, or iptables -S"


def test_a_pair_that_was_not_followed_takes_what_was_found_of_the_end_it_shares() -> None:
    followed = replace(GATEWAY, **at((SOURCE, OUT, REQUEST)))
    finding = diagnose(followed)
    other = replace(PAIR, target=Endpoint("10.0.0.9"), address=ip_address("10.0.0.9"), again_at="")
    assert diagnose(other, [(followed, finding)]) == finding
    assert diagnose(replace(other, source=B), [(followed, finding)]).what != finding.what


def test_a_pair_that_was_not_followed_takes_no_sentence_that_names_another_end() -> None:
    followed = inside(replace(TAKEN, drops=("drop",)))
    finding = diagnose(followed)
    assert finding.about == "b"
    other = replace(PAIR, source=replace(A, vm="c", link="mvtc"))
    assert "firewall" not in diagnose(other, [(followed, finding)]).what


def test_findings_with_one_sentence_become_one_with_what_was_seen_of_all() -> None:
    one, two, other = Finding("x", "f", ("a", "b")), Finding("x", "g", ("b", "c")), Finding("y", "")
    same = Finding("x", "f", ("a", "b", "c"))
    assert merged([one, other, two]) == [same, other, same]


def test_a_question_that_is_not_a_ping_is_named() -> None:
    e = replace(PAIR, asked=spec("tcp/22"), works_now=True)
    assert "a did not reach b (tcp/22); it does now" in diagnose(e).what


def test_a_network_is_not_said_to_drop_what_was_lost_on_this_host() -> None:
    """A filter at the uplink's ingress keeps answers from new MACs too, on this very host."""
    foreign = Uplink("nic0", passes_foreign=False, control="10.0.0.254")
    asked = [(SOURCE, OUT, REQUEST), (UPLINK, OUT, REQUEST)]
    e = replace(GATEWAY, uplink=foreign, **at(*asked))
    assert "drops frames of MACs that it does not know" in diagnose(e).what
    came = replace(e, **at(*asked, (UPLINK, IN, REPLY)))
    assert diagnose(came).what.startswith("what is sent to a is seen at the uplink nic0 and never")


@pytest.mark.parametrize(("hook", "is_named"), [("ingress", True), ("egress", False)])
def test_what_is_handed_from_macvtap_to_macvtap_is_received_by_the_uplink(
    hook: str,
    is_named: bool,  # noqa: FBT001
) -> None:
    chain = DropChain("nic0", hook, "netdev bad", "c")
    found = diagnose(replace(PAIR, **at((SOURCE, OUT, REQUEST)), drop_chains=(chain,)))
    assert ("nftables chain" in found.what) is is_named
