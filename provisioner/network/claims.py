"""What a frame says of who has which address; frames come from machines that nobody vouches for.

ARP (RFC 826, 5227), neighbour discovery (RFC 4861, 4862), DHCP's last word (RFC 2131) and the
source of plain packets. What is cut short, tagged or absurd says nothing.
"""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from provisioner.network import frames
from provisioner.plan.ip import Address

_ICMPV6, _UDP = 58, 17
_SOLICITATION, _ADVERTISEMENT = 135, 136
_MAGIC: Final = b"\x63\x82\x53\x63"  # of DHCP's options
_ACK: Final = 5
_MESSAGE_TYPE: Final = 53


@dataclass(frozen=True, slots=True)
class Claim:
    """This MAC has, or claims, this address; `how` says in words how it was told."""

    mac: str
    address: Address
    how: str


def source(frame: bytes) -> str:
    """Give the MAC that a frame comes from, "" for a cut one."""
    return frames.mac_text(frame[6:12]) if len(frame) >= 14 else ""  # noqa: PLR2004


def claim(frame: bytes) -> Claim | None:
    """Read what a frame says of an address; None when it says nothing."""
    found = None
    match frame[12:14]:
        case b"\x08\x06":
            found = _arp(frame[14:])
        case b"\x08\x00":
            found = _four(frame[14:], source(frame))
        case b"\x86\xdd":
            found = _six(frame[14:], source(frame))
        case _:
            pass
    return found if found and _is_one_machines(found) else None


def _arp(body: bytes) -> Claim | None:
    if len(body) < 28 or body[:6] != b"\x00\x01\x08\x00\x06\x04":  # noqa: PLR2004
        return None
    return Claim(frames.mac_text(body[8:14]), IPv4Address(body[14:18]), "ARP")


def _four(packet: bytes, mac: str) -> Claim | None:
    if len(packet) < 20 or packet[0] >> 4 != 4:  # noqa: PLR2004
        return None
    payload = packet[(packet[0] & 15) * 4 :]
    if packet[9] == _UDP and payload[:4] == b"\0\x43\0\x44":  # from port 67 to 68
        return _lease(payload[8:])
    return Claim(mac, IPv4Address(packet[12:16]), "IPv4 packets")


def _lease(message: bytes) -> Claim | None:
    """Read a DHCP server's ACK: the address is the client's from now on."""
    if len(message) < 240 or message[0] != 2 or message[236:240] != _MAGIC:  # noqa: PLR2004
        return None
    options = message[240:]
    while len(options) > 2:  # noqa: PLR2004
        if options[0] == _MESSAGE_TYPE:
            if options[2] != _ACK:
                return None
            mac = frames.mac_text(message[28:34])
            return Claim(mac, IPv4Address(message[16:20]), "a DHCP lease")
        options = options[1:] if options[0] == 0 else options[2 + options[1] :]
    return None


def _six(packet: bytes, mac: str) -> Claim | None:
    if len(packet) < 40 or packet[0] >> 4 != 6:  # noqa: PLR2004
        return None
    message = packet[40:]
    if packet[6] == _ICMPV6 and len(message) >= 24 and message[0] == _ADVERTISEMENT:  # noqa: PLR2004
        return Claim(mac, IPv6Address(message[8:24]), "a neighbour advertisement")
    sender = IPv6Address(packet[8:24])
    if packet[6] == _ICMPV6 and message[:1] == bytes([_SOLICITATION]) and sender == frames.NOBODY6:
        return None  # it only asks whether the address is free
    return Claim(mac, sender, "IPv6 packets")


def _is_one_machines(found: Claim) -> bool:
    address = found.address
    nobody = address.is_unspecified or address.is_multicast or address.is_loopback
    mac = frames.mac_bytes(found.mac)
    return not nobody and any(mac) and not mac[0] & 1 and str(address) != "255.255.255.255"
