"""A part of the pairs of a big plan that still touches every guest, the same one every time."""

from collections import Counter
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from zlib import crc32

from provisioner.plan.checks import PING
from provisioner.reachability.pairs import Pair

_EACH = 4
"""How often a guest is asked at least, and asks; in a full mesh of 50 it would be 49 times."""


def sample(pairs: Sequence[Pair], vms: AbstractSet[str], each: int = _EACH) -> tuple[Pair, ...]:
    """Choose pairs so that every NIC asks and is asked at least `each` times, where it can be.

    Pairs with the host, with machines outside, and what the user has asked for are never left out.
    """
    asking: Counter[tuple[str, str]] = Counter()
    asked: Counter[tuple[str, str]] = Counter()
    chosen = set()
    for pair in sorted(pairs, key=_shuffled):
        mine, others = (pair.network, pair.source_label), (pair.network, pair.target_label)
        plain = pair.asked == PING and pair.source in vms and pair.target in vms
        if plain and asking[mine] >= each and asked[others] >= each:
            continue
        chosen.add(id(pair))
        if plain:
            asking[mine] += 1
            asked[others] += 1
    return tuple(p for p in pairs if id(p) in chosen)


def _shuffled(pair: Pair) -> int:
    return crc32(f"{pair.network} {pair.source_label} {pair.target_label} {pair.asked}".encode())
