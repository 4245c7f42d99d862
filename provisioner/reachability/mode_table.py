"""What the kernel's modes promise: who reaches whom, and why; the one table of the product.

Two guests on one uplink, the host's own stack on that uplink, and a machine outside. The rules are
those of Linux' macvlan.c (macvlan_queue_xmit, macvlan_handle_frame); every cell was measured on
Linux 6.18, and `vmnet modes` measures it anew.

A switch that vmnet makes has the host at its far end: there the host is `OUTSIDE`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, StrEnum, auto


class Flow(StrEnum):
    """What passes in one direction: Unicast, Broadcast, Multicast."""

    NOTHING = "---"
    UNICAST = "U--"
    ALL = "UBM"


class EndKind(Enum):
    """What an end is."""

    GUEST = auto()
    HOST = auto()  # the host's own stack on the uplink
    OUTSIDE = auto()


@dataclass(frozen=True, slots=True)
class End:
    """A guest's NIC: its macvtap's mode, and for mode source whether its list names the other end.

    `lists` is None where nobody knows the MAC of the other end. With `promisc: false` passthru
    reaches the same.
    """

    mode: str = ""
    lists: bool | None = True
    kind: EndKind = EndKind.GUEST


HOST, OUTSIDE = End(kind=EndKind.HOST), End(kind=EndKind.OUTSIDE)


class Hop(Enum):
    """One place on the path of a frame, and whether it goes on there."""

    SENT = auto()
    HANDED_OVER = auto()  # from macvtap to macvtap, inside the kernel
    EXCLUSIVE = auto()  # no other macvtap can be beside passthru
    REFLECTED = auto()
    NOT_REFLECTED = auto()
    PERHAPS_REFLECTED = auto()  # nobody has measured the switch
    LISTED = auto()
    NOT_LISTED = auto()
    PERHAPS_LISTED = auto()
    WITHHELD = auto()  # broadcast and multicast only
    DELIVERED = auto()
    SHARED_MAC = auto()  # delivered, but no answer can find its way to the host
    OUTSIDE = auto()
    TO_HOST = auto()
    TO_HOST_UNICAST = auto()  # reflected broadcasts of these modes go back to their sender alone
    TAKEN_FROM_HOST = auto()

    @property
    def flow(self) -> Flow:
        """What passes here."""
        match self:
            case Hop.EXCLUSIVE | Hop.NOT_REFLECTED | Hop.NOT_LISTED | Hop.TAKEN_FROM_HOST:
                return Flow.NOTHING
            case Hop.WITHHELD | Hop.TO_HOST_UNICAST:
                return Flow.UNICAST
            case _:
                return Flow.ALL

    @property
    def passes(self) -> bool | None:
        """Whether a question asked of everybody goes on; None: it depends on what is unknown."""
        match self:
            case Hop.PERHAPS_REFLECTED | Hop.PERHAPS_LISTED:
                return None
            case Hop.WITHHELD | Hop.SHARED_MAC:
                return False
            case _:
                return self.flow is not Flow.NOTHING


@dataclass(frozen=True, slots=True)
class Reach:
    """What passes there and back, and why."""

    there: Flow
    back: Flow
    why: str

    @property
    def works(self) -> bool:
        """Tell whether a ping comes back, IPv4 as IPv6.

        Unicast must pass both ways, and one of the two must be able to ask for the other (ARP and
        neighbour discovery are broadcast and multicast): who was asked knows the asker.
        """
        both = {self.there, self.back}
        return Flow.NOTHING not in both and Flow.ALL in both


def reach(a: End, b: End, *, hairpin: bool) -> Reach:
    """Return what happens when `a` pings `b` on the same uplink; one of them is a guest.

    `hairpin`: the switch behind the uplink sends frames back where they came from (802.1Qbg); it
    changes nothing for machines outside. They are reached where the network lets foreign MACs
    pass; passthru needs none.
    """
    return Reach(_flow(a, b, hairpin), _flow(b, a, hairpin), _why(a, b, hairpin=hairpin))


def hops(a: End, b: End, hairpin: bool | None) -> Iterator[Hop]:  # noqa: FBT001
    """Follow a frame from `a` to `b`; `hairpin` is None when nobody has measured the switch."""
    if a.kind is b.kind:
        if "passthru" in {a.mode, b.mode}:
            yield Hop.EXCLUSIVE
            return
        if a.mode == b.mode == "bridge":
            yield Hop.HANDED_OVER
            return
    if a.kind is not EndKind.OUTSIDE:
        yield Hop.SENT
    if EndKind.OUTSIDE not in {a.kind, b.kind}:
        yield _reflection(hairpin)
        if hairpin is False:
            return
    yield _arrival(a, b)


def receives_own_broadcasts(a: End, *, hairpin: bool) -> bool:
    """Tell whether the guest's own broadcasts come back to it.

    A guest whose duplicate address detection lacks RFC 7527 then takes itself for a rival.
    """
    return hairpin and a.mode in {"private", "source", "passthru"}


def _flow(a: End, b: End, hairpin: bool) -> Flow:  # noqa: FBT001
    flows = {hop.flow for hop in hops(a, b, hairpin)}
    return next(flow for flow in Flow if flow in flows)


def _reflection(hairpin: bool | None) -> Hop:  # noqa: FBT001
    match hairpin:
        case True:
            return Hop.REFLECTED
        case False:
            return Hop.NOT_REFLECTED
        case None:
            return Hop.PERHAPS_REFLECTED


def _arrival(a: End, b: End) -> Hop:
    match b.kind:
        case EndKind.OUTSIDE:
            return Hop.OUTSIDE
        case EndKind.HOST if a.mode == "passthru":
            return Hop.TAKEN_FROM_HOST
        case EndKind.HOST:
            return Hop.TO_HOST if a.mode in {"vepa", "bridge"} else Hop.TO_HOST_UNICAST
        case EndKind.GUEST:
            return _delivery(a, b)


def _delivery(a: End, b: End) -> Hop:
    if b.mode == "source":
        # A copy of every frame of a listed sender, whatever its destination; else nothing.
        listed = Hop.LISTED if b.lists else Hop.NOT_LISTED
        return Hop.PERHAPS_LISTED if b.lists is None else listed
    if b.mode == "passthru" and a.kind is EndKind.HOST:
        return Hop.SHARED_MAC
    # A reflected broadcast of private or source goes back to its sender alone, and none of a
    # neighbour's goes to private; unicast looks for the MAC only.
    withheld = b.mode == "private" or a.mode in {"private", "source"}
    return Hop.WITHHELD if withheld and a.kind is EndKind.GUEST else Hop.DELIVERED


def _why(a: End, b: End, *, hairpin: bool) -> str:
    guest = a if a.kind is EndKind.GUEST else b
    match {a.kind, b.kind}:
        case kinds if EndKind.OUTSIDE in kinds:
            return _why_outside(guest)
        case kinds if EndKind.HOST in kinds:
            return _why_host(guest, hairpin=hairpin)
        case _:
            return _why_guests(a, b, hairpin=hairpin)


def _why_guests(a: End, b: End, *, hairpin: bool) -> str:
    modes = {a.mode, b.mode}
    match modes:
        case _ if "passthru" in modes:
            return "passthru takes the whole uplink: the kernel allows no macvtap beside it"
        case _ if modes == {"bridge"}:
            return "bridge mode hands frames from macvtap to macvtap"
        case _ if hairpin:
            return _why_reflected(a, b)
        case _ if "private" in modes:
            return "private mode hands nothing to its neighbours, and this switch reflects nothing"
        case _:
            mode = "source" if "source" in modes else "vepa"
            return f"{mode} sends all frames to the wire, and this switch reflects none"


def _why_reflected(a: End, b: End) -> str:
    modes = {a.mode, b.mode}
    match modes:
        case _ if _drops(a) or _drops(b):
            return "a source list that does not name the neighbour drops what the switch reflects"
        case _ if "source" in modes:
            return "the switch reflects the frames, and the source list names the neighbour"
        case _ if "private" in modes:
            return (
                "private mode keeps broadcasts of neighbours away, so they cannot ask for each "
                "other's MAC; unicast to a known MAC passes behind a switch that reflects"
            )
        case _:
            return "the switch reflects the frames"


def _drops(end: End) -> bool:
    return end.mode == "source" and not end.lists


def _why_host(guest: End, *, hairpin: bool) -> str:
    if guest.mode == "passthru":
        return "passthru takes the uplink, its MAC and all its frames from the host"
    if not hairpin:
        return "the kernel keeps an uplink's own stack and the macvtaps on it apart"
    if _drops(guest):
        return "the source list does not name the host: its frames are dropped"
    return "the switch reflects the frames, so the host is like any machine outside"


def _why_outside(guest: End) -> str:
    if _drops(guest):
        return "the source list does not name the machine outside: its answers are dropped"
    if guest.mode == "source":
        return "the source list names the machine outside"
    return "every mode sends to the wire what is not for a neighbour, and receives from the wire"
