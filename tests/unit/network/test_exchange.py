"""What a frame is in the exchange of two ends, and who has forwarded it."""

from ipaddress import IPv4Address, IPv6Address

import pytest

from provisioner.network import frames
from provisioner.network.exchange import Exchange, FrameKind
from tests.unit.network.test_claims import advertised, arp, ethernet, four, six

US, OTHER = "02:00:00:00:00:01", "02:00:00:00:00:02"
FOUR, SIX = IPv4Address("10.0.0.2"), IPv6Address("fd00::2")
ASKS_FOUR, ASKS_SIX = Exchange(US, FOUR), Exchange(US, SIX)


def packet(source: str, destination: str, mac: str = US) -> bytes:
    head = b"\x45\0\0\x14" + bytes(8)
    ends = IPv4Address(source).packed + IPv4Address(destination).packed
    return ethernet(0x0800, head + ends, mac)


@pytest.mark.parametrize(
    ("frame", "kind"),
    [
        (frames.arp_request(FOUR, US), FrameKind.WHO_HAS),
        (frames.arp_request(IPv4Address("10.0.0.3"), US), None),
        (frames.arp_request(FOUR, OTHER, FOUR), None),  # it announces itself
        (arp(2, OTHER, FOUR), FrameKind.IS_AT),
        (arp(2, OTHER, IPv4Address("10.0.0.3")), None),
        (packet("10.0.0.1", "10.0.0.2"), FrameKind.REQUEST),
        (packet("10.0.0.2", "10.0.0.1"), FrameKind.REPLY),
        (packet("10.0.0.1", "10.0.0.3"), None),
        (four(FOUR, 1, b""), FrameKind.REPLY),
        (frames.neighbour_solicitation(SIX, US), None),  # of the other version
        (ethernet(0x8100, frames.arp_request(FOUR, US)[12:]), None),
        (frames.arp_request(FOUR, US)[:41], None),
        (b"", None),
    ],
)
def test_a_frame_of_ipv4_has_its_part(frame: bytes, kind: FrameKind | None) -> None:
    assert ASKS_FOUR.kind(frame) is kind


@pytest.mark.parametrize(
    ("frame", "kind"),
    [
        (frames.neighbour_solicitation(SIX, US), FrameKind.WHO_HAS),
        (frames.neighbour_solicitation(IPv6Address("fd00::3"), US), None),
        (advertised(SIX), FrameKind.IS_AT),
        (advertised(IPv6Address("fd00::3")), None),
        (six("fd00::2", b"\x81" + b"\0" * 7), FrameKind.REPLY),
        (six("fd00::3", b"\x80" + b"\0" * 7), None),
        (advertised(SIX)[:-1], None),
        (frames.arp_request(FOUR, US), None),
    ],
)
def test_a_frame_of_ipv6_has_its_part(frame: bytes, kind: FrameKind | None) -> None:
    assert ASKS_SIX.kind(frame) is kind


def test_a_router_is_whoever_forwards_the_packets_of_the_asker() -> None:
    assert ASKS_FOUR.router(packet("10.0.0.1", "10.0.0.2", OTHER)) == OTHER
    assert ASKS_FOUR.router(packet("10.0.0.1", "10.0.0.2", US)) == ""
    assert ASKS_FOUR.router(packet("10.0.0.2", "10.0.0.1", OTHER)) == ""
    assert Exchange("", FOUR).router(packet("10.0.0.1", "10.0.0.2", OTHER)) == ""
