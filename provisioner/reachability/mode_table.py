"""What the kernel's modes promise: who reaches whom, and why; the one table of the product.

Two guests on one uplink, the host's own stack on that uplink, and a machine outside. The rules are
those of Linux' macvlan.c (macvlan_queue_xmit, macvlan_handle_frame); every cell was measured on
Linux 6.18, and `vmnet modes` measures it anew.

A switch that vmnet makes has the host at its far end: there the host is `outside`.
"""

from dataclasses import dataclass
from enum import StrEnum


class Flow(StrEnum):
    """What passes in one direction: Unicast, Broadcast, Multicast."""

    NOTHING = "---"
    UNICAST = "U--"
    ALL = "UBM"


@dataclass(frozen=True, slots=True)
class End:
    """A guest's NIC: its macvtap's mode, and for mode source whose frames its list lets in.

    With `promisc: false` passthru reaches the same. The lists mean nothing in other modes.
    """

    mode: str
    lists_peer: bool = True
    lists_host: bool = True
    lists_outside: bool = True


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

    @property
    def unaided(self) -> bool:
        """Tell whether the ping comes back even when the other side has never asked before."""
        return self.works and self.there is Flow.ALL


def guests(a: End, b: End, *, hairpin: bool) -> Reach:
    """Say what happens when guest `a` pings guest `b` on the same uplink.

    `hairpin`: the switch behind the uplink sends frames back where they came from (802.1Qbg).
    """
    there, back = _guest_to_guest(a, b, hairpin=hairpin), _guest_to_guest(b, a, hairpin=hairpin)
    return Reach(there, back, _why_guests(a, b, hairpin=hairpin))


def to_host(a: End, *, hairpin: bool) -> Reach:
    """Say what happens when guest `a` pings the host's own stack on the uplink."""
    there, back = _guest_to_host(a, hairpin=hairpin), _host_to_guest(a, hairpin=hairpin)
    return Reach(there, back, _why_host(a, hairpin=hairpin))


def from_host(a: End, *, hairpin: bool) -> Reach:
    """Say what happens when the host pings guest `a` through the uplink."""
    return _reverse(to_host(a, hairpin=hairpin))


def to_outside(a: End) -> Reach:
    """Say what happens when guest `a` pings a machine behind the uplink; hairpin changes nothing.

    It takes a network that lets foreign MACs pass; passthru needs none.
    """
    if a.mode == "source" and not a.lists_outside:
        why = "the source list does not name the machine outside: its answers are dropped"
        return Reach(Flow.ALL, Flow.NOTHING, why)
    why = "every mode sends to the wire what is not for a neighbour, and hears the wire"
    if a.mode == "source":
        why = "the source list names the machine outside"
    return Reach(Flow.ALL, Flow.ALL, why)


def from_outside(a: End) -> Reach:
    """Say what happens when a machine behind the uplink pings guest `a`."""
    return _reverse(to_outside(a))


def hears_itself(a: End, *, hairpin: bool) -> bool:
    """Tell whether the guest's own broadcasts come back to it.

    A guest whose duplicate address detection lacks RFC 7527 then takes itself for a rival.
    """
    return hairpin and a.mode in {"private", "source", "passthru"}


def _reverse(reach: Reach) -> Reach:
    return Reach(reach.back, reach.there, reach.why)


def _guest_to_guest(a: End, b: End, *, hairpin: bool) -> Flow:
    match (a.mode, b.mode):
        case ("passthru", _) | (_, "passthru"):
            return Flow.NOTHING
        case ("bridge", "bridge"):
            return Flow.ALL
        case _ if not hairpin:
            return Flow.NOTHING
        case (_, "source"):
            # A copy of every frame of a listed sender, whatever its destination; else nothing.
            return Flow.ALL if b.lists_peer else Flow.NOTHING
        case ("vepa", "vepa" | "bridge") | ("bridge", "vepa"):
            return Flow.ALL
        case _:
            # A reflected broadcast of private or source goes back to its sender alone, and none
            # of a neighbour's goes to private; unicast looks for the MAC only.
            return Flow.UNICAST


def _guest_to_host(a: End, *, hairpin: bool) -> Flow:
    match a.mode:
        case _ if not hairpin:
            return Flow.NOTHING
        case "passthru":
            return Flow.NOTHING
        case "vepa" | "bridge":
            return Flow.ALL
        case _:
            return Flow.UNICAST


def _host_to_guest(a: End, *, hairpin: bool) -> Flow:
    heard = a.mode != "source" or a.lists_host
    return Flow.ALL if hairpin and heard else Flow.NOTHING


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
        case _ if _deaf(a) or _deaf(b):
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


def _deaf(end: End) -> bool:
    return end.mode == "source" and not end.lists_peer


def _why_host(a: End, *, hairpin: bool) -> str:
    if a.mode == "passthru":
        return "passthru takes the uplink, its MAC and all its frames from the host"
    if not hairpin:
        return "the kernel keeps an uplink's own stack and the macvtaps on it apart"
    if a.mode == "source" and not a.lists_host:
        return "the source list does not name the host: its frames are dropped"
    return "the switch reflects the frames, so the host is like any machine outside"
