"""The textbooks' experiment: which labs it takes, what each cell should be, what it was.

A lab is one uplink whose switch reflects or does not, with one or two macvlan ends on it. The
places of a lab are its ends `a` and `b`, the uplink's own stack `host`, and `outside`, a machine
behind the switch.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations_with_replacement

from provisioner.errors import Exit
from provisioner.json_document import json_document
from provisioner.reachability import mode_table
from provisioner.reachability.mode_table import End, Reach

DEAF = "source (empty)"
NOPROMISC = "passthru (nopromisc)"
_SHARED = ("private", "vepa", "bridge", DEAF, "source")
_ALONE = ("passthru", NOPROMISC)


class Place(StrEnum):
    """Where a ping starts or ends."""

    HOST = "host"
    OUTSIDE = "outside"
    A = "a"
    B = "b"


_NUMBERS = {place: i for i, place in enumerate(Place, start=1)}
_ONE_END = tuple(
    way for other in (Place.HOST, Place.OUTSIDE) for way in ((Place.A, other), (other, Place.A))
)
_TWO_ENDS = (
    (Place.A, Place.B),
    (Place.B, Place.A),
    *_ONE_END,
    *((s if s != Place.A else Place.B, t if t != Place.A else Place.B) for s, t in _ONE_END),
)


@dataclass(frozen=True, slots=True)
class Lab:
    """One uplink with its ends; `b` is empty for the modes that stand alone."""

    number: int
    a: str
    b: str
    hairpin: bool

    @property
    def places(self) -> tuple[Place, ...]:
        """List the places that this lab has."""
        return tuple(place for place in Place if self.b or place is not Place.B)

    @property
    def ways(self) -> tuple[tuple[Place, Place], ...]:
        """List who pings whom."""
        return _TWO_ENDS if self.b else _ONE_END

    def mode(self, place: Place) -> str:
        """Give the mode of an end, as the kernel calls it."""
        return (self.a if place is Place.A else self.b).partition(" ")[0]

    def mac(self, place: Place) -> str:
        """Give the MAC of a place; a passthru end has its uplink's."""
        if place is Place.A and self.mode(place) == "passthru":
            place = Place.HOST
        return f"02:76:6d:00:{self.number:02x}:{_NUMBERS[place]:02x}"

    def addresses(self, place: Place) -> tuple[str, str]:
        """Give the IPv4 (/24) and IPv6 (/64) address of a place."""
        last = _NUMBERS[place]
        return f"10.76.{self.number}.{last}", f"fd76:{self.number + 1:x}::{last}"

    def sources(self, place: Place) -> tuple[str, ...]:
        """Give the list of an end in source mode: everybody else, or nobody."""
        if (self.a if place is Place.A else self.b) != "source":
            return ()
        return tuple(self.mac(other) for other in self.places if other is not place)

    def documented(self, source: Place, target: Place) -> Reach:
        """Return what the table promises of a ping."""
        ends = {Place.A: _end(self.a), Place.B: _end(self.b)}
        ends |= {Place.HOST: mode_table.HOST, Place.OUTSIDE: mode_table.OUTSIDE}
        return mode_table.reach(ends[source], ends[target], hairpin=self.hairpin)


def _end(word: str) -> End:
    return End(word.partition(" ")[0], lists=word != DEAF)


def labs() -> tuple[Lab, ...]:
    """List every pair of modes that can share an uplink, and those that cannot; hairpin off, on."""
    pairs = [*combinations_with_replacement(_SHARED, 2), *((word, "") for word in _ALONE)]
    both = ((a, b, hairpin) for hairpin in (False, True) for a, b in pairs)
    return tuple(Lab(number, a, b, hairpin) for number, (a, b, hairpin) in enumerate(both))


Answered = frozenset[tuple[int, Place, Place, int]]
"""Pings that came back: the lab's number, from, to, the version of IP."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What a kernel did: which pings came back, of those versions of IP that it speaks."""

    kernel: str
    versions: tuple[int, ...]
    answered: Answered


@dataclass(frozen=True, slots=True)
class PingCell:
    """One ping of one lab: what is documented, and the versions of IP that it worked with."""

    lab: Lab
    source: Place
    target: Place
    documented: Reach
    worked: tuple[int, ...]
    versions: tuple[int, ...]

    @property
    def met(self) -> bool:
        """Tell whether the kernel does what is documented."""
        return self.worked == (self.versions if self.documented.works else ())

    @property
    def observed(self) -> str:
        """Say what was measured: yes, no, or the one version of IP that got through."""
        if self.worked == self.versions:
            return "yes"
        return f"IPv{self.worked[0]} only" if self.worked else "no"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The whole table."""

    measured: Measured
    seconds: float

    @property
    def cells(self) -> tuple[PingCell, ...]:
        """Give every cell, lab by lab."""
        return tuple(cell for lab in labs() for cell in self.of(lab))

    def of(self, lab: Lab) -> Iterator[PingCell]:
        """Give the cells of one lab."""
        versions, answered = self.measured.versions, self.measured.answered
        for source, target in lab.ways:
            worked = tuple(v for v in versions if (lab.number, source, target, v) in answered)
            documented = lab.documented(source, target)
            yield PingCell(lab, source, target, documented, worked, versions)

    @property
    def differing(self) -> tuple[PingCell, ...]:
        """Give the cells that are not as documented."""
        return tuple(cell for cell in self.cells if not cell.met)

    @property
    def status(self) -> Exit:
        """A cell that differs fails the check."""
        return Exit.CHECK_FAILED if self.differing else Exit.DONE

    @property
    def summary(self) -> str:
        """Say the outcome in one line."""
        count, differing = len(self.cells), len(self.differing)
        families = " and ".join(f"IPv{v}" for v in self.measured.versions)
        told = f"Linux {self.measured.kernel}, {families}, {len(labs())} uplinks"
        outcome = f"{differing} of {count} cells differ" if differing else f"all {count} cells are"
        return f"{outcome} {'from what is' if differing else 'as'} documented ({told})"


def as_json(verdict: Verdict) -> str:
    """Write the table as JSON."""
    return json_document(
        "modes",
        verdict.status,
        summary=verdict.summary,
        kernel=verdict.measured.kernel,
        ip_versions=verdict.measured.versions,
        pairs=[_pair(verdict, lab) for lab in labs()],
        seconds=round(verdict.seconds, 3),
    )


def _pair(verdict: Verdict, lab: Lab) -> dict[str, object]:
    return {
        "a": lab.a,
        "b": lab.b or None,
        "hairpin": lab.hairpin,
        "pings": [
            {
                "from": str(cell.source),
                "to": str(cell.target),
                "documented": cell.documented.works,
                "measured": {f"ipv{v}": v in cell.worked for v in cell.versions},
                "as_documented": cell.met,
                "why": cell.documented.why,
            }
            for cell in verdict.of(lab)
        ],
    }
