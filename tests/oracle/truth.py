"""The oracle: who reaches whom in a light network, by no means of vmnet's.

Every end pings every other, the host and the machine on the LAN, as if somebody typed it there, and
so does the host; tcpdump hears each frame on every device of the host and of the LAN. A cell counts
as reached only when its ping was answered and both question and answer were heard at the target's
own macvtap. What a must-not cell rests on is found out besides: whose frames leave the macvtap and
come out at the LAN, and who answers a machine there.
"""

import itertools
import socket
import struct
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final

from tests.oracle.capture import Capture, Heard, captured
from tests.oracle.host_pings import HostPings
from tests.oracle.light_lab import (
    CRIER,
    HOST,
    LAN,
    STATION,
    STATION_MAC,
    LightLab,
    address,
    mac,
    tap,
)
from tests.oracle.packets import EVERYBODY, Address, Kind, Packet, built

PING_S: Final = 0.4
_STRAY_S: Final = 0.5  # an end that says nothing so long after that is frozen
_STATION: Final = 77
_VERSIONS: Final = (4, 6)


@dataclass(frozen=True, slots=True, order=True)
class Cell:
    """One ordered pair of ends, each of which may be LAN or HOST, and the version of IP."""

    source: int
    target: int
    version: int

    def __str__(self) -> str:
        """Return it as a disagreement is told."""
        names = {LAN: "LAN", HOST: "host"}
        source, target = (names.get(end, end) for end in (self.source, self.target))
        return f"{source} -> {target} IPv{self.version}"


@dataclass(frozen=True, slots=True)
class Truth:
    """What one round has found out. Ends are (number, version of IP)."""

    reached: frozenset[Cell]
    by_another: frozenset[Cell]  # answered, though not by whom was asked
    typing: frozenset[int]  # ends that do what they are told
    left: frozenset[tuple[int, int]]  # frames of theirs were heard on their way out of the macvtap
    outside: frozenset[tuple[int, int]]  # and on the LAN
    alive: frozenset[tuple[int, int]]  # they have answered a machine on the LAN
    awake: frozenset[tuple[int, int]]
    """Likewise, or at least when it has asked everybody; the machine there, when it was asked."""
    apart: frozenset[int]  # no frame of the LAN is meant to come to them


class Oracle:
    """Asks everybody again and again."""

    def __init__(self, lab: LightLab, host: Capture, lan: Capture) -> None:
        self._lab = lab
        self._host = host
        self._lan = lan
        self._rounds = itertools.count(1)
        self._ends = range(len(lab.ends))

    def asked(self, alone: int | None = None) -> Truth:
        """Let everybody ping everybody now, or one end alone.

        Who was asked knows the asker: so it may be that one reaches another only because the other
        has pinged it first.
        """
        number = next(self._rounds)

        def questions(source: int) -> dict[Address, bytes]:
            return self._questions(source, number) if alone in {None, source} else {}

        self._forget()
        self._host.since()
        self._lan.since()
        sent = [end.ping(questions(source), PING_S) for source, end in enumerate(self._lab.ends)]
        self._knock(number)
        with self._lab.host.entered(), HostPings(questions(HOST)) as pings:
            pings.answered(PING_S)
            answers = dict(enumerate(self._heard_of(sent, PING_S)))
            answers[HOST] = dict.fromkeys(pings.answered(0), "")
        return self._concluded(number, answers, self._host.since(), self._lan.since())

    def _forget(self) -> None:
        """Empty all neighbour caches: what is known from before is no proof of now."""
        self._heard_of([end.forget() for end in self._lab.ends])
        self._lab.inside("ip", "neigh", "flush", "dev", "nic0", "nud", "all")
        self._lab.outside("ip", "neigh", "flush", "dev", "sw", "nud", "all")
        for one in STATION.values():
            known = ["ip", "neigh", "replace", str(one), "lladdr", STATION_MAC, "dev", "nic0"]
            with suppress(AssertionError):  # it is down
                self._lab.inside(*known)

    def _heard_of(
        self, numbers: list[int], within_s: float = 0.0
    ) -> list[dict[Address, str] | None]:
        until = time.monotonic() + within_s + _STRAY_S
        return [e.pinged(n, until) for e, n in zip(self._lab.ends, numbers, strict=True)]

    def _questions(self, source: int, number: int) -> dict[Address, bytes]:
        others = [x for x in (*self._ends, LAN, HOST) if x != source]
        return {
            address(target, version): _payload(number, source, target, version)
            for target in others
            for version in _VERSIONS
        }

    def _knock(self, number: int) -> None:
        """Ask and ping each end from the LAN, by frames with a MAC that it hears."""
        frames = [
            frame
            for end in (*self._ends, HOST)
            for version in _VERSIONS
            for frame in self._knocks(end, _payload(number, _STATION, end, version), version)
        ]
        with self._lab.lan.entered(), socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
            wire.bind(("far", 0))
            for frame in frames * 3:  # some may be lost
                with suppress(OSError):  # it is down
                    wire.send(frame)

    def _knocks(self, end: int, payload: bytes, version: int) -> Iterator[bytes]:
        """Ask an end for its MAC, alone and with everybody, and ping it."""
        if not (known := self._knocker(end)):
            return
        own, target = _packed(self._lab.mac(end)), address(end, version)
        for kind, asker, to in (
            (Kind.ECHO, STATION, own),
            (Kind.WHO_HAS, STATION, own),
            (Kind.WHO_HAS, CRIER, EVERYBODY),
        ):
            told = _packed(STATION_MAC)
            sent = Packet(kind, asker[version], target, _packed(known), to, told, payload)
            yield built(sent)

    def _knocker(self, end: int) -> str:
        """Return a MAC that a frame from the LAN may have to come to an end; "" when none may."""
        network = self._lab.network
        if end == HOST:
            return "" if network.takes_all else STATION_MAC
        if network.modes[end] != "source" or LAN in network.lists[end]:
            return STATION_MAC
        return next((mac(other) for other in sorted(network.lists[end])), "")

    def _concluded(
        self,
        number: int,
        answers: dict[int, dict[Address, str] | None],
        host: Collection[Heard],
        lan: Collection[Heard],
    ) -> Truth:
        at = {self._lab.indexes[tap(end)]: end for end in self._ends}
        macs = {_packed(mac(end)): end for end in self._ends}
        own = {address(HOST, version) for version in _VERSIONS}

        def sender(packet: Packet) -> int | None:
            """Return whose frame it is; in mode passthru the host and its guest share a MAC."""
            return HOST if packet.source in own else macs.get(packet.source_mac)

        places = [(at[x.index], x) for x in host if x.index in at] + [(LAN, x) for x in lan]
        places += [(HOST, x) for x in host if x.index == self._lab.indexes["nic0"]]
        questions, replies = (
            {
                (place, x.packet.payload)
                for place, x in places
                if x.packet.kind is kind and x.goes_out is goes_out
            }
            for kind, goes_out in ((Kind.ECHO, False), (Kind.REPLY, True))
        )
        reached: set[Cell] = set()
        by_another: set[Cell] = set()
        for source, answered in answers.items():
            for cell in self._cells(source, answered or ()):
                heard = cell.target, _payload(number, source, cell.target, cell.version)
                (reached if heard in questions and heard in replies else by_another).add(cell)
        returned = {
            (x.packet.source, x.packet.target)
            for x in lan
            if x.packet.kind in {Kind.REPLY, Kind.IS_AT} and not x.goes_out
        }
        lan_machine = {(LAN, cell.version) for cell in reached if cell.target == LAN}
        return Truth(
            frozenset(reached),
            frozenset(by_another),
            frozenset(source for source, answered in answers.items() if answered is not None),
            frozenset(
                (end, x.packet.source.version)
                for end, x in places
                if x.goes_out and (end != HOST or sender(x.packet) == HOST)
            ),
            frozenset(
                (end, x.packet.source.version)
                for x in lan
                if not x.goes_out and (end := sender(x.packet)) is not None
            ),
            alive := self._answering(returned, STATION) | lan_machine,
            alive | self._answering(returned, CRIER) | self._lan_answers(lan),
            frozenset(end for end in (*self._ends, HOST) if not self._knocker(end)),
        )

    def _lan_answers(self, lan: Collection[Heard]) -> frozenset[tuple[int, int]]:
        """Return the versions in which the machine on the LAN has answered who-has."""
        said = {x.packet.source for x in lan if x.goes_out and x.packet.kind is Kind.IS_AT}
        return frozenset((LAN, version) for version in _VERSIONS if address(LAN, version) in said)

    def _answering(
        self, returned: Collection[tuple[Address, Address]], asker: Mapping[int, Address]
    ) -> frozenset[tuple[int, int]]:
        return frozenset(
            (end, version)
            for end in (*self._ends, HOST)
            for version in _VERSIONS
            if (address(end, version), asker[version]) in returned
        )

    def _cells(self, source: int, answered: Iterable[Address]) -> Iterator[Cell]:
        for target in (*self._ends, LAN, HOST):
            for version in _VERSIONS:
                if target != source and address(target, version) in answered:
                    yield Cell(source, target, version)


@contextmanager
def oracle(lab: LightLab) -> Iterator[Oracle]:
    """Listen everywhere in a lab."""
    with captured(lab.host) as host, captured(lab.lan) as lan:
        yield Oracle(lab, host, lan)


def _payload(number: int, source: int, target: int, version: int) -> bytes:
    return b"\0\1\0\1orac" + struct.pack("!IbbBB", number, source, target, version, 0)


def _packed(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))
