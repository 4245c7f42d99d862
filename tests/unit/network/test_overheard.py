"""Router advertisements and DHCP offers, read from frames that nobody vouches for."""

import struct
from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner.network import frames, overheard
from provisioner.network.frames import Ip
from provisioner.network.overheard import Offer, Router
from tests.host_tools import router

CLIENT, SERVER = "02:00:00:00:00:99", "02:00:00:00:00:53"
HERE, GIVEN = IPv4Address("10.0.0.1"), IPv4Address("10.0.0.50")
NUMBER = 0x01020304


def answered(kind: int = 2, number: int = NUMBER, server: bytes = HERE.packed) -> bytes:
    """Build a DHCP server's answer to the client, by broadcast."""
    bootp = struct.pack("!BBBBIHH", 2, 1, 6, 0, number, 0, 0x8000) + bytes(4) + GIVEN.packed
    bootp += bytes(8) + bytes.fromhex(CLIENT.replace(":", "")) + bytes(10 + 192)
    bootp += b"\x63\x82\x53\x63\x00" + bytes([53, 1, kind, 54, len(server)]) + server + b"\xff"
    udp = struct.pack("!HHHH", 67, 68, 8 + len(bootp), 0) + bootp
    ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0) + HERE.packed
    ethernet = b"\xff" * 6 + bytes.fromhex(SERVER.replace(":", "")) + b"\x08\x00"
    return ethernet + ip + b"\xff" * 4 + udp


def test_a_discover_is_a_packet_that_a_server_takes() -> None:
    refused, frame = overheard.dhcp_questions(SERVER, CLIENT, NUMBER)
    assert len(refused) == len(frame) + 6
    assert not frames.checksum(frame[14:34])
    found = frames.parse(frame)
    assert isinstance(found, Ip)
    assert (found.source.packed, found.destination.packed) == (bytes(4), b"\xff" * 4)
    assert found.payload[:4] == b"\x00\x44\x00\x43"
    assert found.payload[8:20] == bytes.fromhex("01010600010203040000" + "8000")
    assert len(found.payload) == 8 + 236 + 4 + 4


def test_an_offer_says_who_offers_which_address() -> None:
    assert overheard.offer(answered(), NUMBER) == Offer(SERVER, HERE, GIVEN)
    assert overheard.offer(answered(kind=6), NUMBER)


@pytest.mark.parametrize(
    "frame",
    [
        answered(kind=5),
        answered(number=7),
        answered(server=b"\1\2"),
        answered()[:-60],
        answered().replace(b"\x63\x82\x53\x63", b"\x00\x82\x53\x63"),
        overheard.dhcp_questions(SERVER, CLIENT, NUMBER)[0],
    ],
    ids=["an ACK", "another transaction", "a server cut short", "cut", "no DHCP", "a question"],
)
def test_nothing_else_is_an_offer(frame: bytes) -> None:
    assert overheard.offer(frame, NUMBER) is None


def test_an_advertisement_says_who_routes_and_for_which_prefix() -> None:
    own = frames.link_local(router.MAC)
    assert overheard.router(router.advertisement()) == Router(
        router.MAC, own, is_default=True, prefixes=(router.PREFIX,)
    )
    found = overheard.router(router.advertisement(lifetime_s=0))
    assert found
    assert not found.is_default


def test_a_forged_advertisement_says_nothing() -> None:
    right = router.advertisement()
    for at, byte in ((21, 64), (54, 135), (60, 1), (-1, 9)):  # hop limit, type, lifetime, prefix
        wrong = bytearray(right)
        wrong[at] = byte
        assert overheard.router(bytes(wrong)) is None
    assert overheard.router(right[:-8]) is None


def test_a_solicitation_is_to_all_routers_and_has_its_checksum() -> None:
    frame = overheard.router_solicitation(CLIENT)
    found = frames.parse(frame)
    assert isinstance(found, Ip)
    assert (str(found.source), str(found.destination)) == ("::", "ff02::2")
    pseudo = found.source.packed + found.destination.packed + struct.pack("!II", 8, 58)
    assert not frames.checksum(pseudo + found.payload)
    assert frame[21] == 255


@given(
    st.binary(max_size=80),
    st.integers(0, 400),
    st.sampled_from([answered(), router.advertisement()]),
)
def test_no_frame_breaks_it(noise: bytes, at: int, frame: bytes) -> None:
    for each in (noise, frame[:at] + noise, frame[:at] + noise + frame[at + len(noise) :]):
        overheard.offer(each, NUMBER)
        overheard.router(each)
