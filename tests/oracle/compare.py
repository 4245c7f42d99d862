"""Compare what vmnet says of a cell with what the oracle has seen. Pure.

A network that changes while vmnet measures has two states; vmnet is right when it is right of one.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum

from tests.oracle.truth import Cell, Truth


class Claim(StrEnum):
    """What vmnet says of a cell."""

    REACHES = "reaches"
    ISOLATED = "isolated"  # green: it must not reach, and does not
    SILENT = "no answer"  # red: it should reach
    NOTHING = "not shown"
    UNKNOWABLE = "not shown, as nobody can know"


@dataclass(frozen=True, slots=True, order=True)
class Disagreement:
    """A cell of which vmnet says what is not so."""

    cell: Cell
    claim: Claim
    truth: str

    def __str__(self) -> str:
        """Return it as a line."""
        return f"{self.cell}: vmnet says {self.claim}, but {self.truth}"


@dataclass(frozen=True, slots=True)
class Judged:
    """What came of one seed."""

    claims: tuple[tuple[Cell, Claim], ...]
    wrong: tuple[Disagreement, ...]


def disagreements(
    claims: Collection[tuple[Cell, Claim]], truths: Sequence[Truth], *, broken: bool
) -> list[Disagreement]:
    """Return where vmnet is wrong of every state that the network was in."""
    found = []
    for cell, claim in claims:
        whys = [_wrong(cell, claim, truth, broken=broken) for truth in truths]
        if all(whys):
            found.append(Disagreement(cell, claim, whys[-1]))
    return sorted(set(found))


def _wrong(cell: Cell, claim: Claim, truth: Truth, *, broken: bool) -> str:
    """Return what is wrong with a claim, "" when nothing is."""
    reached = cell in truth.reached
    why = ""
    match claim:
        case Claim.REACHES if cell in truth.by_another:
            why = "another one answers"
        case Claim.REACHES if not reached:
            why = "no ping is answered"
        case Claim.SILENT | Claim.ISOLATED if reached:
            why = "pings are answered"
        case Claim.ISOLATED:
            why = _unproved(cell, truth)
        case Claim.NOTHING if not broken:
            why = "nothing is broken"
        case _:
            pass
    return why


def _unproved(cell: Cell, truth: Truth) -> str:
    """Return why silence does not show that two ends are kept apart."""
    source, target = ((end, cell.version) for end in (cell.source, cell.target))
    needs = (
        (cell.source in truth.typing, "its source does nothing"),
        (source in truth.left, "nothing leaves its source"),
        (source in truth.outside, "nothing of its source gets to the LAN"),
        # A source has to take answers, which are for it alone; a target hears what all are asked.
        (_lives(source, truth.alive, truth), "its source answers nobody"),
        (_lives(target, truth.awake, truth), "its target answers nobody"),
    )
    return next((why for held, why in needs if not held), "")


def _lives(end: tuple[int, int], heard: Collection[tuple[int, int]], truth: Truth) -> bool:
    if end[0] in truth.apart:  # nobody may ask it: it types, and its frames leave
        return end[0] in truth.typing and end in truth.left
    return end in heard
