"""Many cells of a matrix in few words: `b -> all 11; all 11 -> b` instead of 22 pairs."""

from collections.abc import Iterable, Iterator
from typing import Final

from provisioner.check.result import Result
from provisioner.plan.checks import PING

_MANY: Final = 3  # from how many on a whole row, column or matrix is not spelt out

Ends = dict[tuple[str, str], None]
"""Pairs of ends, in order."""


def named(cells: Iterable[Result], asked: Iterable[Result]) -> str:
    """Return which pairs `cells` are, among all that were `asked`."""
    every = _groups(asked)
    several = len({network for network, _ in every}) > 1
    texts: list[str] = []
    for (network, kind), pairs in _groups(cells).items():
        about = [kind] if kind else []
        about += [f"on {network}"] if several and network else []
        suffix = f" ({', '.join(about)})" if about else ""
        texts += [f"{text}{suffix}" for text in _words(pairs, every[network, kind])]
    return "; ".join(texts)


def _groups(results: Iterable[Result]) -> dict[tuple[str, str], Ends]:
    """Return the pairs by network and by what was asked; "" for a ping."""
    found: dict[tuple[str, str], Ends] = {}
    for result in results:
        pair = result.pair
        kind = "" if pair.asked == PING else str(pair.asked)
        found.setdefault((pair.network, kind), {})[pair.source_label, pair.target_label] = None
    return found


def _words(pairs: Ends, every: Ends) -> Iterator[str]:
    if pairs.keys() >= every.keys() and len(every) >= _MANY:
        yield f"all {len(every)} pairs"
        return
    left = dict(pairs)
    for source in _whole(pairs, every, 0):
        yield f"{source} -> all {sum(s == source for s, _ in every)}"
        left = {ends: None for ends in left if ends[0] != source}
    for target in _whole(pairs, every, 1):
        if any(ends[1] == target for ends in left):
            yield f"all {sum(t == target for _, t in every)} -> {target}"
            left = {ends: None for ends in left if ends[1] != target}
    for source in dict.fromkeys(s for s, _ in left):
        yield f"{source} -> {', '.join(t for s, t in left if s == source)}"


def _whole(pairs: Ends, every: Ends, side: int) -> Iterator[str]:
    """Return the sources (0) or targets (1) whose every pair is among `pairs`."""
    for end in dict.fromkeys(ends[side] for ends in pairs):
        own = [ends for ends in every if ends[side] == end]
        if len(own) >= _MANY and all(ends in pairs for ends in own):
            yield end
