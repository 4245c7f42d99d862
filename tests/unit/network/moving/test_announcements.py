"""What a LAN is told of a guest that has moved, byte for byte."""

from ipaddress import IPv4Address, IPv6Address

from provisioner.network import frames
from provisioner.network.moving.announcements import announcements

MAC = "02:25:9d:fc:cc:a5"
RAW = bytes.fromhex(MAC.replace(":", ""))


def test_switches_learn_the_mac_also_of_a_guest_whose_addresses_nobody_knows() -> None:
    (only,) = announcements(MAC, ())
    assert only[:14] == b"\xff" * 6 + RAW + b"\x80\x35"
    assert only[14:42] == bytes.fromhex("0001080006040003") + (RAW + bytes(4)) * 2
    assert len(only) == 60


def test_neighbours_learn_an_ipv4_address_by_arp_that_is_about_its_sender() -> None:
    _, told = announcements(MAC, [IPv4Address("10.9.0.77")])
    assert told[:14] == b"\xff" * 6 + RAW + b"\x08\x06"
    found = frames.parse(told)
    assert isinstance(found, frames.Arp)
    assert told[28:32] == told[38:42] == IPv4Address("10.9.0.77").packed
    assert found.mac == MAC


def test_neighbours_learn_an_ipv6_address_and_change_what_they_know() -> None:
    address = IPv6Address("fd77::5")
    _, told = announcements(MAC, [address])
    assert told[:14] == bytes.fromhex("333300000001") + RAW + b"\x86\xdd"
    packet = told[14:]
    assert packet[7] == 255
    assert packet[8:24] == address.packed
    assert packet[24:40] == IPv6Address("ff02::1").packed
    message = packet[40:72]
    assert message[0] == 136
    assert message[4:8] == bytes.fromhex("20000000")
    assert message[8:24] == address.packed
    assert message[24:] == b"\x02\x01" + RAW
    pseudo = packet[8:40] + bytes([0, 0, 0, 32, 0, 0, 0, 58])
    assert frames.checksum(pseudo + message) == 0
