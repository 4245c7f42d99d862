"""What a frame is in the exchange of two ends: a question about the one, its answer, a ping.

Frames come from machines that nobody vouches for: what is cut short or tagged is no part of it.
"""

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

from provisioner.network import frames
from provisioner.plan.ip import Address

_ICMPV6: Final = 58
_SOLICITATION, _ADVERTISEMENT = 135, 136


class Kind(StrEnum):
    """What a frame is in one exchange of two ends."""

    WHO_HAS = "who-has"  # ARP request, neighbour solicitation
    IS_AT = "is-at"  # ARP reply, neighbour advertisement
    REQUEST = "request"  # a ping, or the first packet of what was asked
    REPLY = "reply"


@dataclass(frozen=True, slots=True)
class Exchange:
    """Who asks (its MAC), and the address that is asked for."""

    source_mac: str
    address: str

    def kind(self, frame: bytes) -> Kind | None:
        """Say what a frame is in this exchange; None when it is no part of it."""
        wanted = ip_address(self.address)
        match frame[12:14]:
            case b"\x08\x06" if isinstance(wanted, IPv4Address):
                return _arp(frame[14:], wanted)
            case b"\x08\x00" if isinstance(wanted, IPv4Address) and len(frame) >= 34:  # noqa: PLR2004
                return _packet(IPv4Address(frame[26:30]), IPv4Address(frame[30:34]), wanted)
            case b"\x86\xdd" if isinstance(wanted, IPv6Address) and len(frame) >= 54:  # noqa: PLR2004
                return _six(frame, wanted)
            case _:
                return None

    def router(self, frame: bytes) -> str:
        """Give the MAC that has handed on a packet for the asked one, "" when it is the asker's.

        Where nobody knows the asker's, nobody can tell.
        """
        if not self.source_mac or self.kind(frame) is not Kind.REQUEST:
            return ""
        mac = frames.mac_text(frame[6:12])
        return "" if mac == self.source_mac else mac


def _arp(body: bytes, wanted: IPv4Address) -> Kind | None:
    if len(body) < 28:  # noqa: PLR2004
        return None
    asks, sender, target = body[6:8] == b"\0\1", body[14:18], body[24:28]
    if asks and target == wanted.packed and sender != wanted.packed:
        return Kind.WHO_HAS
    return Kind.IS_AT if not asks and sender == wanted.packed else None


def _six(frame: bytes, wanted: IPv6Address) -> Kind | None:
    message = frame[54:]
    if frame[20] == _ICMPV6 and message[:1] in {bytes([_SOLICITATION]), bytes([_ADVERTISEMENT])}:
        if message[8:24] != wanted.packed:
            return None
        return Kind.WHO_HAS if message[0] == _SOLICITATION else Kind.IS_AT
    return _packet(IPv6Address(frame[22:38]), IPv6Address(frame[38:54]), wanted)


def _packet(source: Address, destination: Address, wanted: Address) -> Kind | None:
    if destination == wanted:
        return Kind.REQUEST
    return Kind.REPLY if source == wanted else None
