"""What placing comes to: where each VM goes and why, which wait, and which fit nowhere."""

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from provisioner.dataclass import dataclass
from provisioner.errors import VmnetError
from provisioner.fabric.facts import HostFacts, Silent
from provisioner.plan.problem import Problem
from provisioner.source_text import complaint

if TYPE_CHECKING:
    from provisioner.plan.load.positions import Places

Fleet = Mapping[str, HostFacts | Silent]
"""The hosts of a plan by the names that the plan gives them."""


@dataclass(frozen=True, slots=True)
class Home:
    """A host that has a VM: it runs there, or its disks or devices are left there."""

    host: str
    runs: bool


Homes = Mapping[str, tuple[Home, ...]]
"""Which hosts have which VMs of a plan, by the VM's name."""


@dataclass(frozen=True, slots=True)
class Assigned:
    """A VM and the host that it goes to; `stays` when it is there already."""

    vm: str
    host: str
    why: str
    stays: bool = False

    def __str__(self) -> str:
        """Return it for people."""
        return f"{self.vm} {'stays on' if self.stays else 'on'} {self.host}: {self.why}"


@dataclass(frozen=True, slots=True)
class Held:
    """A VM that may run on a host that does not answer, and so is started nowhere."""

    vm: str
    why: str

    def __str__(self) -> str:
        """Return it for people."""
        return f"{self.vm} waits: {self.why}"


@dataclass(frozen=True, slots=True)
class Decision:
    """Where the VMs of a plan go: each is in one of the three, in the order of the plan."""

    assigned: tuple[Assigned, ...] = ()
    held: tuple[Held, ...] = ()
    refused: tuple[Problem, ...] = ()  # VMs that fit on no host; the plan or a host has to change

    def host_of(self, vm: str) -> str | None:
        """Return the host that a VM goes to, None when it goes nowhere."""
        return next((one.host for one in self.assigned if one.vm == vm), None)

    def complaints(self, places: "Places") -> list[VmnetError]:
        """Return what was refused as errors of the plan, status BAD_INPUT, each at its place."""
        return [
            complaint(places.where(*one.path), f"{one.what}{_see(one, places)}", one.fix)
            for one in self.refused
        ]

    def lines(self) -> Iterator[str]:
        """Return what was decided, a line for each VM that goes somewhere or waits."""
        yield from map(str, self.assigned)
        yield from map(str, self.held)


def _see(problem: Problem, places: "Places") -> str:
    return f": see {places.where(*problem.other)}" if problem.other else ""


def found_in(plan: str, fleet: Fleet) -> dict[str, tuple[Home, ...]]:
    """Return which hosts have which VMs of a plan, by what the hosts that answer say."""
    homes: dict[str, list[Home]] = {}
    for host, facts in fleet.items():
        if isinstance(facts, HostFacts):
            for one in facts.vms:
                if one.plan == plan:
                    homes.setdefault(one.vm, []).append(Home(host, one.runs))
    return {vm: tuple(sorted(each, key=_order)) for vm, each in sorted(homes.items())}


def _order(home: Home) -> tuple[bool, str]:
    return (not home.runs, home.host)


def listed(names: Iterable[str]) -> str:
    """Return names for a sentence: `a`, `a and b`, `a, b and c`."""
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last
