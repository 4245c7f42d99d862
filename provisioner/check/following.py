"""What became of the frames of one exchange: the captures of several places put together.

Frames of the same ends that are no part of the exchange are told apart by who asks: what comes from
another address than the asker's, or goes to another one, is somebody else's.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from provisioner.check.evidence import Heading, Point, Sighting
from provisioner.dataclass import dataclass
from provisioner.network import frames
from provisioner.network.exchange import Exchange, FrameKind
from provisioner.network.frames import Ip

_ICMP: Final = frozenset({1, 58})
_ECHO_REPLY: Final = frozenset({0, 129})
_ECHO: Final = 4  # bytes of type, code and checksum: what follows is the same in an echo's answer
_MOST_MACS: Final = 8


@dataclass(frozen=True, slots=True)
class Capture:
    """A frame of the exchange, as it was seen at a place; a long one may be cut short."""

    point: Point
    heading: Heading
    frame: bytes


@dataclass(frozen=True, slots=True)
class Followed:
    """Where frames of the exchange were seen.

    `gone_by` is the MAC of a machine that handed the packets on to the target, "" for none;
    `sent_to` are the MACs that the source sent its packets to, `answered_to` those that the target
    sent its answers to, `claimants` those that have answered who has the address.
    """

    sightings: frozenset[Sighting] = frozenset()
    gone_by: str = ""
    sent_to: tuple[str, ...] = ()
    answered_to: tuple[str, ...] = ()
    claimants: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Seen:
    point: Point
    heading: Heading
    kind: FrameKind
    frame: bytes
    packet: Ip | None


def followed(exchange: Exchange, captures: Sequence[Capture]) -> Followed:
    """Put together what was captured, in the order in which it was."""
    every = [
        _Seen(x.point, x.heading, kind, x.frame, packet if isinstance(packet, Ip) else None)
        for x in captures
        if (kind := exchange.kind(x.frame))
        for packet in (frames.parse(x.frame),)
    ]
    sent = [x for x in every if _is(x, Point.SOURCE, Heading.OUT, FrameKind.REQUEST)]
    askers = {x.packet.source for x in sent if x.packet}
    seen = [x for x in every if not askers or _asker(x) in askers | {None}]
    questions = _payloads(sent)
    replied = [x for x in seen if _is(x, Point.TARGET, Heading.OUT, FrameKind.REPLY)]
    answers = _payloads(replied)
    echoes = {payload[_ECHO:] for payload in questions}
    by = [
        exchange.router(x.frame)
        for x in seen
        if _is(x, Point.TARGET, Heading.IN, FrameKind.REQUEST)
    ]
    return Followed(
        frozenset(
            Sighting(x.point, x.heading, x.kind, _is_changed(x, questions, answers, echoes))
            for x in seen
        ),
        next(filter(None, by), ""),
        _receivers(sent),
        _receivers(replied),
        tuple(dict.fromkeys(_claimants(every, exchange)))[:_MOST_MACS],
    )


def _receivers(sent: Iterable[_Seen]) -> tuple[str, ...]:
    """Return the MACs that frames were sent to."""
    return tuple(dict.fromkeys(x.frame[:6].hex(":") for x in sent))[:_MOST_MACS]


def _claimants(every: Iterable[_Seen], exchange: Exchange) -> Iterator[str]:
    for x in every:
        answer = frames.answer(x.frame) if x.kind is FrameKind.IS_AT else None
        if answer and answer.address == exchange.address:
            yield answer.mac


def _is(x: _Seen, point: Point, heading: Heading, kind: FrameKind) -> bool:
    return (x.point, x.heading, x.kind) == (point, heading, kind)


def _asker(x: _Seen) -> object:
    """Return the address of the asker of a packet; None for what is not a packet."""
    if x.packet is None:
        return None
    return x.packet.source if x.kind is FrameKind.REQUEST else x.packet.destination


def _payloads(seen: Iterable[_Seen]) -> set[bytes]:
    return {x.packet.payload for x in seen if x.packet and x.packet.protocol in _ICMP}


def _is_changed(x: _Seen, questions: set[bytes], answers: set[bytes], echoes: set[bytes]) -> bool:
    """Return whether an ICMP message differs from all that its sender has sent.

    Only ICMP: the checksums of other protocols may still be missing where a guest sends them.
    """
    if x.packet is None or x.packet.protocol not in _ICMP:
        return False
    payload = x.packet.payload
    if x.kind is FrameKind.REQUEST:
        return bool(questions) and payload not in questions
    if answers:
        return payload not in answers
    is_echo = payload[:1] in {bytes([one]) for one in _ECHO_REPLY}
    return is_echo and bool(echoes) and payload[_ECHO:] not in echoes
