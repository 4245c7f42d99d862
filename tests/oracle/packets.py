"""Frames as the oracle's ends send and read them. Nothing of it is vmnet's: it judges vmnet."""

import struct
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address, ip_address

Address = IPv4Address | IPv6Address

EVERYBODY = b"\xff" * 6
_ARP, _FOUR, _SIX = b"\x08\x06", b"\x08\x00", b"\x86\xdd"
_ETHERNET = 14
_OVERRIDE_SOLICITED = 0x60000000


class Kind(StrEnum):
    """What a frame is."""

    WHO_HAS = "who has"
    IS_AT = "is at"
    ECHO = "echo request"
    REPLY = "echo reply"


_ICMP4 = {8: Kind.ECHO, 0: Kind.REPLY}
_ICMP6 = {128: Kind.ECHO, 129: Kind.REPLY, 135: Kind.WHO_HAS, 136: Kind.IS_AT}
_TYPE4, _TYPE6 = ({kind: number for number, kind in x.items()} for x in (_ICMP4, _ICMP6))


@dataclass(frozen=True, slots=True)
class Packet:
    """One frame. `target` is the address that is asked for or sent to."""

    kind: Kind
    source: Address
    target: Address
    source_mac: bytes
    target_mac: bytes = EVERYBODY
    told: bytes = b""  # the MAC in the body of a question or an answer
    payload: bytes = b""  # of an echo, with its identifier and sequence number


def parsed(frame: bytes) -> Packet | None:
    """Read a frame; None when it is none of these kinds."""
    try:
        return _parsed(frame)
    except (ValueError, IndexError, struct.error, KeyError):
        return None


def _parsed(frame: bytes) -> Packet | None:
    macs = frame[6:12], frame[:6]
    ethertype, body = frame[12:14], frame[_ETHERNET:]
    if ethertype == _ARP:
        kind = {1: Kind.WHO_HAS, 2: Kind.IS_AT}[body[7]]
        source, target = ip_address(body[14:18]), ip_address(body[24:28])
        return Packet(kind, source, target, *macs, told=body[8:14])
    if ethertype == _FOUR and body[9] == 1:
        icmp = body[20 : int.from_bytes(body[2:4])]
        ends = ip_address(body[12:16]), ip_address(body[16:20])
        return Packet(_ICMP4[icmp[0]], *ends, *macs, payload=icmp[4:])
    if ethertype == _SIX and body[6] == 58:
        icmp = body[40 : 40 + int.from_bytes(body[4:6])]
        source, target = ip_address(body[8:24]), ip_address(body[24:40])
        kind = _ICMP6[icmp[0]]
        if kind in {Kind.ECHO, Kind.REPLY}:
            return Packet(kind, source, target, *macs, payload=icmp[4:])
        about, told = ip_address(icmp[8:24]), icmp[26:32]
        ends = (source, about) if kind is Kind.WHO_HAS else (about, target)
        return Packet(kind, *ends, *macs, told=told)
    return None


def built(packet: Packet) -> bytes:
    """Write a frame."""
    p = packet
    if isinstance(p.source, IPv4Address):
        if p.kind in {Kind.WHO_HAS, Kind.IS_AT}:
            number = 1 if p.kind is Kind.WHO_HAS else 2
            body = struct.pack("!HHBBH", 1, 0x0800, 6, 4, number)
            other = bytes(6) if p.kind is Kind.WHO_HAS else p.target_mac
            body += p.told + p.source.packed + other + p.target.packed
            return _sealed(p, _ARP, body)
        icmp = bytes([_TYPE4[p.kind], 0, 0, 0]) + p.payload
        icmp = icmp[:2] + checksum(icmp) + icmp[4:]
        header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(icmp), 0, 0, 64, 1, 0)
        header += p.source.packed + p.target.packed
        return _sealed(p, _FOUR, header[:10] + checksum(header) + header[12:] + icmp)
    return _built6(p)


def _built6(p: Packet) -> bytes:
    source, target, mac = p.source.packed, p.target.packed, p.target_mac
    if p.kind is Kind.WHO_HAS:
        body = bytes(4) + target + b"\1\1" + p.told
        if mac == EVERYBODY:
            target = IPv6Address("ff02::1:ff00:0").packed[:13] + target[13:]
            mac = b"\x33\x33" + target[12:]
    elif p.kind is Kind.IS_AT:
        body = struct.pack("!I", _OVERRIDE_SOLICITED) + source + b"\2\1" + p.told
    else:
        body = p.payload
    icmp = bytes([_TYPE6[p.kind], 0, 0, 0]) + body
    pseudo = source + target + struct.pack("!II", len(icmp), 58)
    icmp = icmp[:2] + checksum(pseudo + icmp) + icmp[4:]
    header = struct.pack("!IHBB", 6 << 28, len(icmp), 58, 255) + source + target
    return mac + p.source_mac + _SIX + header + icmp


def _sealed(packet: Packet, ethertype: bytes, body: bytes) -> bytes:
    return (packet.target_mac + packet.source_mac + ethertype + body).ljust(60, b"\0")


def checksum(data: bytes) -> bytes:
    """Return the checksum of the Internet (RFC 1071) of some bytes."""
    words = struct.unpack(f"!{(len(data) + 1) // 2}H", data + b"\0" * (len(data) % 2))
    total = sum(words)
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return struct.pack("!H", ~total & 0xFFFF)
