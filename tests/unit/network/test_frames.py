import struct
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner.network import filters, frames
from provisioner.network.frames import Answer, Echo
from provisioner.plan.mac import Mac

US, THEM = "02:00:00:00:00:01", "02:00:00:00:00:02"
FOUR, SIX = IPv4Address("10.0.0.2"), IPv6Address("fd00::2")

ARP_REPLY = bytes.fromhex(
    "020000000001 020000000002 08060001 0800 06 04 0002 020000000002 0a000002 020000000001 00000000"
)


def advertisement(
    *,
    to: str = "fe80::ff:fe00:1",
    flags: int = 0x60,
    target: IPv6Address = SIX,
    options: bytes = bytes.fromhex("0201 020000000002"),
    hops: int = 255,
    kind: int = 136,
) -> bytes:
    destination = IPv6Address(to).packed
    message = struct.pack("!BBHB3x", kind, 0, 0, flags) + target.packed + options
    pseudo = SIX.packed + destination + struct.pack("!II", len(message), 58)
    summed = message[:2] + struct.pack("!H", frames.checksum(pseudo + message)) + message[4:]
    header = struct.pack("!IHBB", 6 << 28, len(message), 58, hops) + SIX.packed + destination
    return bytes.fromhex("020000000001 020000000002 86dd") + header + summed


def test_an_arp_probe_names_no_sender() -> None:
    assert frames.arp_request(FOUR, US) == bytes.fromhex(
        "ffffffffffff 020000000001 0806"
        "0001 0800 06 04 0001 020000000001 00000000 000000000000 0a000002"
    ).ljust(60, b"\0")


def test_an_arp_request_names_its_sender() -> None:
    assert frames.arp_request(FOUR, US, IPv4Address("10.0.0.1"))[28:32] == b"\x0a\0\0\x01"


def test_a_solicitation_from_nobody_names_no_mac() -> None:
    assert frames.neighbour_solicitation(SIX, US) == bytes.fromhex(
        "3333ff000002 020000000001 86dd"
        "60000000 0018 3a ff 00000000000000000000000000000000 ff0200000000000000000001ff000002"
        "87 00 7da3 00000000 fd000000000000000000000000000002"
    )


def test_a_solicitation_with_a_sender_names_its_mac() -> None:
    frame = frames.neighbour_solicitation(SIX, US, IPv6Address("fe80::ff:fe00:1"))
    assert frame[78:] == bytes.fromhex("01 01 020000000001")


def test_the_link_local_address_of_a_mac_is_its_modified_eui64() -> None:
    assert frames.link_local("02:ab:cd:00:00:01") == IPv6Address("fe80::ab:cdff:fe00:1")


@pytest.mark.parametrize("text", ["", "02:00", "2:0:0:0:0:1", "020000000001", US + ":00", "x"])
def test_what_is_not_a_mac_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a MAC"):
        Mac(text)


def test_an_arp_reply_is_an_answer() -> None:
    assert frames.answer(ARP_REPLY.ljust(60, b"\0")) == Answer(FOUR, THEM)


def test_an_advertisement_is_an_answer() -> None:
    assert frames.answer(advertisement()) == Answer(SIX, THEM)


def test_an_advertisement_to_everybody_is_an_answer() -> None:
    assert frames.answer(advertisement(to="ff02::1", flags=0x20)) == Answer(SIX, THEM)


def test_an_advertisement_without_a_mac_comes_from_its_sender() -> None:
    assert frames.answer(advertisement(options=b"")) == Answer(SIX, THEM)


def test_other_options_are_passed_over() -> None:
    options = bytes.fromhex("0e02 0000000000000000000000000000 0201 020000000003")
    assert frames.answer(advertisement(options=options)) == Answer(SIX, "02:00:00:00:00:03")


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(frames.arp_request(FOUR, US), id="a question"),
        pytest.param(frames.neighbour_solicitation(SIX, US), id="a solicitation"),
        pytest.param(ARP_REPLY[:12] + b"\x81\0\0\x05" + ARP_REPLY[12:], id="tagged"),
        pytest.param(ARP_REPLY[:22] + b"\1" + ARP_REPLY[23:], id="a group's MAC"),
        pytest.param(ARP_REPLY[:22] + bytes(6) + ARP_REPLY[28:], id="no MAC"),
        pytest.param(ARP_REPLY[:28] + bytes(4) + ARP_REPLY[32:], id="no address"),
        pytest.param(ARP_REPLY[:28] + b"\xe0\0\0\1" + ARP_REPLY[32:], id="a group"),
        pytest.param(advertisement(hops=254), id="came through a router"),
        pytest.param(advertisement(kind=135), id="no advertisement"),
        pytest.param(advertisement(to="ff02::1"), id="solicited by everybody"),
        pytest.param(advertisement(target=IPv6Address("ff02::1")), id="an IPv6 group"),
        pytest.param(advertisement(options=bytes.fromhex("0200020000000002")), id="endless option"),
        pytest.param(advertisement(options=bytes.fromhex("0202020000000002")), id="cut option"),
        pytest.param(advertisement(options=b"\2"), id="half an option"),
    ],
)
def test_this_is_no_answer(frame: bytes) -> None:
    assert frames.answer(frame) is None


@given(st.integers(0, len(ARP_REPLY) - 1))
def test_a_cut_arp_reply_is_no_answer(length: int) -> None:
    assert frames.answer(ARP_REPLY[:length]) is None


@given(st.integers(0, len(advertisement()) - 1))
def test_a_cut_advertisement_is_no_answer(length: int) -> None:
    assert frames.answer(advertisement()[:length]) is None


@given(st.integers(0, len(advertisement()) - 1), st.integers(0, 255))
def test_a_changed_advertisement_says_the_same_or_nothing(place: int, value: int) -> None:
    frame = bytearray(advertisement())
    frame[place] = value
    assert frames.answer(bytes(frame)) in {None, Answer(SIX, THEM)}


@given(
    st.sampled_from([b"", ARP_REPLY[:14], ARP_REPLY[:22], advertisement()[:21]]),
    st.binary(max_size=120),
)
def test_no_bytes_make_the_parser_fail(start: bytes, rest: bytes) -> None:
    found = frames.answer(start + rest)
    assert found is None or Mac.from_bytes(Mac(found.mac).packed) == found.mac


@given(st.binary(max_size=60))
def test_a_solicited_option_list_never_makes_the_parser_fail(options: bytes) -> None:
    found = frames.answer(advertisement(options=options))
    assert found is None or found.address == SIX


def test_a_ping_to_ipv4_carries_its_checksum() -> None:
    message = frames.echo_request(FOUR, 7, 3, b"odd")
    assert (message[:2], message[4:], frames.checksum(message)) == (
        b"\x08\0",
        b"\0\x07\0\x03odd",
        0,
    )


def test_a_reply_over_ipv4_is_read_behind_its_header() -> None:
    packet = b"\x46".ljust(24, b"\0") + bytes.fromhex("0000 0000 0007 0003") + b"data"
    assert frames.echo_reply(packet, 4, 7) == Echo(3, b"data")


def test_a_reply_over_ipv6_comes_without_a_header() -> None:
    packet = bytes.fromhex("8100 0000 0007 0003") + b"data"
    assert frames.echo_reply(packet, 6, 7) == Echo(3, b"data")


def test_a_reply_to_somebody_else_is_none() -> None:
    assert frames.echo_reply(bytes.fromhex("8100 0000 0008 0003"), 6, 7) is None


@given(st.binary(max_size=80), st.sampled_from([4, 6]))
def test_no_bytes_make_the_reader_of_replies_fail(packet: bytes, version: int) -> None:
    found = frames.echo_reply(packet, version, 0)
    assert found is None or packet.endswith(found.data)


def test_a_ping_to_ipv6_leaves_its_checksum_to_the_kernel() -> None:
    message = frames.echo_request(SIX, 0xFFFE, 0x8003, b"data")
    assert message == bytes.fromhex("8000 0000 fffe 8003") + b"data"


def test_a_ping_to_ipv4_has_all_bits_of_its_numbers() -> None:
    assert frames.echo_request(FOUR, 0xFFFE, 0x8003, b"")[4:] == bytes.fromhex("fffe 8003")


def test_an_empty_reply_carries_no_data() -> None:
    assert frames.echo_reply(bytes.fromhex("8100 0000 0007 0003"), 6, 7) == Echo(3, b"")


@pytest.mark.parametrize(
    ("frame", "mac"),
    [
        (frames.arp_request(FOUR, US), US),
        (frames.neighbour_solicitation(SIX, US), US),
        (b"\x02" + frames.arp_request(FOUR, US)[1:], ""),  # to one machine only
        (b"\x02\x01" + frames.arp_request(FOUR, US)[2:], ""),
        (b"\x03" + ARP_REPLY[1:], ""),
        (b"\x33\x33" + advertisement()[2:], ""),
        (b"\xff" * 12 + b"\x08\0", ""),
        (b"", ""),
    ],
)
def test_whoever_asks_a_group_is_an_asker(frame: bytes, mac: str) -> None:
    assert frames.asker(frame) == mac


def test_the_source_of_a_frame_stands_in_a_whole_header() -> None:
    assert frames.source_mac(ARP_REPLY[:14]) == THEM
    assert frames.source_mac(ARP_REPLY[:13]) == ""


def ipv6(protocol: int, payload: bytes, length: int | None = None) -> bytes:
    size = len(payload) if length is None else length
    header = struct.pack("!IHBB", 6 << 28, size, protocol, 64)
    return bytes(12) + b"\x86\xdd" + header + SIX.packed + IPv6Address("fd00::9").packed + payload


def test_a_packet_is_parsed_into_its_ends_protocol_and_payload() -> None:
    six = frames.Ip(SIX, IPv6Address("fd00::9"), 17, b"payload")
    assert frames.parse(ipv6(17, b"payload")) == six
    assert frames.parse(ipv6(17, b"payload and padding", 7)) == six
    assert frames.parse(ipv6(17, b"")) == six._replace(payload=b"")
    assert frames.parse(ipv6(58, b"\x80 echo")) == six._replace(protocol=58, payload=b"\x80 echo")
    four = bytes.fromhex("46000020 00000000 40060000 0a000002 0a000009 01010101") + b"payload"
    assert frames.parse(bytes(12) + b"\x08\0" + four) == frames.Ip(
        FOUR, IPv4Address("10.0.0.9"), 6, b"payload"
    )


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        bytes(12) + b"\x08\0" + b"\x45" + bytes(18),
        bytes(12) + b"\x08\0" + b"\x65" + bytes(30),
        ipv6(17, b"")[:-1],
        bytes(12) + b"\x86\xdd" + b"\x45" + bytes(60),
        bytes(12) + b"\x88\xb5" + bytes(60),
        ARP_REPLY[:41],
        ARP_REPLY[:14] + b"\0\2" + ARP_REPLY[16:],
    ],
)
def test_what_is_cut_short_or_of_another_protocol_is_not_parsed(frame: bytes) -> None:
    assert frames.parse(frame) is None


def test_an_arp_packet_is_parsed_into_who_asks_for_what() -> None:
    asked = frames.parse(ARP_REPLY[:20] + b"\1\2" + ARP_REPLY[22:])
    assert asked == frames.Arp(0x0102, THEM, FOUR, IPv4Address(0))


def test_a_checksum_carries_twice() -> None:
    assert frames.checksum(b"\xff\xff" * 3) == 0
    assert frames.checksum(b"\xff\xff\0\1") == 0xFFFE
    assert frames.checksum(b"\1") == 0xFEFF
    assert frames.checksum(b"\xff\xff" * 0x10002) == 0


def test_a_filter_for_one_ethertype_loads_compares_and_returns() -> None:
    program = filters.ethertype_only(0x0806)
    assert list(struct.iter_unpack("HBBI", program)) == [
        (0x28, 0, 0, 12),
        (0x15, 0, 1, 0x0806),
        (0x06, 0, 0, 2048),
        (0x06, 0, 0, 0),
    ]
