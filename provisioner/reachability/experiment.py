"""The mode table's measurement: which labs it takes, what each cell should be, what it was.

A lab is one uplink whose switch reflects or does not, with one or two macvlan ends on it. The
places of a lab are its ends `a` and `b`, the uplink's own stack `host`, and `outside`, a machine
behind the switch.
"""

from collections.abc import Iterator
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address
from itertools import combinations_with_replacement
from typing import Annotated, TypedDict

from provisioner.dataclass import dataclass
from provisioner.errors import Exit
from provisioner.json_document import json_document
from provisioner.plan.choices import Mode
from provisioner.plan.mac import Mac
from provisioner.reachability import mode_table
from provisioner.reachability.mode_table import End, Reach


class LabMode(StrEnum):
    """What is measured of an end: its mode, and what else changes what it receives."""

    PRIVATE = "private"
    VEPA = "vepa"
    BRIDGE = "bridge"
    EMPTY = "source (empty)"
    SOURCE = "source"
    PASSTHRU = "passthru"
    NOPROMISC = "passthru (nopromisc)"

    @property
    def mode(self) -> Mode:
        """The mode, as the kernel knows it."""
        return Mode(self.partition(" ")[0])

    @property
    def end(self) -> End:
        """The same for the mode table."""
        return End(self.mode, lists=self is not LabMode.EMPTY)


class Place(StrEnum):
    """Where a ping starts or ends."""

    HOST = "host"
    OUTSIDE = "outside"
    A = "a"
    B = "b"


_NUMBERS = {place: i for i, place in enumerate(Place, start=1)}
_ONE_END = (
    (Place.A, Place.HOST),
    (Place.HOST, Place.A),
    (Place.A, Place.OUTSIDE),
    (Place.OUTSIDE, Place.A),
)
_TWO_ENDS = (
    (Place.A, Place.B),
    (Place.B, Place.A),
    *_ONE_END,
    *((s if s != Place.A else Place.B, t if t != Place.A else Place.B) for s, t in _ONE_END),
)


@dataclass(frozen=True, slots=True)
class Lab:
    """One uplink with its ends; there is no `b` beside an exclusive mode."""

    number: int
    a: LabMode
    b: LabMode | None
    hairpin: bool

    @property
    def places(self) -> tuple[Place, ...]:
        """The places that this lab has."""
        return tuple(place for place in Place if self.b or place is not Place.B)

    @property
    def pings(self) -> tuple[tuple[Place, Place], ...]:
        """Who pings whom."""
        return _TWO_ENDS if self.b else _ONE_END

    @property
    def ends(self) -> dict[Place, LabMode]:
        """The modes of its ends."""
        return {Place.A: self.a, Place.B: self.b} if self.b else {Place.A: self.a}

    def mac(self, place: Place) -> Mac:
        """Return the MAC of a place; a passthru end has its uplink's."""
        if place is Place.A and self.a.mode.takes_uplink_mac:
            place = Place.HOST
        return Mac(f"02:76:6d:00:{self.number:02x}:{_NUMBERS[place]:02x}")

    def addresses(self, place: Place) -> tuple[IPv4Address, IPv6Address]:
        """Return the addresses of a place, in a /24 and a /64."""
        last = _NUMBERS[place]
        four, six = f"10.76.{self.number}.{last}", f"fd76:{self.number + 1:x}::{last}"
        return IPv4Address(four), IPv6Address(six)

    def sources(self, place: Place) -> tuple[Mac, ...]:
        """Return the list of an end in source mode: everybody else, or nobody."""
        if self.ends[place] is not LabMode.SOURCE:
            return ()
        return tuple(self.mac(other) for other in self.places if other is not place)

    def documented(self, source: Place, target: Place) -> Reach:
        """Return what the table promises of a ping."""
        ends = {Place.HOST: mode_table.HOST, Place.OUTSIDE: mode_table.OUTSIDE}
        ends |= {place: one.end for place, one in self.ends.items()}
        return mode_table.reach(ends[source], ends[target], hairpin=self.hairpin)


def labs() -> tuple[Lab, ...]:
    """Return every pair of modes that share an uplink, and those alone on it; hairpin off, on."""
    shared = [one for one in LabMode if not one.mode.is_exclusive]
    alone = [(one, None) for one in LabMode if one.mode.is_exclusive]
    pairs = [*combinations_with_replacement(shared, 2), *alone]
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
        """Whether the kernel does what is documented."""
        return self.worked == (self.versions if self.documented.works else ())

    @property
    def observed(self) -> str:
        """What was measured: yes, no, or the one version of IP that got through."""
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
        """Every cell, lab by lab."""
        return tuple(cell for lab in labs() for cell in self.of(lab))

    def of(self, lab: Lab) -> Iterator[PingCell]:
        """Return the cells of one lab."""
        versions, answered = self.measured.versions, self.measured.answered
        for source, target in lab.pings:
            worked = tuple(v for v in versions if (lab.number, source, target, v) in answered)
            documented = lab.documented(source, target)
            yield PingCell(lab, source, target, documented, worked, versions)

    @property
    def differing(self) -> tuple[PingCell, ...]:
        """The cells that are not as documented."""
        return tuple(cell for cell in self.cells if not cell.met)

    @property
    def status(self) -> Exit:
        """The exit status: a cell that differs fails the check."""
        return Exit.CHECK_FAILED if self.differing else Exit.DONE

    @property
    def summary(self) -> str:
        """The outcome in one line."""
        count, differing = len(self.cells), len(self.differing)
        families = " and ".join(f"IPv{v}" for v in self.measured.versions)
        extent = f"Linux {self.measured.kernel}, {families}, {len(labs())} uplinks"
        outcome = f"{differing} of {count} cells differ" if differing else f"all {count} cells are"
        return f"{outcome} {'from what is' if differing else 'as'} documented ({extent})"


_Ends = TypedDict("_Ends", {"from": str, "to": str})


class PingValue(_Ends):
    """One ping of a lab."""

    documented: bool
    measured: Annotated[dict[str, bool], "By ipv4 and ipv6."]
    as_documented: bool
    why: str


class LabValue(TypedDict):
    """One or two ends on an uplink whose switch reflects or does not."""

    a: LabMode
    b: LabMode | None
    hairpin: bool
    pings: list[PingValue]


class ModesDocument(TypedDict):
    """Who reaches whom in which mode on this kernel."""

    summary: str
    kernel: str
    ip_versions: tuple[int, ...]
    pairs: list[LabValue]
    seconds: float


def as_json(verdict: Verdict) -> str:
    """Return the table as JSON."""
    return json_document(
        "modes",
        verdict.status,
        ModesDocument(
            summary=verdict.summary,
            kernel=verdict.measured.kernel,
            ip_versions=verdict.measured.versions,
            pairs=[_pair(verdict, lab) for lab in labs()],
            seconds=round(verdict.seconds, 3),
        ),
    )


def _pair(verdict: Verdict, lab: Lab) -> LabValue:
    return {
        "a": lab.a,
        "b": lab.b,
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
