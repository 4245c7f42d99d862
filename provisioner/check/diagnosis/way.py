"""The way of one frame between two ends: over which places it goes, and where it was lost.

A question goes over `way` and its answer over `back`: who-has and is-at first, then the packets.
What is missing at a place was lost before it, or by a
filter at its egress, which runs before frames can be seen there; what was seen as it came in may
have been dropped by a filter at that place's ingress (host/probe/trace.py).
"""

from collections.abc import Iterable, Sequence
from typing import Final

from provisioner.check.evidence import Endpoint, Evidence, Heading, Point
from provisioner.dataclass import dataclass
from provisioner.network.exchange import FrameKind
from provisioner.network.nft_ruleset import DropChain
from provisioner.plan.choices import Mode

FORTH: Final = frozenset({FrameKind.WHO_HAS, FrameKind.REQUEST, FrameKind.IS_AT_BACK})
"""The kinds of frames that go from the asker to the asked one."""

_NAMES: Final = {
    FrameKind.WHO_HAS: "the question who has {address}",
    FrameKind.IS_AT: "the answer to who has {address}",
    FrameKind.REQUEST: "what asks {address} ({asked})",
    FrameKind.REPLY: "the answer from {address}",
    FrameKind.ASKS_BACK: "the question who has {source}",
    FrameKind.IS_AT_BACK: "the answer to who has {source}",
}


@dataclass(frozen=True, slots=True)
class WayPoint:
    """A device of the way, and the direction in which the frame passes it."""

    point: Point
    heading: Heading
    device: str
    name: str  # "the macvtap mvta of a"


@dataclass(frozen=True, slots=True)
class Gap:
    """Where a frame was lost: seen at `before`, not at `after`; or seen there `changed`.

    For an answer that was seen nowhere (`unanswered`), `before` is where its question was seen
    last. Without `before` a question was seen nowhere; without `after` an answer has come to its
    receiver.
    """

    kind: FrameKind
    before: WayPoint | None
    after: WayPoint | None
    changed: bool = False
    unanswered: bool = False


def way(e: Evidence) -> tuple[WayPoint, ...]:
    """Return the places that a frame of the source passes before the target has it.

    None where not all of them were listened at: what was not looked at says nothing.
    """
    places = tuple(_way(e))
    return places if all(x.point in e.listened for x in places) else ()


def back(e: Evidence) -> tuple[WayPoint, ...]:
    """Return the places that the answer passes, from the target's to the source's."""
    turned = {Heading.IN: Heading.OUT, Heading.OUT: Heading.IN}
    return tuple(WayPoint(x.point, turned[x.heading], x.device, x.name) for x in reversed(way(e)))


def _way(e: Evidence) -> Iterable[WayPoint]:
    source, target, up = e.source, e.target, e.uplink
    if source.link:
        yield WayPoint(Point.SOURCE, Heading.OUT, source.link, _of_end(source))
    if not _is_direct(e):
        if _is_above(source, e):
            yield WayPoint(Point.UPLINK, Heading.OUT, up.name, f"the uplink {up.name}")
        yield from _far(e)
        if _is_above(target, e):
            yield WayPoint(Point.UPLINK, Heading.IN, up.name, f"the uplink {up.name}")
    if target.link:
        yield WayPoint(Point.TARGET, Heading.IN, target.link, _of_end(target))


def _far(e: Evidence) -> Iterable[WayPoint]:
    """Return the far end of vmnet's own switch: guests are on one side of it, all else behind."""
    far = e.uplink.far
    name = f"the far end {far} of the switch"
    if not far or far in {e.source.link, e.target.link}:
        return
    if _is_above(e.source, e):
        yield WayPoint(Point.FAR, Heading.IN, far, name)
    if _is_above(e.target, e):
        yield WayPoint(Point.FAR, Heading.OUT, far, name)


def _is_above(end: Endpoint, e: Evidence) -> bool:
    """Return whether an end is on the uplink: a macvtap, or the host's own device beside them."""
    return end.is_guest or _is_sibling(end, e)


def _is_sibling(end: Endpoint, e: Evidence) -> bool:
    return end.is_host and bool(end.link) and not e.uplink.own_switch and end.link != e.uplink.name


def _is_direct(e: Evidence) -> bool:
    """Return whether frames are handed from macvtap to macvtap: both are in mode bridge."""
    return all(_bridges(end, e) for end in e.ends)


def _bridges(end: Endpoint, e: Evidence) -> bool:
    return _is_sibling(end, e) or (bool(end.link) and end.mode == Mode.BRIDGE)


def _of_end(end: Endpoint) -> str:
    return f"the host's {end.link}" if end.is_host else f"the macvtap {end.link} of {end.vm}"


def lost(e: Evidence) -> Gap | None:
    """Return where the frames of an exchange were lost; None when nobody could listen to them."""
    there, again = way(e), back(e)
    if not there:
        return None
    packets = any(_at(e, FrameKind.REQUEST, x) for x in there)
    asked = FrameKind.REQUEST if packets else FrameKind.WHO_HAS
    answered = FrameKind.REPLY if packets else FrameKind.IS_AT
    found = _gap(e, asked, there, None)
    if found:
        return found
    answers = any(_at(e, answered, x) for x in again)
    if packets and not answers and _at(e, FrameKind.ASKS_BACK, again[0]):
        found = _gap(e, FrameKind.ASKS_BACK, again, there[-1])
        found = found or _gap(e, FrameKind.IS_AT_BACK, there, again[-1])
    return found or _gap(e, answered, again, there[-1]) or Gap(answered, again[-1], None)


def _gap(
    e: Evidence, kind: FrameKind, places: Sequence[WayPoint], begin: WayPoint | None
) -> Gap | None:
    """Return where frames of a kind were lost or changed; `begin` is what they come after."""
    last = max((n for n, x in enumerate(places) if _at(e, kind, x)), default=-1)
    was = begin
    for place in places[: last + 1]:
        states = _at(e, kind, place)
        if states == {True}:
            return Gap(kind, was, place, changed=True)
        was = place if states else was
    if last + 1 == len(places):
        return None
    return Gap(kind, was, places[last + 1], unanswered=last < 0 and begin is not None)


def _at(e: Evidence, kind: FrameKind, place: WayPoint) -> set[bool]:
    """Return how frames of a kind were seen at a place: changed, as they were sent, not at all."""
    at = place.point, place.heading
    return {x.changed for x in e.sightings if x.kind is kind and (x.point, x.heading) == at}


def suspects(e: Evidence, gap: Gap) -> tuple[DropChain, ...]:
    """Return the chains of this host that drop frames between the two places of a gap."""
    hooks = {
        (x.device, hook)
        for x, heading, hook in (
            (gap.before, Heading.IN, "ingress"),
            (gap.after, Heading.OUT, "egress"),
        )
        if x and x.heading is heading
    }
    if _is_direct(e):
        # Unicast from macvtap to macvtap is received by the uplink first (macvlan_queue_xmit).
        hooks.add((e.uplink.name, "ingress"))
    return tuple(x for x in e.drop_chains if (x.device, x.hook) in hooks)


def seen(e: Evidence) -> Iterable[str]:
    """Return what was seen of each frame of the exchange, a line each, in the order of its way."""
    there, back_again = way(e), back(e)
    for kind in FrameKind:
        places = there if kind in FORTH else back_again
        at = [x.name for x in places if _at(e, kind, x)]
        if at:
            never = [x.name for x in places if not _at(e, kind, x)]
            changed = [x.name for x in places if _at(e, kind, x) == {True}]
            but = f", not as it was sent at {', '.join(changed)}" if changed else ""
            but += f", not at {', '.join(never)}" if never else ""
            yield f"{named(e, kind)} was seen at {', '.join(at)}{but}"


def named(e: Evidence, kind: FrameKind) -> str:
    """Return what a frame of the exchange is, in words."""
    source = e.source_address or e.source.vm
    return _NAMES[kind].format(address=e.address, asked=e.asked, source=source)
