"""The lines of this host's /etc/hosts by which a plan's guests are known, between two marks.

The marks have the plan's name, so that only what vmnet has written is ever taken away. All else in
the file is bytes, which nobody here reads or changes.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, Final

from provisioner.dataclass import dataclass
from provisioner.resource import Resource, Text

if TYPE_CHECKING:
    from provisioner.network.addressing import Nics
    from provisioner.plan.ip import Address
    from provisioner.plan.model import Plan
    from provisioner.plan.nic_id import NicId

_BEGIN: Final = "# vmnet begin %s"
_END: Final = "# vmnet end %s"
_JOINED: Final = b" (the line above had no end)"


@dataclass(frozen=True, slots=True)
class HostsBlock(Resource):
    """The lines of a plan in /etc/hosts."""

    KIND: ClassVar[str] = "hosts block"
    LIVE: ClassVar[frozenset[str]] = frozenset({"lines"})
    TEXTS: ClassVar[Mapping[str, Text]] = {"lines": "its lines are not the plan's"}

    name: str  # of the plan
    lines: tuple[str, ...]

    def called(self, known: Mapping[tuple[str, str], Resource]) -> str:
        """Name the file."""
        del known
        return f"{self.KIND} of {self.name} in /etc/hosts"


class BrokenMarksError(ValueError):
    """A plan's marks are there, but not one pair of them in order: nothing is proved."""


def lines_of(plan: "Plan", nics: "Nics", first: "Mapping[str, Sequence[NicId]]") -> Iterator[str]:
    """Return a line for each address that is known.

    The first address of an IP version that a VM has is its own name's: VM and VM.PLAN. Every
    address is VM.NETWORK.PLAN's besides. `first` are NICs whose addresses go before others, by VM.
    """
    for vm in plan.vms:
        seen: set[int] = set()
        for key, address in _addresses(plan, nics, vm.name, first.get(vm.name, ())):
            names = [f"{vm.name}.{plan.nic(key).network}.{plan.name}"]
            if address.version not in seen:
                names = [f"{vm.name}.{plan.name}", vm.name, *names]
            seen.add(address.version)
            yield f"{address} {' '.join(names)}"


def _addresses(
    plan: "Plan", nics: "Nics", vm: str, first: "Sequence[NicId]"
) -> "Iterator[tuple[NicId, Address]]":
    own = [key for key, _ in plan.nics() if key.vm == vm]
    for key in dict.fromkeys([*first, *own]):
        for one in nics[key].addresses:
            yield key, one.ip


def found(data: bytes, plan: str) -> HostsBlock | None:
    """Return a plan's block in the bytes of a file. Raises BrokenMarksError."""
    place = _place(data, plan)
    if place is None:
        return None
    lines = data[place[0] : place[1]].decode(errors="replace").splitlines()
    return HostsBlock(plan, tuple(lines[1:-1]))


def replaced(data: bytes, plan: str, lines: Sequence[str] | None) -> bytes:
    """Return a file with these lines as the plan's block, None for without one; all else stays.

    Raises BrokenMarksError.
    """
    place = _place(data, plan)
    if place is None:
        joined = bool(data) and not data.endswith(b"\n")
        before, after = data + b"\n" * joined, b""
    else:
        before, after = data[: place[0]], data[place[1] :]
        joined = data[place[0] :].partition(b"\n")[0].endswith(_JOINED)
    if lines is None:
        gone = before.removesuffix(b"\n") if joined and not after and place else before
        return gone + after if place else data
    begin = (_BEGIN % plan).encode() + _JOINED * joined
    block = [begin, *(line.encode() for line in lines), (_END % plan).encode()]
    return before + b"\n".join(block) + b"\n" + after


def _place(data: bytes, plan: str) -> tuple[int, int] | None:
    """Return where a block begins and ends, None where there is none. Raises BrokenMarksError."""
    begin = re.escape((_BEGIN % plan).encode()) + rb"(?:" + re.escape(_JOINED) + rb")?"
    end = re.escape((_END % plan).encode())
    begins = [m.start() for m in re.finditer(rb"^" + begin + rb"$", data, re.MULTILINE)]
    ends = [m.end() for m in re.finditer(rb"^" + end + rb"(?:\n|\Z)", data, re.MULTILINE)]
    if not begins and not ends:
        return None
    if len(begins) != 1 or len(ends) != 1 or begins[0] >= ends[0]:
        raise BrokenMarksError(plan)
    return begins[0], ends[0]
