"""Pings to many addresses from inside a guest: who answers, packets of which size, what is lost."""

import sys
import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import field, replace
from math import ceil
from statistics import median
from typing import Final

from provisioner.check.loss import Loss, PingCount, proven, suspect
from provisioner.dataclass import dataclass
from provisioner.guest.ping_output import ICMP_HEADER, Pings, ip_header, parsed
from provisioner.plan.ip import Address

_SMALL: Final = 56  # bytes in a ping by default
# Seconds between pings. A router that has not answered all of the first ones is asked again slowly.
_EVERY_S, _OUTSIDE_EVERY_S, _COUNT_EVERY_S = 0.005, 0.025, 0.1
_AT_ONCE: Final = 2
_LANES: Final = 4  # pings that run at a time; those that nobody answers do not disturb each other
# What has no answer after all pings have ended may only be late: a guest on a busy host, or its
# peer, stalls for seconds. It is lost when no answer at all has come for as long as pings wait.
_LOOK_EVERY_S: Final = 0.25
# Seconds that a ping waits for its answer: some times the longest round trip that has been seen.
_LEAST_WAIT_S, _MOST_WAIT_S, _ROUND_TRIPS = 1, 8, 5
_NONE: Final = Loss(1, 0)

Size = tuple[Address, int]
"""An address and the bytes of the IP packets that it is sent."""


@dataclass(frozen=True, slots=True)
class Pinged:
    """A ping that was answered: the round trip, the size of its IP packet in bytes, which try.

    Where one was not answered, `loss` is what was counted; `vanished` has the bytes of packets that
    were wanted and are never answered, 0 for none.
    """

    seconds: float
    size: int
    tries: int
    loss: Loss = _NONE
    vanished: int = 0


@dataclass(slots=True, kw_only=True)
class Pinging:
    """Pings of one guest, as `Guests.ping` takes them; `send` runs the script in the guest.

    `send` gets the script's words and how long it takes beside its waits, in seconds. With
    `by_order` what is pinged once only, in the hope of silence, is waited for until a moment after
    the others have answered: somebody else must look for late answers then.
    """

    send: Callable[[list[str], float], bytes]
    targets: Mapping[Address, int]
    sizes: Mapping[Address, int] = field(default_factory=dict)
    sources: Mapping[Address, Address] = field(default_factory=dict)
    counts: Mapping[Address, PingCount] = field(default_factory=dict)
    by_order: bool = False
    _best: dict[Address, Pinged] = field(default_factory=dict)
    _came: set[Size] = field(default_factory=set)
    _slowest_s: float = 0.0

    def done(self) -> dict[Address, Pinged]:
        """Ping until all have answered or were tried enough, then count losses where one may be."""
        sent = self._wanted(0)
        first = self._send(sent)
        self._take(first, 0)
        for tries in range(1, max(self.targets.values(), default=0)):
            if not (words := self._wanted(tries)):
                break
            self._take(self._send(words, lanes=len(words)), tries)
        if again := self._suspect(first, sent):
            self._count(self._send(again, every_s=_COUNT_EVERY_S), again)
        return {
            a: replace(p, vanished=max((n for _, n in self._missing(a)), default=0))
            for a, p in self._best.items()
        }

    def sized(self, address: Address, sizes: Collection[int]) -> set[int]:
        """Ping an address once with each of several sizes; return those answered."""
        least = ip_header(address) + ICMP_HEADER
        found = self._send({(address, n): 1 for n in sizes if n >= least})
        return {size for _, size in found.replies} & set(sizes)

    def _missing(self, address: Address) -> set[Size]:
        """Return the sizes that an address has to answer and has not."""
        small = ip_header(address) + ICMP_HEADER + _SMALL
        must = {(address, max(small, self.sizes.get(address, 0)))}
        if self._is_outside(address):
            must.add((address, small))
        return must - self._came

    def _is_outside(self, address: Address) -> bool:
        return address in self.counts and self.counts[address].outside

    def _wanted(self, tries: int) -> dict[Size, int]:
        """Return how many pings of each size go out after so many tries."""
        wanted: dict[Size, int] = {}
        for address, most in self.targets.items():
            if tries >= (1 if self._goes_at_once(address) else most):
                continue
            number = self._sent(address, tries) if not tries else 1
            sizes = self._missing(address)
            if tries and address not in self._best:
                sizes.add((address, ip_header(address) + ICMP_HEADER + _SMALL))
            wanted |= dict.fromkeys(sizes, number)
        return wanted

    def _goes_at_once(self, address: Address) -> bool:
        """Whether all its pings are sent in one go: nobody waits longer for an expected silence."""
        return address not in self.counts and self.targets[address] <= _AT_ONCE

    def _sent(self, address: Address, tries: int) -> int:
        """Return how many pings of a size an address has been sent after so many tries before."""
        if address in self.counts and not tries:
            return self.counts[address].at_first
        return self.targets[address] if self._goes_at_once(address) else 1 + tries

    def _take(self, pings: Pings, tries: int) -> None:
        """Take the largest that each address has answered."""
        for (address, size), times in pings.replies.items():
            self._came.add((address, size))
            if address not in self._best or self._best[address].size < size:
                sent = self._sent(address, tries)
                loss = Loss(sent, max(0, sent - len(times)))
                self._best[address] = Pinged(median(times.values()), size, tries + 1, loss)

    def _suspect(self, first: Pings, sent: Mapping[Size, int]) -> dict[Size, int]:
        """Return how many pings of each size show what is lost, where the kernel has missed one."""
        missed = _lost_on_the_way(first, sent)
        short = {
            a for (a, n), number in sent.items() if 0 < len(first.replies.get((a, n), ())) < number
        }
        again: dict[Size, int] = {}
        for version in (4, 6):
            mine = {a: p for a, p in self._best.items() if a.version == version}
            counted = {a: p.loss for a, p in mine.items() if a in self.counts}
            lossy = suspect(counted) | (short & counted.keys())
            if missed.get(version) == 0:
                self._best |= {a: replace(p, loss=_none_of(p.loss)) for a, p in mine.items()}
                lossy = set()
            if first.unanswered.get(version) == 0:
                continue
            for a in lossy | {a for a in counted if self._missing(a)}:
                sizes = {(a, mine[a].size), *self._missing(a)}
                again |= dict.fromkeys(sizes, self.counts[a].to_count)
        return again

    def _count(self, pings: Pings, sent: Mapping[Size, int]) -> None:
        """Take what was lost of the largest that each address has answered."""
        self._came |= set(pings.replies)
        before = {a: ping.size for a, ping in self._best.items()}
        for version in (4, 6):
            shown = proven(
                {size: pings.replies.get(size, {}) for size in sent},
                {(a, n): number for (a, n), number in sent.items() if a.version == version},
                _COUNT_EVERY_S,
                pings.unanswered.get(version, sys.maxsize),
            )
            for (a, n), loss in sorted(shown.items(), key=lambda each: each[0][1]):
                if n == before[a] or (n > before[a] and (a, n) in pings.replies):
                    self._best[a] = replace(self._best[a], size=n, loss=loss)

    def _send(
        self, counts: Mapping[Size, int], *, every_s: float | None = None, lanes: int = _LANES
    ) -> Pings:
        """Send pings of each size, every so many seconds."""
        if not counts:
            return Pings()
        words, longest_s = [], 0.0
        for (a, size), number in sorted(
            counts.items(), key=lambda x: not self._goes_at_once(x[0][0])
        ):
            pause_s = every_s or (_OUTSIDE_EVERY_S if self._is_outside(a) else _EVERY_S)
            longest_s = max(longest_s, number * pause_s)
            silent = ("S" if self.by_order else "N") if self._goes_at_once(a) else ""
            payload = size - ip_header(a) - ICMP_HEADER
            words.append(f"{silent}{pause_s:g},{number},{payload},{a},{self.sources.get(a, '')}")
        takes_s = longest_s * ceil(len(words) / lanes)
        output = self.send([str(self._wait_s), str(lanes), *words], takes_s)
        return self._settled(output, counts)

    def _settled(self, output: bytes, counts: Mapping[Size, int]) -> Pings:
        """Return what came of pings, when no more answers come in."""
        known = {address for address, _ in counts}
        found = parsed(output, known)
        slowest_s = max((max(times.values()) for times in found.replies.values()), default=0.0)
        self._slowest_s = max(self._slowest_s, slowest_s)
        looks, pause = 0, threading.Event()
        least = sum(_lost_on_the_way(found, counts).values())
        while least and looks * _LOOK_EVERY_S < self._wait_s:
            pause.wait(_LOOK_EVERY_S)
            output += self.send(["1", "0"], 0)
            found = parsed(output, known)
            left = sum(_lost_on_the_way(found, counts).values())
            # Others in there may ping, too: what they have not been answered grows.
            looks = looks + 1 if left >= least else 0
            least = min(least, left)
        return found

    @property
    def _wait_s(self) -> int:
        return min(_MOST_WAIT_S, max(_LEAST_WAIT_S, ceil(_ROUND_TRIPS * self._slowest_s)))


def _lost_on_the_way(pings: Pings, sent: Mapping[Size, int]) -> dict[int, int]:
    """Return by version of IP what has no answer beside those that have none to any ping."""
    left = dict(pings.unanswered)
    for (address, size), number in sent.items():
        if (address, size) not in pings.replies and address.version in left:
            left[address.version] = max(0, left[address.version] - number)
    return left


def _none_of(loss: Loss) -> Loss:
    return Loss(loss.sent, 0)
