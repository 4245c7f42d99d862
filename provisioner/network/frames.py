"""Bytes to frames and back: who holds an address, and is anybody there.

What is sent follows RFC 826, 5227 and 4861; what is received comes from machines that
nobody vouches for, so everything that is not exactly an answer is not an answer.
"""

import struct
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from typing import Final, NamedTuple

from provisioner.dataclass import dataclass
from provisioner.plan.ip import Address
from provisioner.plan.mac import Mac

NOBODY4: Final = IPv4Address(0)
NOBODY6: Final = IPv6Address(0)
_BROADCAST4: Final = IPv4Address("255.255.255.255")

_BROADCAST: Final = b"\xff" * 6
_ARP: Final = 0x0806
_IPV6: Final = 0x86DD
_ETHERNET_IPV4: Final = struct.pack("!HHBB", 1, 0x0800, 6, 4)  # what an ARP body is about
_REPLY: Final = 2
_RARP, _REVERSE_REQUEST = 0x8035, 3
_ICMPV6: Final = 58
_ND_SIZE: Final = 24  # of a solicitation or advertisement without options (RFC 4861, 4.3)
_SOLICITATION, _ADVERTISEMENT = 135, 136
_SOURCE_MAC, _TARGET_MAC = 1, 2  # options of RFC 4861, 4.6.1
_SOLICITED, _OVERRIDE = 0x40, 0x20
_ON_LINK: Final = 255  # hop limit: a router would have lowered it, so the frame is from this link
_SMALLEST: Final = 60  # Ethernet's minimum without the checksum
_ECHO4, _ECHO4_REPLY, _ECHO6, _ECHO6_REPLY = 8, 0, 128, 129
_IPV4: Final = 4


@dataclass(frozen=True, slots=True)
class Answer:
    """The claim that this address is at this MAC (lower case, with colons)."""

    address: Address
    mac: str


@dataclass(frozen=True, slots=True)
class Echo:
    """The answer to one ping: the number and the data that the request carried."""

    sequence: int
    data: bytes


def link_local(mac: str) -> IPv6Address:
    """Derive the link-local address that belongs to a MAC (modified EUI-64, RFC 4291, A)."""
    raw = Mac(mac).packed
    identity = bytes([raw[0] ^ 2]) + raw[1:3] + b"\xff\xfe" + raw[3:]
    return IPv6Address(b"\xfe\x80".ljust(8, b"\0") + identity)


def arp_request(target: IPv4Address, source_mac: str, sender: IPv4Address = NOBODY4) -> bytes:
    """Return the frame that asks everybody who holds an IPv4 address.

    With the sender 0.0.0.0 this is the probe of RFC 5227, which no receiver may store. A receiver
    that is at this moment probing for the same address itself takes it for a rival
    (RFC 5227, 2.1.1); name a sender where that matters.
    """
    source = Mac(source_mac).packed
    body = _ETHERNET_IPV4 + struct.pack("!H", 1) + source + sender.packed + bytes(6) + target.packed
    return _ethernet(_BROADCAST, source, _ARP, body)


def neighbour_solicitation(
    target: IPv6Address, source_mac: str, sender: IPv6Address = NOBODY6
) -> bytes:
    """Return the frame that asks who holds an IPv6 address.

    With the sender `::` a receiver whose address is still tentative takes the frame for a rival
    and gives the address up (RFC 4862, 5.4.3; Linux does, for good): never send that form to a
    guest that may be booting. With a real sender such a receiver keeps silent and survives.
    """
    source = Mac(source_mac).packed
    group = IPv6Address(b"\xff\x02".ljust(11, b"\0") + b"\x01\xff" + target.packed[-3:])
    message = struct.pack("!BBHI", _SOLICITATION, 0, 0, 0) + target.packed
    if sender != NOBODY6:  # RFC 4861, 4.3: `::` must not name a link-layer address
        message += bytes([_SOURCE_MAC, 1]) + source
    checked = _with_checksum(message, _pseudo_header(sender.packed, group.packed, len(message)))
    header = struct.pack("!IHBB", 6 << 28, len(message), _ICMPV6, _ON_LINK)
    body = header + sender.packed + group.packed + checked
    return _ethernet(b"\x33\x33" + group.packed[-4:], source, _IPV6, body)


def neighbour_advertisement(address: IPv6Address, mac: str) -> bytes:
    """Return the frame that tells everybody at which MAC an IPv6 address is, unasked.

    With the override flag: neighbours change what they know (RFC 4861, 7.2.6).
    """
    source = Mac(mac).packed
    group = IPv6Address("ff02::1")
    message = struct.pack("!BBHI", _ADVERTISEMENT, 0, 0, _OVERRIDE << 24) + address.packed
    message += bytes([_TARGET_MAC, 1]) + source
    checked = _with_checksum(message, _pseudo_header(address.packed, group.packed, len(message)))
    header = struct.pack("!IHBB", 6 << 28, len(message), _ICMPV6, _ON_LINK)
    body = header + address.packed + group.packed + checked
    return _ethernet(b"\x33\x33" + group.packed[-4:], source, _IPV6, body)


def reverse_arp(mac: str) -> bytes:
    """Return the frame by which switches learn where a MAC is, as QEMU sends it (RFC 903)."""
    source = Mac(mac).packed
    body = _ETHERNET_IPV4 + struct.pack("!H", _REVERSE_REQUEST)
    body += (source + NOBODY4.packed) * 2
    return _ethernet(_BROADCAST, source, _RARP, body)


class Arp(NamedTuple):
    """An ARP packet about IPv4 over Ethernet; `mac` is the sender's hardware address."""

    operation: int  # 1 asks, 2 answers
    mac: str
    sender: IPv4Address
    target: IPv4Address


class Nd(NamedTuple):
    """A neighbour solicitation or advertisement; its checksum and options are not verified."""

    solicits: bool
    sender: IPv6Address
    destination: IPv6Address
    hops: int
    target: IPv6Address
    message: bytes


class Ip(NamedTuple):
    """Any other IPv4 or IPv6 packet; `protocol` is that of the payload, extensions included."""

    source: Address
    destination: Address
    protocol: int
    payload: bytes


def parse(frame: bytes) -> Arp | Nd | Ip | None:
    """Parse an Ethernet frame; None for what is tagged, cut short or of another protocol."""
    packet = frame[14:]
    match frame[12:14]:
        case b"\x08\x06" if len(packet) >= 28 and packet[:6] == _ETHERNET_IPV4:  # noqa: PLR2004
            sender, target = _ipv4(packet[14:18]), _ipv4(packet[24:28])
            operation = int.from_bytes(packet[6:8])
            return Arp(operation, packet[8:14].hex(":"), sender, target)
        case b"\x08\x00" if len(packet) >= 20 and packet[0] >> 4 == 4:  # noqa: PLR2004
            source, destination = _ipv4(packet[12:16]), _ipv4(packet[16:20])
            return Ip(source, destination, packet[9], _ipv4_payload(packet))
        case b"\x86\xdd" if len(packet) >= 40 and packet[0] >> 4 == 6:  # noqa: PLR2004
            return _ipv6(packet)
        case _:
            return None


@lru_cache(maxsize=4096)
def _ipv4(packed: bytes) -> IPv4Address:
    """Return the address of four bytes; a mesh has the same few in thousands of frames."""
    return IPv4Address(packed)


def source_mac(frame: bytes) -> str:
    """Return the MAC that a frame comes from, "" for one that is cut short."""
    return frame[6:12].hex(":") if len(frame) >= 14 else ""  # noqa: PLR2004


def answer(frame: bytes) -> Answer | None:
    """Return what an ARP reply or a neighbour advertisement claims; None for any other frame.

    The MAC is the claimed one, because that is what neighbours will use. Tagged, cut, forged
    (checksum, hop limit) and absurd frames (group MACs, unspecified addresses) are None.
    """
    found = None
    match parse(frame):
        case Arp(operation=2) as arp:
            found = Answer(arp.sender, arp.mac)
        case Nd(solicits=False) as nd if _is_valid_advertisement(nd):
            claimed = _target_mac(nd.message[_ND_SIZE:], frame[6:12])
            found = Answer(nd.target, claimed.hex(":")) if claimed else None
        case _:
            pass
    return found if found and is_one_machine(found.mac, found.address) else None


def asker(frame: bytes) -> str:
    """Return the MAC that an ARP request or solicitation to a group comes from, else ""."""
    if not frame or not frame[0] & 1:
        return ""
    match parse(frame):
        case Arp(operation=1) | Nd(solicits=True):
            return source_mac(frame)
        case _:
            return ""


def is_one_machine(mac: str, address: Address) -> bool:
    """Return whether a MAC and an address can be those of one machine: no group, not nobody."""
    nobody = address.is_unspecified or address.is_multicast or address.is_loopback
    raw = bytes.fromhex(mac.replace(":", ""))  # spelt by parse: Mac() costs a mesh a tenth more
    return any(raw) and not raw[0] & 1 and not nobody and address != _BROADCAST4


def echo_request(target: Address, identity: int, sequence: int, data: bytes) -> bytes:
    """Return a ping. The kernel fills in ICMPv6's checksum, which needs the source address."""
    if isinstance(target, IPv6Address):
        return struct.pack("!BBHHH", _ECHO6, 0, 0, identity, sequence) + data
    return _with_checksum(struct.pack("!BBHHH", _ECHO4, 0, 0, identity, sequence) + data)


def echo_reply(packet: bytes, version: int, identity: int) -> Echo | None:
    """Parse what a raw ICMP socket of IP version 4 or 6 returns; only version 4 has its header.

    Replies to another identity are None.
    """
    wanted, message = _ECHO6_REPLY, packet
    if version == _IPV4:
        wanted, message = _ECHO4_REPLY, _ipv4_payload(packet)
    if len(message) < 8:  # noqa: PLR2004  (an ICMP header)
        return None
    kind, code, _, named, sequence = struct.unpack_from("!BBHHH", message)
    return Echo(sequence, message[8:]) if (kind, code, named) == (wanted, 0, identity) else None


def checksum(data: bytes) -> int:
    """Sum 16-bit words as RFC 1071 does; 0 over data that carries its own right checksum."""
    padded = data + b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _ethernet(destination: bytes, source: bytes, kind: int, body: bytes) -> bytes:
    return (destination + source + struct.pack("!H", kind) + body).ljust(_SMALLEST, b"\0")


def _pseudo_header(source: bytes, destination: bytes, length: int) -> bytes:
    return source + destination + struct.pack("!II", length, _ICMPV6)


def _with_checksum(message: bytes, pseudo_header: bytes = b"") -> bytes:
    return message[:2] + struct.pack("!H", checksum(pseudo_header + message)) + message[4:]


def _ipv4_payload(packet: bytes) -> bytes:
    return packet[(packet[0] & 0x0F) * 4 :] if packet and packet[0] >> 4 == _IPV4 else b""


def _ipv6(packet: bytes) -> Nd | Ip | None:
    length, protocol, hops = struct.unpack_from("!HBB", packet, 4)
    sender, message = IPv6Address(packet[8:24]), packet[40 : 40 + length]
    destination = IPv6Address(packet[24:40])
    if protocol != _ICMPV6 or not message or message[0] not in {_SOLICITATION, _ADVERTISEMENT}:
        return Ip(sender, destination, protocol, message)
    if not _ND_SIZE <= length == len(message):
        return None
    target = IPv6Address(message[8:24])
    return Nd(message[0] == _SOLICITATION, sender, destination, hops, target, message)


def _is_valid_advertisement(found: Nd) -> bool:
    """Verify what RFC 4861, 7.1.2 asks for, and that no router has forwarded it."""
    _, code, _, flags = struct.unpack_from("!BBHB", found.message)
    pseudo = _pseudo_header(found.sender.packed, found.destination.packed, len(found.message))
    return (
        (found.hops, code) == (_ON_LINK, 0)
        and not (found.destination.is_multicast and flags & _SOLICITED)
        and not checksum(pseudo + found.message)
    )


def _target_mac(options: bytes, frame_source: bytes) -> bytes | None:
    """Find the MAC among the options; None when they are malformed (RFC 4861, 7.1.2).

    An answer sent to one asker may leave the option out; then the frame's own source counts.
    """
    mac = frame_source
    while options:
        length = options[1] * 8 if len(options) > 1 else 0
        if not 0 < length <= len(options):
            return None
        if options[0] == _TARGET_MAC:
            mac = options[2:8]
        options = options[length:]
    return mac


def ping_frame(
    source: Address, target: Address, source_mac: str, target_mac: str, identity: int
) -> bytes:
    """Return a whole ping as it arrives at a target by the wire; both addresses of one version."""
    head = Mac(target_mac).packed, Mac(source_mac).packed
    message = echo_request(target, identity, 1, b"vmnet control")
    if isinstance(source, IPv6Address):
        pseudo = _pseudo_header(source.packed, target.packed, len(message))
        message = _with_checksum(message[:2] + bytes(2) + message[4:], pseudo)
        header = struct.pack("!IHBB", 6 << 28, len(message), _ICMPV6, _ON_LINK)
        return _ethernet(*head, _IPV6, header + source.packed + target.packed + message)
    length = 20 + len(message)
    header = struct.pack("!BBHHHBBH", 0x45, 0, length, identity, 0, 64, 1, 0)
    header += source.packed + target.packed
    summed = header[:10] + struct.pack("!H", checksum(header)) + header[12:]
    return _ethernet(*head, 0x0800, summed + message)


def ping_all_nodes(source_mac: str, identity: int) -> bytes:
    """Return a ping to all IPv6 machines on a link, from the link-local address of a MAC."""
    target = IPv6Address("ff02::1")
    return ping_frame(link_local(source_mac), target, source_mac, "33:33:00:00:00:01", identity)
