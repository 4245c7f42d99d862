"""What a frame is in the exchange of two ends: a question about the one, its answer, a ping.

Frames come from hosts that nobody vouches for: what is cut short or tagged is not part of it.
"""

from enum import StrEnum

from provisioner.dataclass import dataclass
from provisioner.network import frames
from provisioner.network.frames import Arp, Ip, Nd
from provisioner.plan.ip import Address


class FrameKind(StrEnum):
    """What a frame is in one exchange of two ends."""

    WHO_HAS = "who-has"  # ARP request, neighbour solicitation
    IS_AT = "is-at"  # ARP reply, neighbour advertisement
    REQUEST = "request"  # a ping, or the first packet of what was asked
    REPLY = "reply"
    ASKS_BACK = "who-has back"  # the asked one's question about the asker, before it can answer
    IS_AT_BACK = "is-at back"


@dataclass(frozen=True, slots=True)
class Exchange:
    """Who asks (its MAC and its address, as far as known), and the address that is asked for."""

    source_mac: str
    address: Address
    source: Address | None = None

    def kind(self, frame: bytes) -> FrameKind | None:
        """Return what a frame is in this exchange; None when it is not part of it."""
        wanted, kind = self.address, None
        match frames.parse(frame):
            case Arp(operation=1) as arp if arp.target == wanted != arp.sender:
                kind = FrameKind.WHO_HAS
            case Arp(operation=1) as arp if arp.target == self.source and arp.sender == wanted:
                kind = FrameKind.ASKS_BACK
            case Arp(operation=2, sender=sender):
                kind = self._of_two(sender, FrameKind.IS_AT, FrameKind.IS_AT_BACK)
            case Nd(solicits=True, target=target):
                kind = self._of_two(target, FrameKind.WHO_HAS, FrameKind.ASKS_BACK)
            case Nd(target=target):
                kind = self._of_two(target, FrameKind.IS_AT, FrameKind.IS_AT_BACK)
            case Ip(destination=destination) if destination == wanted:
                kind = FrameKind.REQUEST
            case Ip(source=source) if source == wanted:
                kind = FrameKind.REPLY
            case _:
                pass
        return kind

    def _of_two(self, about: Address, there: FrameKind, back: FrameKind) -> FrameKind | None:
        """Return the kind of a frame about the asked one's address, or about the asker's."""
        if about == self.address:
            return there
        return back if about == self.source else None

    def router(self, frame: bytes) -> str:
        """Return the MAC that has forwarded a packet to the asked one, "" when it is the asker's.

        Where the asker's MAC is not known, this is not known.
        """
        if not self.source_mac or self.kind(frame) is not FrameKind.REQUEST:
            return ""
        mac = frames.source_mac(frame)
        return "" if mac == self.source_mac else mac
