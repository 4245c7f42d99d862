"""What servers on a wire say of themselves: router advertisements and DHCP offers, and how to ask.

Frames come from machines that nobody vouches for: what is cut short, tagged or forged says nothing.
"""

import struct
from ipaddress import IPv4Address, IPv6Address, IPv6Network
from typing import Final

from provisioner.dataclass import dataclass
from provisioner.network import frames
from provisioner.network.frames import Ip
from provisioner.plan.mac import Mac

_SOLICITATION, _ADVERTISEMENT, _ICMPV6, _UDP = 133, 134, 58, 17
_ON_LINK: Final = 255  # the hop limit: a router would have lowered it
_RA_SIZE: Final = 16  # of an advertisement without options (RFC 4861, 4.2)
_PREFIX, _PREFIX_UNITS, _AUTONOMOUS, _MOST_BITS = 3, 4, 0x40, 128  # RFC 4861, 4.6.2
_ROUTERS: Final = IPv6Address("ff02::2")
_BROADCAST: Final = b"\xff" * 6
_FROM_SERVER: Final = b"\0\x43\0\x44"  # UDP ports 67 to 68
_IPV4_SIZE: Final = 4
_BOOTP_SIZE, _MAGIC = 240, b"\x63\x82\x53\x63"
_REQUESTED, _MESSAGE_TYPE, _SERVER, _END = 50, 53, 54, 255  # RFC 2132
_DISCOVER, _OFFER, _REQUEST, _NAK, _REPLY = 1, 2, 3, 6, 2
_NOWHERE: Final = IPv4Address("192.0.2.1")  # of documentation (RFC 5737)
_MOST: Final = 16  # prefixes of one router that count


@dataclass(frozen=True, slots=True)
class Answered:
    """A MAC answered for an address; `outside` is whether that came in from the uplink's cable."""

    address: IPv4Address | IPv6Address
    mac: str
    outside: bool


@dataclass(frozen=True, slots=True)
class Router:
    """A router that advertises itself: whether as a default one, and prefixes for addresses."""

    mac: str
    address: IPv6Address
    is_default: bool
    prefixes: tuple[IPv6Network, ...]


@dataclass(frozen=True, slots=True)
class Offer:
    """A DHCP server that offers an address, or refuses one; then `address` is 0.0.0.0."""

    mac: str
    server: IPv4Address
    address: IPv4Address


@dataclass(frozen=True, slots=True)
class Overheard:
    """What was heard on one uplink.

    `strays` are frames that came in with the source MAC of one of the guests, which are all on this
    side: the MAC, and what the frame was.
    """

    answers: tuple[Answered, ...] = ()
    routers: tuple[Router, ...] = ()
    offers: tuple[Offer, ...] = ()
    strays: tuple[tuple[str, str], ...] = ()


def router_solicitation(mac: str) -> bytes:
    """Return the frame that asks all routers for an advertisement to everybody (RFC 4861, 4.1)."""
    sender = frames.NOBODY6
    message = struct.pack("!BBHI", _SOLICITATION, 0, 0, 0)
    pseudo = sender.packed + _ROUTERS.packed + struct.pack("!II", len(message), _ICMPV6)
    checked = message[:2] + struct.pack("!H", frames.checksum(pseudo + message)) + message[4:]
    header = struct.pack("!IHBB", 6 << 28, len(message), _ICMPV6, _ON_LINK)
    body = header + sender.packed + _ROUTERS.packed + checked
    return b"\x33\x33\0\0\0\2" + Mac(mac).packed + b"\x86\xdd" + body


def dhcp_questions(mac: str, client: str, transaction: int) -> tuple[bytes, bytes]:
    """Return what makes DHCP servers show themselves, sent by the MAC `mac` for a client.

    A REQUEST to keep an address of no network, which a server refuses at once (RFC 2131, 4.3.2);
    and a DISCOVER, which is answered by an offer that is forgotten in moments (3.1), by many
    servers only after they have asked for the address for seconds, deaf to all else. Answers are
    broadcast.
    """
    kept = bytes([_REQUESTED, 4]) + _NOWHERE.packed
    return (
        _to_servers(mac, client, transaction, bytes([_MESSAGE_TYPE, 1, _REQUEST]) + kept),
        _to_servers(mac, client, transaction, bytes([_MESSAGE_TYPE, 1, _DISCOVER])),
    )


def _to_servers(mac: str, client: str, transaction: int, options: bytes) -> bytes:
    bootp = struct.pack("!BBBBIHH", 1, 1, 6, 0, transaction, 0, 0x8000) + bytes(16)
    bootp += Mac(client).packed + bytes(10 + 64 + 128) + _MAGIC + options + bytes([_END])
    udp = struct.pack("!HHHH", 68, 67, 8 + len(bootp), 0) + bootp
    header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), 0, 0, 64, _UDP, 0)
    header += frames.NOBODY4.packed + b"\xff" * 4
    header = header[:10] + struct.pack("!H", frames.checksum(header)) + header[12:]
    return _BROADCAST + Mac(mac).packed + b"\x08\x00" + header + udp


def router(frame: bytes) -> Router | None:
    """Return the router that a frame advertises; None for any other frame (RFC 4861, 6.1.2)."""
    found = frames.parse(frame)
    if not isinstance(found, Ip) or not isinstance(found.source, IPv6Address):
        return None
    message, mac = found.payload, frames.source_mac(frame)
    if found.protocol != _ICMPV6 or len(message) < _RA_SIZE or message[0] != _ADVERTISEMENT:
        return None
    length = struct.pack("!II", len(message), _ICMPV6)
    pseudo = found.source.packed + found.destination.packed + length
    forged = frame[21] != _ON_LINK or message[1] or frames.checksum(pseudo + message)
    if forged or not found.source.is_link_local or not frames.is_one_machine(mac, found.source):
        return None
    is_default = bool(int.from_bytes(message[6:8]))
    return Router(mac, found.source, is_default, _prefixes(message[_RA_SIZE:]))


def offer(frame: bytes, transaction: int) -> Offer | None:
    """Return the DHCP server that answers in a transaction; None for any other frame."""
    found = frames.parse(frame)
    if not isinstance(found, Ip) or found.protocol != _UDP or found.payload[:4] != _FROM_SERVER:
        return None
    bootp, mac = found.payload[8:], frames.source_mac(frame)
    if len(bootp) < _BOOTP_SIZE or bootp[0] != _REPLY or bootp[236:240] != _MAGIC:
        return None
    options = _options(bootp[_BOOTP_SIZE:])
    server = options.get(_SERVER, b"")
    ours = int.from_bytes(bootp[4:8]) == transaction
    kind = options.get(_MESSAGE_TYPE)
    if not ours or kind not in {bytes([_OFFER]), bytes([_NAK])} or len(server) != _IPV4_SIZE:
        return None
    return Offer(mac, IPv4Address(server), IPv4Address(bootp[16:20]))


def _prefixes(options: bytes) -> tuple[IPv6Network, ...]:
    """Return the prefixes that hosts are to make addresses of."""
    found = []
    while len(options) > 1 and 0 < options[1] * 8 <= len(options):
        kind, units = options[0], options[1]
        if kind == _PREFIX and units == _PREFIX_UNITS and options[2] <= _MOST_BITS:
            valid = int.from_bytes(options[4:8])
            if options[3] & _AUTONOMOUS and valid:
                found.append(IPv6Network((options[16:32], options[2]), strict=False))
        options = options[units * 8 :]
    return tuple(dict.fromkeys(found))[:_MOST]


def _options(data: bytes) -> dict[int, bytes]:
    """Return DHCP's options, the first of each kind (RFC 2132, 2)."""
    found: dict[int, bytes] = {}
    while len(data) > 1 and data[0] != _END:
        if data[0] == 0:
            data = data[1:]
            continue
        found.setdefault(data[0], data[2 : 2 + data[1]])
        data = data[2 + data[1] :]
    return found
