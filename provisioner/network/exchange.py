"""What a frame is in the exchange of two ends: a question about the one, its answer, a ping.

Frames come from hosts that nobody vouches for: what is cut short or tagged is not part of it.
"""

from dataclasses import dataclass
from enum import StrEnum

from provisioner.network import frames
from provisioner.network.frames import Arp, Ip, Nd
from provisioner.plan.ip import Address


class FrameKind(StrEnum):
    """What a frame is in one exchange of two ends."""

    WHO_HAS = "who-has"  # ARP request, neighbour solicitation
    IS_AT = "is-at"  # ARP reply, neighbour advertisement
    REQUEST = "request"  # a ping, or the first packet of what was asked
    REPLY = "reply"


@dataclass(frozen=True, slots=True)
class Exchange:
    """Who asks (its MAC), and the address that is asked for."""

    source_mac: str
    address: Address

    def kind(self, frame: bytes) -> FrameKind | None:
        """Return what a frame is in this exchange; None when it is not part of it."""
        wanted = self.address
        match frames.parse(frame):
            case Arp(operation=1) as arp if arp.target == wanted != arp.sender:
                return FrameKind.WHO_HAS
            case Arp() as arp:
                return FrameKind.IS_AT if arp.operation != 1 and arp.sender == wanted else None
            case Nd() as nd:
                kind = FrameKind.WHO_HAS if nd.solicits else FrameKind.IS_AT
                return kind if nd.target == wanted else None
            case Ip(destination=destination) if destination == wanted:
                return FrameKind.REQUEST
            case Ip(source=source) if source == wanted:
                return FrameKind.REPLY
            case _:
                return None

    def router(self, frame: bytes) -> str:
        """Return the MAC that has forwarded a packet to the asked one, "" when it is the asker's.

        Where the asker's MAC is not known, this is not known.
        """
        if not self.source_mac or self.kind(frame) is not FrameKind.REQUEST:
            return ""
        mac = frames.source_mac(frame)
        return "" if mac == self.source_mac else mac
