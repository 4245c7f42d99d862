"""Bytes to frames and back: who holds an address, and is anybody there.

What is sent follows RFC 826, 5227 and 4861; what is heard comes from machines that nobody
vouches for, so everything that is not exactly an answer is no answer.
"""

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from provisioner.plan.ip import Address

NOBODY4: Final = IPv4Address(0)
NOBODY6: Final = IPv6Address(0)

_BROADCAST: Final = b"\xff" * 6
_ARP: Final = 0x0806
_IPV6: Final = 0x86DD
_ETHERNET_IPV4: Final = struct.pack("!HHBB", 1, 0x0800, 6, 4)  # what an ARP body speaks about
_REPLY: Final = 2
_ICMPV6: Final = 58
_SOLICITATION, _ADVERTISEMENT = 135, 136
_SOURCE_MAC, _TARGET_MAC = 1, 2  # options of RFC 4861, 4.6.1
_SOLICITED: Final = 0x40
_ON_LINK: Final = 255  # hop limit: a router would have lowered it, so the frame is from this link
_SMALLEST: Final = 60  # Ethernet's minimum without the checksum
_ECHO4, _ECHO4_REPLY, _ECHO6, _ECHO6_REPLY = 8, 0, 128, 129
_IPV4: Final = 4


@dataclass(frozen=True, slots=True)
class Answer:
    """Somebody says: this address is at this MAC (lower case, with colons)."""

    address: Address
    mac: str


@dataclass(frozen=True, slots=True)
class Echo:
    """The answer to one ping: the number and the data that the request carried."""

    sequence: int
    data: bytes


def mac_bytes(mac: str) -> bytes:
    """Turn `02:00:00:00:00:01` into six bytes; raise ValueError for anything else."""
    raw = bytes.fromhex(mac.replace(":", ""))
    if len(raw) != len(_BROADCAST) or mac_text(raw) != mac.lower():
        message = f"not a MAC address: {mac!r}"
        raise ValueError(message)
    return raw


def mac_text(raw: bytes) -> str:
    """Turn six bytes into lower case with colons."""
    return raw.hex(":")


def link_local(mac: str) -> IPv6Address:
    """Derive the link-local address that belongs to a MAC (modified EUI-64, RFC 4291, A)."""
    raw = mac_bytes(mac)
    identity = bytes([raw[0] ^ 2]) + raw[1:3] + b"\xff\xfe" + raw[3:]
    return IPv6Address(b"\xfe\x80".ljust(8, b"\0") + identity)


def arp_request(target: IPv4Address, source_mac: str, sender: IPv4Address = NOBODY4) -> bytes:
    """Ask everybody who holds an IPv4 address.

    With the sender 0.0.0.0 this is the probe of RFC 5227, which no receiver may store. A receiver
    that is at this moment probing for the same address itself takes it for a rival
    (RFC 5227, 2.1.1); name a sender where that matters.
    """
    source = mac_bytes(source_mac)
    body = _ETHERNET_IPV4 + struct.pack("!H", 1) + source + sender.packed + bytes(6) + target.packed
    return _ethernet(_BROADCAST, source, _ARP, body)


def neighbour_solicitation(
    target: IPv6Address, source_mac: str, sender: IPv6Address = NOBODY6
) -> bytes:
    """Ask who holds an IPv6 address.

    With the sender `::` a receiver whose address is still tentative takes the frame for a rival
    and gives the address up (RFC 4862, 5.4.3; Linux does, for good): never send that form to a
    guest that may be booting. With a real sender such a receiver keeps silent and survives.
    """
    source = mac_bytes(source_mac)
    group = IPv6Address(b"\xff\x02".ljust(11, b"\0") + b"\x01\xff" + target.packed[-3:])
    message = struct.pack("!BBHI", _SOLICITATION, 0, 0, 0) + target.packed
    if sender != NOBODY6:  # RFC 4861, 4.3: `::` must not name a link-layer address
        message += bytes([_SOURCE_MAC, 1]) + source
    checked = _with_checksum(message, _pseudo_header(sender.packed, group.packed, len(message)))
    header = struct.pack("!IHBB", 6 << 28, len(message), _ICMPV6, _ON_LINK)
    body = header + sender.packed + group.packed + checked
    return _ethernet(b"\x33\x33" + group.packed[-4:], source, _IPV6, body)


def answer(frame: bytes) -> Answer | None:
    """Read an ARP reply or a neighbour advertisement; None for every other frame.

    The MAC is the one that the answer claims, because that is what neighbours will use. Tagged,
    cut, forged (checksum, hop limit) and absurd frames (group MACs, unspecified addresses) are
    None.
    """
    kind, found = int.from_bytes(frame[12:14]), None
    if kind == _ARP:
        found = _arp_reply(frame[14:])
    elif kind == _IPV6:
        found = _advertisement(frame[14:], frame[6:12])
    return found if found is not None and _is_one_machine(found) else None


def echo_request(target: Address, identity: int, sequence: int, data: bytes) -> bytes:
    """Build a ping. The kernel fills in ICMPv6's checksum, which needs the source address."""
    if isinstance(target, IPv6Address):
        return struct.pack("!BBHHH", _ECHO6, 0, 0, identity, sequence) + data
    return _with_checksum(struct.pack("!BBHHH", _ECHO4, 0, 0, identity, sequence) + data)


def echo_reply(packet: bytes, version: int, identity: int) -> Echo | None:
    """Read what a raw ICMP socket of IP version 4 or 6 hands out; only version 4 has its header.

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


def _arp_reply(body: bytes) -> Answer | None:
    if len(body) < 28 or body[:8] != _ETHERNET_IPV4 + struct.pack("!H", _REPLY):  # noqa: PLR2004
        return None
    return Answer(IPv4Address(body[14:18]), mac_text(body[8:14]))


def _advertisement(packet: bytes, frame_source: bytes) -> Answer | None:
    if len(packet) < 64:  # noqa: PLR2004  (IPv6 header, ICMPv6 header, target)
        return None
    first, length, inner, hops = struct.unpack_from("!IHBB", packet)
    message = packet[40 : 40 + length]
    if (first >> 28, inner, hops) != (6, _ICMPV6, _ON_LINK) or not 24 <= length == len(message):  # noqa: PLR2004
        return None
    source, destination = packet[8:24], packet[24:40]
    if message[:2] != bytes([_ADVERTISEMENT, 0]) or (
        destination[0] == 0xFF and message[4] & _SOLICITED  # noqa: PLR2004  (RFC 4861, 7.1.2)
    ):
        return None
    if checksum(_pseudo_header(source, destination, length) + message):
        return None
    mac = _target_mac(message[24:], frame_source)
    return Answer(IPv6Address(message[8:24]), mac_text(mac)) if mac else None


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


def _is_one_machine(found: Answer) -> bool:
    mac = mac_bytes(found.mac)
    whole = not found.address.is_unspecified and not found.address.is_multicast
    return whole and any(mac) and not mac[0] & 1


def asker(frame: bytes) -> str:
    """Give the MAC that an ARP request or a neighbour solicitation to a group comes from, or ""."""
    if not frame or not frame[0] & 1:
        return ""
    kind = int.from_bytes(frame[12:14])
    is_arp = kind == _ARP and frame[20:22] == b"\0\1"
    is_solicitation = kind == _IPV6 and frame[20:21] == bytes([_ICMPV6]) and frame[54:55] == b"\x87"
    return mac_text(frame[6:12]) if is_arp or is_solicitation else ""


_LOAD_WORD, _LOAD_HALF, _LOAD_BYTE, _MASK, _EQUAL, _GIVE = 0x20, 0x28, 0x30, 0x54, 0x15, 0x06
_VLAN_TAG: Final = 0xFFFFF000 + 44  # SKF_AD_OFF + SKF_AD_VLAN_TAG


def _assembled(*program: tuple[int, int, int, int]) -> bytes:
    """Put a program together; jumps are counted in instructions."""
    return b"".join(struct.pack("HBBI", *instruction) for instruction in program)


ANSWERS_ONLY: Final = _assembled(
    (_LOAD_WORD, 0, 0, _VLAN_TAG),
    (_MASK, 0, 0, 0x0FFF),
    (_EQUAL, 0, 9, 0),
    (_LOAD_HALF, 0, 0, 12),
    (_EQUAL, 0, 2, _ARP),
    (_LOAD_HALF, 0, 0, 20),
    (_EQUAL, 6, 5, _REPLY),
    (_EQUAL, 0, 4, _IPV6),
    (_LOAD_BYTE, 0, 0, 20),
    (_EQUAL, 0, 2, _ICMPV6),
    (_LOAD_BYTE, 0, 0, 54),
    (_EQUAL, 1, 0, _ADVERTISEMENT),
    (_GIVE, 0, 0, 0),
    (_GIVE, 0, 0, 2048),
)
"""A classic BPF program (struct sock_filter[], linux/filter.h): wake only for answers.

The kernel takes a VLAN tag out of the frame before a packet socket sees it, so a frame of another
VLAN looks untagged: the filter asks for the tag itself. Priority tags (VLAN 0) pass.
"""

CONVERSATION: Final = _assembled(
    (_LOAD_WORD, 0, 0, _VLAN_TAG),
    (_MASK, 0, 0, 0x0FFF),
    (_EQUAL, 0, 8, 0),
    (_LOAD_HALF, 0, 0, 12),
    (_EQUAL, 7, 0, _ARP),
    (_EQUAL, 0, 5, _IPV6),
    (_LOAD_BYTE, 0, 0, 20),
    (_EQUAL, 0, 3, _ICMPV6),
    (_LOAD_BYTE, 0, 0, 54),
    (_EQUAL, 2, 0, _SOLICITATION),
    (_EQUAL, 1, 0, _ADVERTISEMENT),
    (_GIVE, 0, 0, 0),
    (_GIVE, 0, 0, 2048),
)
"""The same with the questions: all of ARP, neighbour solicitations and advertisements."""
