"""How many pings are sent to see whether a way loses packets, and how many of them were lost.

Each source sends a few at first, spread over its targets. Only where one of them is not answered
are so many sent to that target that the limit can be judged.
"""

from collections.abc import Collection, Mapping
from math import ceil
from typing import Final, TypeVar

from provisioner.dataclass import dataclass

_ENOUGH: Final = 20  # 30 % of loss, one way, spares all of them once in 1,250 times
_LEAST: Final = 2
_LEAST_OUTSIDE: Final = 5  # a gateway sends no pings of its own
_MANY: Final = 1 / 3  # of a source's targets: then it loses what it sends to any
_MOST: Final = 100
_LATE_S: Final = 1.5  # what is not answered so long may be on its way: emulated guests stall

Key = TypeVar("Key")


@dataclass(frozen=True, slots=True)
class PingCount:
    """How many pings an address is sent at first, and how many if one of them is not answered.

    `outside` is one that belongs to neither a guest nor the host: it is sent as many small packets
    too, and all at a pace that a router answers.
    """

    at_first: int
    to_count: int
    outside: bool = False


@dataclass(frozen=True, slots=True)
class Loss:
    """Of so many pings so many were lost."""

    sent: int
    lost: int

    def __str__(self) -> str:
        """Return it in a few words: "loss 5% of 20"."""
        return f"loss {percent(self.share)} of {self.sent}"

    @property
    def share(self) -> float:
        """The share that was lost, 0 to 1."""
        return self.lost / self.sent if self.sent else 0.0


def percent(share: float) -> str:
    """Return a share of 1 as a percentage of at most three digits."""
    return f"{share * 100:.3g}%"


def ping_count(targets: int, limit: float, *, outside: bool) -> PingCount:
    """Return how many pings go to each of a source's targets.

    `limit` is the share that may be lost: of the pings that are counted, about two may be.
    """
    least, sizes = (_LEAST_OUTSIDE, 2) if outside else (_LEAST, 1)
    to_count = min(_MOST, max(_ENOUGH, ceil(2 / limit))) if limit else _MOST
    return PingCount(max(least, ceil(_ENOUGH / max(1, targets) / sizes)), to_count, outside)


def suspect(losses: Mapping[Key, Loss]) -> set[Key]:
    """Return the targets to which losses are to be counted, given what was lost at first."""
    lossy = {key for key, loss in losses.items() if loss.lost}
    return set(losses) if len(lossy) > len(losses) * _MANY else lossy


def counted(answered: Collection[int], sent: int, every_s: float) -> Loss:
    """Return what is lost of pings numbered from 0, given the numbers of those answered.

    `every_s` is the time between two of them in seconds.

    A wire keeps the order of its frames: what was sent before an answered ping and is not answered
    itself is lost, and not late. Of those after the last answer nothing is known, so they do not
    count, unless they are more than a stall explains.
    """
    there = {number for number in answered if 0 <= number < sent}
    last = max(there, default=-1) + 1
    asked = sent if (sent - last) * every_s > _LATE_S else last
    return Loss(asked, asked - len(there))


def proven(
    answered: Mapping[Key, Collection[int]],
    sent: Mapping[Key, int],
    every_s: float,
    unanswered: int,
) -> dict[Key, Loss]:
    """Return what is lost to each target, given the numbers of the pings that were answered.

    `unanswered` is how many of all of them the source's own kernel has had no answer to: what is
    missing beyond that has come back, and was lost on its way to the program that counts. That is
    little of many, so the targets that miss most are believed first.
    """
    left = unanswered
    losses = {}
    missing = {key: max(0, number - len(answered[key])) for key, number in sent.items()}
    for key in sorted(missing, key=lambda key: missing[key], reverse=True):
        loss = counted(answered[key], sent[key], every_s)
        losses[key] = Loss(loss.sent, min(loss.lost, left))
        left -= min(missing[key], left)
    return losses
