"""Who reaches whom in the kernel's modes, and why; the one table of the product.

Two guests on one uplink, the host's own stack on that uplink, and a machine outside. The rules are
those of Linux' macvlan.c (macvlan_queue_xmit, macvlan_handle_frame); every cell was measured on
Linux 6.18, and `vmnet modes` measures it anew.

A switch that vmnet makes has the host at its far end: there the host is `OUTSIDE`.
"""

from collections.abc import Iterator
from enum import Enum, StrEnum, auto
from typing import Final

from provisioner.dataclass import dataclass
from provisioner.plan.choices import Mode


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
    reaches the same. Only guests have a mode.
    """

    mode: Mode | None = None
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
        """Whether a ping comes back, IPv4 as IPv6.

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
    there, back = tuple(hops(a, b, hairpin)), tuple(hops(b, a, hairpin))
    return Reach(_flow(there), _flow(back), _why(a, b, {*there, *back}))


def hops(a: End, b: End, hairpin: bool | None) -> Iterator[Hop]:  # noqa: FBT001
    """Follow a frame from `a` to `b`; `hairpin` is None when nobody has measured the switch."""
    if a.kind is b.kind:
        if Mode.PASSTHRU in {a.mode, b.mode}:
            yield Hop.EXCLUSIVE
            return
        if a.mode is b.mode is Mode.BRIDGE:
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
    """Return whether the guest's own broadcasts come back to it.

    A guest whose duplicate address detection lacks RFC 7527 then takes itself for a rival.
    """
    return hairpin and a.mode in {Mode.PRIVATE, Mode.SOURCE, Mode.PASSTHRU}


def _flow(path: tuple[Hop, ...]) -> Flow:
    flows = {hop.flow for hop in path}
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
        case EndKind.HOST if a.mode is Mode.PASSTHRU:
            return Hop.TAKEN_FROM_HOST
        case EndKind.HOST:
            return Hop.TO_HOST if a.mode in {Mode.VEPA, Mode.BRIDGE} else Hop.TO_HOST_UNICAST
        case EndKind.GUEST:
            return _delivery(a, b)


def _delivery(a: End, b: End) -> Hop:
    if b.mode is Mode.SOURCE:
        # A copy of every frame of a listed sender, whatever its destination; else nothing.
        listed = Hop.LISTED if b.lists else Hop.NOT_LISTED
        return Hop.PERHAPS_LISTED if b.lists is None else listed
    if b.mode is Mode.PASSTHRU and a.kind is EndKind.HOST:
        return Hop.SHARED_MAC
    # A reflected broadcast of private or source goes back to its sender alone, and none of a
    # neighbour's goes to private; unicast looks for the MAC only.
    withheld = b.mode is Mode.PRIVATE or a.mode in {Mode.PRIVATE, Mode.SOURCE}
    return Hop.WITHHELD if withheld and a.kind is EndKind.GUEST else Hop.DELIVERED


_REASONS = {
    (EndKind.GUEST, Hop.EXCLUSIVE): "passthru takes the whole uplink: the kernel allows no macvtap "
    "beside it",
    (EndKind.GUEST, Hop.HANDED_OVER): "bridge mode hands frames from macvtap to macvtap",
    (EndKind.GUEST, Hop.NOT_LISTED): "a source list that does not name the neighbour drops what "
    "the switch reflects",
    (EndKind.GUEST, Hop.LISTED): "the switch reflects the frames, and the source list names the "
    "neighbour",
    (EndKind.GUEST, Hop.WITHHELD): "private mode keeps broadcasts of neighbours away, so they "
    "cannot ask for each other's MAC; unicast to a known MAC passes behind a switch that reflects",
    (EndKind.GUEST, Hop.REFLECTED): "the switch reflects the frames",
    (EndKind.HOST, Hop.NOT_REFLECTED): "the kernel keeps an uplink's own stack and the macvtaps on "
    "it apart",
    (EndKind.HOST, Hop.NOT_LISTED): "the source list does not name the host: its frames are "
    "dropped",
    (EndKind.HOST, Hop.REFLECTED): "the switch reflects the frames, so the host is like any "
    "machine outside",
    (EndKind.OUTSIDE, Hop.NOT_LISTED): "the source list does not name the machine outside: its "
    "answers are dropped",
    (EndKind.OUTSIDE, Hop.LISTED): "the source list names the machine outside",
    (EndKind.OUTSIDE, Hop.OUTSIDE): "every mode sends to the wire what is not for a neighbour, and "
    "receives from the wire",
}
"""By what the end is that a guest meets, and the first of these hops on the path there or back."""

NONE_REFLECTED: Final = ", and this switch reflects none"
_NOT_REFLECTED = {
    Mode.PRIVATE: "private mode hands nothing to its neighbours, and this switch reflects nothing",
    Mode.SOURCE: f"source sends all frames to the wire{NONE_REFLECTED}",
    Mode.VEPA: f"vepa sends all frames to the wire{NONE_REFLECTED}",
}
"""By the first of these modes that one of two guests has."""

_TAKEN = "passthru takes the uplink, its MAC and all its frames from the host"


def _why(a: End, b: End, passed: set[Hop]) -> str:
    guest, other = (a, b) if a.kind is EndKind.GUEST else (b, a)
    if other.kind is EndKind.HOST and guest.mode is Mode.PASSTHRU:
        return _TAKEN
    if other.kind is EndKind.GUEST and Hop.NOT_REFLECTED in passed:
        return next(why for mode, why in _NOT_REFLECTED.items() if mode in {a.mode, b.mode})
    reasons = (why for (kind, hop), why in _REASONS.items() if kind is other.kind and hop in passed)
    return next(reasons)
