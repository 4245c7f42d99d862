"""Captures of several places put together: whose frames they are, and what was changed."""

import struct
from ipaddress import IPv4Address, ip_address

from hypothesis import given
from hypothesis import strategies as st

from provisioner.check.evidence import Heading, Point, Sighting
from provisioner.check.following import Capture, Followed, followed
from provisioner.network import frames
from provisioner.network.exchange import Exchange, FrameKind
from provisioner.plan.mac import Mac
from tests.unit.network.test_claims import arp

MAC_A, MAC_B, ROUTER = "02:00:00:00:00:0a", "02:00:00:00:00:0b", "02:00:00:00:66:66"
IP_A, IP_B, IP_C = map(IPv4Address, ("10.0.0.1", "10.0.0.2", "10.0.0.3"))
ASKS = Exchange(MAC_A, IP_B, IP_A)
IN, OUT = Heading.IN, Heading.OUT
SOURCE, UPLINK, TARGET = Point.SOURCE, Point.UPLINK, Point.TARGET
REQUEST, REPLY = FrameKind.REQUEST, FrameKind.REPLY


def packet(
    source: IPv4Address,
    destination: IPv4Address,
    payload: bytes,
    *,
    mac: str = MAC_A,
    to: str = MAC_B,
    protocol: int = 1,
) -> bytes:
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 0, 0, 64, protocol, 0)
    body = head + source.packed + destination.packed + payload
    return Mac(to).packed + Mac(mac).packed + b"\x08\0" + body


PING = b"\x08\0\x12\x34\0\1\0\1" + b"data" * 14
PONG = b"\0\0\x1a\x34\0\1\0\1" + b"data" * 14
ASKED = Capture(SOURCE, OUT, packet(IP_A, IP_B, PING))
CAME = Capture(TARGET, IN, packet(IP_A, IP_B, PING))
ANSWERED = Capture(TARGET, OUT, packet(IP_B, IP_A, PONG, mac=MAC_B, to=MAC_A))
BACK = Capture(SOURCE, IN, packet(IP_B, IP_A, PONG, mac=MAC_B, to=MAC_A))


def test_each_frame_of_the_exchange_is_seen_where_it_passed() -> None:
    found = followed(ASKS, [ASKED, CAME, ANSWERED, BACK])
    assert found == Followed(
        frozenset(
            {
                Sighting(SOURCE, OUT, REQUEST),
                Sighting(TARGET, IN, REQUEST),
                Sighting(TARGET, OUT, REPLY),
                Sighting(SOURCE, IN, REPLY),
            }
        ),
        "",
        (MAC_B,),
        (MAC_A,),
    )


def test_packets_of_others_to_the_same_target_are_no_part_of_it() -> None:
    others = [
        Capture(TARGET, IN, packet(IP_C, IP_B, PING, mac=ROUTER)),
        Capture(TARGET, OUT, packet(IP_B, IP_C, PONG, mac=MAC_B)),
    ]
    assert followed(ASKS, [ASKED, *others]).sightings == {Sighting(SOURCE, OUT, REQUEST)}
    assert len(followed(ASKS, others).sightings) == 2  # where the asker is not known, all count


def test_a_message_that_comes_otherwise_than_it_was_sent_is_changed() -> None:
    mangled = packet(IP_A, IP_B, PING[:4] + b"\xff\xff" + PING[6:])
    found = followed(ASKS, [ASKED, Capture(UPLINK, OUT, ASKED.frame), Capture(TARGET, IN, mangled)])
    assert found.sightings == {
        Sighting(SOURCE, OUT, REQUEST),
        Sighting(UPLINK, OUT, REQUEST),
        Sighting(TARGET, IN, REQUEST, changed=True),
    }


def test_an_answer_to_what_was_not_asked_is_changed() -> None:
    mangled = PONG[:4] + b"\xff\xff" + PONG[6:]
    wrong = Capture(UPLINK, IN, packet(IP_B, IP_A, mangled, mac=MAC_B))
    assert Sighting(UPLINK, IN, REPLY, changed=True) in followed(ASKS, [ASKED, wrong]).sightings
    unreachable = Capture(UPLINK, IN, packet(IP_B, IP_A, b"\x03\1\0\0" + bytes(36), mac=MAC_B))
    assert Sighting(UPLINK, IN, REPLY) in followed(ASKS, [ASKED, unreachable]).sightings


def test_other_protocols_may_still_lack_their_checksum_and_are_not_compared() -> None:
    sent = Capture(SOURCE, OUT, packet(IP_A, IP_B, b"segment", protocol=6))
    came = Capture(TARGET, IN, packet(IP_A, IP_B, b"SEGMENT", protocol=6))
    assert Sighting(TARGET, IN, REQUEST) in followed(ASKS, [sent, came]).sightings


def test_a_router_on_the_way_and_the_macs_that_were_sent_to_are_known() -> None:
    by_router = [
        Capture(SOURCE, OUT, packet(IP_A, IP_B, PING, to=ROUTER)),
        Capture(TARGET, IN, packet(IP_A, IP_B, PING, mac=ROUTER)),
    ]
    found = followed(ASKS, by_router)
    assert (found.gone_by, found.sent_to) == (ROUTER, (ROUTER,))


def test_who_has_answered_for_the_address_is_known() -> None:
    answer = arp(2, ROUTER, IP_B)
    assert followed(ASKS, [Capture(SOURCE, IN, answer)]).claimants == (ROUTER,)
    assert followed(ASKS, [Capture(SOURCE, IN, arp(2, ROUTER, IP_C))]).claimants == ()


def test_the_question_of_the_asked_one_about_the_asker_is_told_apart() -> None:
    back = frames.arp_request(IP_A, MAC_B, IP_B)
    found = followed(ASKS, [Capture(TARGET, OUT, back)])
    assert found.sightings == {Sighting(TARGET, OUT, FrameKind.ASKS_BACK)}
    assert followed(Exchange(MAC_A, IP_B), [Capture(TARGET, OUT, back)]).sightings == frozenset()


@given(
    st.lists(st.tuples(st.sampled_from(Point), st.sampled_from(Heading), st.binary(max_size=80)))
)
def test_whatever_is_captured_is_put_together(seen: list[tuple[Point, Heading, bytes]]) -> None:
    for address in ("10.0.0.2", "fd00::2"):
        asks = Exchange(MAC_A, ip_address(address))
        assert isinstance(followed(asks, [Capture(*one) for one in seen]), Followed)
