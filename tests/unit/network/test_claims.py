"""What a frame says of who has which address; most frames say nothing, and hostile ones lie."""

import struct
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner.network import claims, frames
from provisioner.network.claims import Claim
from provisioner.plan.mac import Mac

MAC, OTHER = "02:00:00:00:00:01", "02:00:00:00:00:02"
FOUR, SIX = IPv4Address("10.0.0.2"), IPv6Address("fd00::2")


def ethernet(kind: int, body: bytes, mac: str = MAC) -> bytes:
    return b"\xff" * 6 + Mac(mac).packed + struct.pack("!H", kind) + body


def arp(operation: int, mac: str, address: IPv4Address) -> bytes:
    head = struct.pack("!HHBBH", 1, 0x0800, 6, 4, operation)
    return ethernet(0x0806, head + Mac(mac).packed + address.packed + b"\0" * 10)


def four(source: IPv4Address, protocol: int, payload: bytes) -> bytes:
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 0, 0, 64, protocol, 0)
    return ethernet(0x0800, head + source.packed + b"\xff" * 4 + payload)


def lease(message_type: int, client: str, address: IPv4Address, *, magic: bool = True) -> bytes:
    message = struct.pack("!BBBB", 2, 1, 6, 0) + b"\0" * 12 + address.packed + b"\0" * 8
    message += Mac(client).packed.ljust(16, b"\0") + b"\0" * 192
    message += (b"\x63\x82\x53\x63" if magic else b"\0" * 4) + b"\0"  # one byte of padding first
    message += bytes([54, 4, 10, 0, 0, 1, 53, 1, message_type, 255])
    return four(IPv4Address("10.0.0.1"), 17, b"\0\x43\0\x44" + b"\0" * 4 + message)


def six(source: str, message: bytes, following: int = 58) -> bytes:
    head = struct.pack("!IHBB", 6 << 28, len(message), following, 255)
    return ethernet(0x86DD, head + IPv6Address(source).packed + b"\xff\x02" + b"\0" * 14 + message)


def advertised(address: IPv6Address) -> bytes:
    return six("fe80::1", bytes([136, 0, 0, 0, 0x20, 0, 0, 0]) + address.packed)


@pytest.mark.parametrize("operation", [1, 2])
def test_arp_claims_its_senders_address(operation: int) -> None:
    assert claims.claim(arp(operation, MAC, FOUR)) == Claim(MAC, FOUR, "ARP")


def test_a_plain_packet_claims_its_source() -> None:
    assert claims.claim(four(FOUR, 1, b"")) == Claim(MAC, FOUR, "IPv4 packets")
    assert claims.claim(six("fd00::2", b"\x80" + b"\0" * 7)) == Claim(MAC, SIX, "IPv6 packets")


def test_the_last_word_of_dhcp_gives_the_address_to_the_client_it_names() -> None:
    assert claims.claim(lease(5, OTHER, FOUR)) == Claim(OTHER, FOUR, "a DHCP lease")


def test_an_offer_and_a_message_that_only_looks_like_dhcp_give_nothing() -> None:
    assert claims.claim(lease(2, OTHER, FOUR)) is None
    assert claims.claim(lease(5, OTHER, FOUR, magic=False)) is None


def test_an_advertisement_claims_its_target_not_its_source() -> None:
    assert claims.claim(advertised(SIX)) == Claim(MAC, SIX, "a neighbour advertisement")


def test_duplicate_address_detection_claims_nothing_yet() -> None:
    assert claims.claim(six("::", bytes([135]) + b"\0" * 7 + SIX.packed)) is None


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"\0" * 13,
        arp(1, MAC, IPv4Address("0.0.0.0")),  # RFC 5227: it only asks  # noqa: S104
        arp(1, "ff:ff:ff:ff:ff:ff", FOUR),
        arp(1, "01:00:5e:00:00:01", FOUR),
        arp(1, "00:00:00:00:00:00", FOUR),
        arp(1, MAC, IPv4Address("127.0.0.1")),
        arp(1, MAC, IPv4Address("255.255.255.255")),
        arp(1, MAC, IPv4Address("224.0.0.1")),
        arp(1, MAC, FOUR)[:30],
        ethernet(0x8100, arp(1, MAC, FOUR)),  # tagged
        ethernet(0x88B5, b"\0" * 60),
        ethernet(0x0800, b"\x65" + b"\0" * 60),  # says IPv4 and is not
        six("::1", b"\x80" + b"\0" * 7),
    ],
)
def test_what_is_cut_short_absurd_or_nobodys_says_nothing(frame: bytes) -> None:
    assert claims.claim(frame) is None


@given(st.sampled_from([arp(2, MAC, FOUR), lease(5, MAC, FOUR), advertised(SIX)]), st.data())
def test_no_mangled_frame_breaks_the_reader(frame: bytes, data: st.DataObject) -> None:
    cut = frame[: data.draw(st.integers(0, len(frame)))]
    junk = data.draw(st.binary(max_size=80))
    at = data.draw(st.integers(0, len(cut)))
    for one in (cut, cut[:at] + junk + cut[at:], frame[:14] + junk):
        found = claims.claim(one)
        assert found is None or not found.address.is_multicast
        assert frames.source_mac(one) == "" or len(frames.source_mac(one)) == 17


def test_a_solicitation_from_an_address_claims_it() -> None:
    solicitation = six("fd00::2", bytes([135]) + b"\0" * 7 + IPv6Address("fd00::9").packed)
    assert claims.claim(solicitation) == Claim(MAC, SIX, "IPv6 packets")


def test_a_lease_is_read_whatever_options_stand_before_its_type() -> None:
    plain = lease(5, OTHER, FOUR)
    padded = plain.replace(bytes([54, 4, 10, 0, 0, 1]), bytes([0, 0, 12, 2, 53, 2, 0]))
    assert claims.claim(padded) == Claim(OTHER, FOUR, "a DHCP lease")
    without = plain.replace(bytes([53, 1, 5]), bytes([55, 1, 5]))
    assert claims.claim(without) is None
    request = plain.replace(struct.pack("!BBBB", 2, 1, 6, 0), struct.pack("!BBBB", 1, 1, 6, 0))
    assert claims.claim(request) is None


def test_a_udp_packet_from_other_ports_claims_its_source() -> None:
    other = lease(5, OTHER, FOUR).replace(b"\0\x43\0\x44", b"\0\x44\0\x43")
    assert claims.claim(other) == Claim(MAC, IPv4Address("10.0.0.1"), "IPv4 packets")
