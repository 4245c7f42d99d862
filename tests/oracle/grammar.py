"""What a seed stands for: a network, who of it is asked how, and what breaks where and when.

    scenario := network must-not{0..2} fault{0..2} vantage{ends}
    fault    := kind place moment
    place    := one end (its guest or its macvtap) | uplink | switch | LAN
    moment   := before vmnet measures | while it measures | passes while it measures

Only one of two faults comes or passes meanwhile: so there are two states of a network at most, and
the oracle knows both. Pure: the same seed is the same scenario on every machine.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

MODES = ("bridge", "vepa", "private", "source")


class Moment(StrEnum):
    """When a fault is there."""

    BEFORE = "before"
    BEGINS = "begins meanwhile"
    PASSES = "passes meanwhile"


class Place(StrEnum):
    """Where a fault is."""

    GUEST = "guest"
    TAP = "macvtap"
    UPLINK = "uplink"
    SWITCH = "switch"
    LAN = "LAN"

    @property
    def of_an_end(self) -> bool:
        """Whether it is one end's."""
        return self in {Place.GUEST, Place.TAP}


KINDS: Mapping[str, Place] = {
    "frozen": Place.GUEST,
    "dead": Place.GUEST,
    "no address": Place.GUEST,
    "no IPv6 address": Place.GUEST,
    "another address": Place.GUEST,
    "a peer's address too": Place.GUEST,
    "pings dropped": Place.GUEST,
    "ARP dropped": Place.GUEST,
    "deaf": Place.GUEST,
    "mute": Place.GUEST,
    "another MAC": Place.GUEST,
    "a wrong MAC claimed": Place.GUEST,
    "knows everybody": Place.GUEST,
    "knows a peer wrongly": Place.GUEST,
    "macvtap down": Place.TAP,
    "macvtap drops what comes": Place.TAP,
    "macvtap drops what goes": Place.TAP,
    "macvtap drops pings": Place.TAP,
    "macvtap drops who-has": Place.TAP,
    "macvtap drops a peer": Place.TAP,
    "another mode": Place.TAP,
    "source list emptied": Place.TAP,
    "source list has all": Place.TAP,
    "macvtap has another MAC": Place.TAP,
    "macvtap hears no multicast": Place.TAP,
    "uplink down": Place.UPLINK,
    "uplink drops what comes": Place.UPLINK,
    "uplink drops what goes": Place.UPLINK,
    "uplink drops who-has": Place.UPLINK,
    "uplink drops pings": Place.UPLINK,
    "uplink drops IPv6": Place.UPLINK,
    "uplink loses a tenth": Place.UPLINK,
    "no carrier": Place.SWITCH,
    "hairpin toggled": Place.SWITCH,
    "switch port disabled": Place.SWITCH,
    "switch drops all": Place.SWITCH,
    "switch drops who-has": Place.SWITCH,
    "switch drops a peer": Place.SWITCH,
    "an end's address is on the LAN": Place.LAN,
    "proxy ARP on the LAN": Place.LAN,
    "LAN machine gone": Place.LAN,
    "broadcast storm": Place.LAN,
}
DEADLY = frozenset({"dead"})  # what cannot be undone: no passing
POISONOUS = frozenset({"proxy ARP on the LAN", "an end's address is on the LAN"})
"""What is remembered of these is wrong for a while after them: they are there all the time."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that breaks. `end` is whose, `peer` another end that some kinds name."""

    kind: str
    moment: Moment
    end: int
    peer: int
    after_ms: int = 0  # from when vmnet begins

    @property
    def place(self) -> Place:
        """Return where it is."""
        return KINDS[self.kind]

    def __str__(self) -> str:
        """Return it as a seed is told."""
        when = str(self.moment)
        if self.moment is not Moment.BEFORE:
            when += f" after {self.after_ms} ms"
        return f"{self.kind} (at the {self.place}, end {self.end}, peer {self.peer}), {when}"


@dataclass(frozen=True, slots=True)
class LightNetwork:
    """Ends on one uplink, by number from 0: their modes, and whom a source list names."""

    modes: tuple[str, ...]
    hairpin: bool
    lists: tuple[frozenset[int], ...]

    @property
    def takes_all(self) -> bool:
        """Whether its one end takes the uplink, its MAC and all its frames from the host."""
        return self.modes == ("passthru",)

    def __str__(self) -> str:
        """Return it as a seed is told."""
        ends = (
            f"{number}: {mode}{sorted(listed) if mode == 'source' else ''}"
            for number, (mode, listed) in enumerate(zip(self.modes, self.lists, strict=True))
        )
        return f"{', '.join(ends)}; the switch {'reflects' if self.hairpin else 'reflects not'}"


@dataclass(frozen=True, slots=True)
class Scenario:
    """What one seed stands for.

    `typed` are the ends that ping by themselves when vmnet asks, by `forbidden` the user says of
    pairs that they must not meet, whatever the modes promise.
    """

    seed: int
    network: LightNetwork
    faults: tuple[Fault, ...]
    typed: frozenset[int]
    forbidden: tuple[tuple[int, int], ...]

    def __str__(self) -> str:
        """Return all of it, a line each."""
        lines = [f"seed {self.seed}: {self.network}", f"asked inside: {sorted(self.typed)}"]
        lines += [f"must not: {source} -> {target}" for source, target in self.forbidden]
        return "\n  ".join([*lines, *(f"broken: {fault}" for fault in self.faults)])


def scenario(seed: int) -> Scenario:
    """Return what a seed stands for."""
    dice = random.Random(seed)  # noqa: S311  (it is to be the same each time)
    network = _network(dice)
    ends = range(len(network.modes))
    faults = _faults(dice, len(ends))
    typed = frozenset(end for end in ends if dice.random() < 0.4)
    pairs = [(a, b) for a in ends for b in ends if a != b]
    forbidden = tuple(sorted(dice.sample(pairs, min(len(pairs), dice.choice((0, 0, 1, 2))))))
    return Scenario(seed, network, faults, typed, forbidden)


def _faults(dice: random.Random, ends: int) -> tuple[Fault, ...]:
    drawn = [_fault(dice, ends) for _ in range(dice.choice((0, 1, 1, 1, 2, 2)))]
    # The same thing breaks once.
    faults = list({(f.kind, f.end if f.place.of_an_end else 0): f for f in drawn}.values())
    return tuple(replace(fault, moment=Moment.BEFORE) for fault in faults[:-1]) + tuple(faults[-1:])


def _network(dice: random.Random) -> LightNetwork:
    if dice.random() < 0.05:
        return LightNetwork(("passthru",), dice.random() < 0.5, (frozenset(),))
    count = dice.choice((2, 2, 3, 3, 4))
    favourite = dice.choice(MODES)  # as plans are: most guests are alike
    modes = tuple(favourite if dice.random() < 0.6 else dice.choice(MODES) for _ in range(count))
    everybody = range(-2, count)  # -1 is the machine on the LAN, -2 the host
    lists = tuple(
        frozenset(x for x in everybody if x != end and dice.random() < 0.6) for end in range(count)
    )
    return LightNetwork(modes, dice.random() < 0.5, lists)


def _fault(dice: random.Random, ends: int) -> Fault:
    kind = dice.choice(list(KINDS))
    moments = [Moment.BEFORE] * 4 + [Moment.BEGINS] + [Moment.PASSES] * (kind not in DEADLY)
    end = dice.randrange(ends)
    peer = dice.choice([x for x in range(ends) if x != end] or [end])
    moment = dice.choice(moments)
    moment = Moment.BEFORE if kind in POISONOUS else moment
    return Fault(kind, moment, end, peer, dice.choice((0, 1, 3, 10, 30, 100, 300)))
