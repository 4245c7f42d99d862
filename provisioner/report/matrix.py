"""Who reaches whom, as a grid for each network: sources down, targets across."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from provisioner.check.result import Result
from provisioner.dataclass import dataclass
from provisioner.reachability.pairs import Expected

NOT_SHOWN: Final = "not shown"
"""What is observed of a silence that no control has explained."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell: a symbol, a word of the same meaning, whether what was expected came true."""

    symbol: str
    word: str
    met: bool
    results: tuple[Result, ...] = ()

    def __str__(self) -> str:
        """Return it as it stands in a table."""
        return f"{self.symbol} {self.word}"


@dataclass(frozen=True, slots=True)
class Grid:
    """The grid of one network; cells by (source, target), absent where nothing was asked."""

    network: str
    sources: tuple[str, ...]
    targets: tuple[str, ...]
    cells: dict[tuple[str, str], Cell]

    def rows(self) -> Iterator[tuple[str, list[Cell | None]]]:
        """Return each source with its cells, in the order of the targets."""
        for source in self.sources:
            yield source, [self.cells.get((source, target)) for target in self.targets]


PLAIN: Final = {"✓": "+", "✗": "x", "·": ".", "○": "o", "…": "~"}
"""What stands for signs where a terminal can show none but ASCII."""

MEANING: Final = {
    "✓": "reaches",
    "·": "isolated",
    "~": "as measured",
    "✗": "does not reach",
    "!": "reaches and must not",
    "○": "not shown",
    "?": "not measured",
}
"""What the symbols say, where no word stands beside them."""

UNKNOWN: Final = frozenset("○?")
"""The symbols of what is neither right nor wrong: it counts as failed, and accuses nobody."""


def grids(results: Iterable[Result]) -> list[Grid]:
    """Return the results as grids, one for each network, in the order of the results."""
    by_network: dict[str, dict[tuple[str, str], list[Result]]] = {}
    for result in results:
        cells = by_network.setdefault(result.pair.network, {})
        cells.setdefault((result.pair.source_label, result.pair.target_label), []).append(result)
    return [
        Grid(
            name,
            (sources := tuple(dict.fromkeys(source for source, _ in cells))),
            _ordered(sources, (target for _, target in cells)),
            {key: replace(cell(found), results=tuple(found)) for key, found in cells.items()},
        )
        for name, cells in by_network.items()
    ]


def _ordered(sources: Sequence[str], targets: Iterable[str]) -> tuple[str, ...]:
    """Order targets as sources are, so that nobody's way to itself makes the diagonal."""
    there = dict.fromkeys(targets)
    return tuple(s for s in sources if s in there) + tuple(t for t in there if t not in sources)


def cell(found: Sequence[Result]) -> Cell:
    """Return the sum of all that was measured of one pair: what is wrong hides what is right."""
    broken = [r for r in found if not r.met]
    if broken:
        return _broken(broken, len(found))
    result = found[0]
    slowest = max((r.seconds for r in found if r.seconds is not None), default=None)
    took = f"{slowest * 1000:.1f} ms" if slowest is not None else "ok"
    if lossy := _loss(found):
        took = f"{took}, {lossy}"
    match result.pair.expected:
        case Expected.ISOLATED:
            return Cell("·", "isolated", met=True)
        case Expected.REACHES:
            return Cell("✓", took, met=True)
        case _:
            return Cell("~", took if result.reached else "no answer", met=True)


def _broken(broken: Sequence[Result], asked: int) -> Cell:
    """Return the worst of what is not as expected: a leak, no answer, what is not known."""
    known = [r for r in broken if r.reached is not None and r.observed != NOT_SHOWN]
    unmeasured = [r for r in broken if r.reached is None]
    if leaks := [r for r in known if r.pair.expected is Expected.ISOLATED]:
        word = "LEAK" if any(r.reached for r in leaks) else "refused"
        return _counted("!", word, leaks, asked)
    if known and all(r.wrong for r in known):
        word = "not all packet sizes" if any(r.vanished for r in known) else _loss(known)
        return _counted("✗", word, known, asked)
    if known:
        word = "refused" if all(r.refused for r in known) else "no answer"
        return _counted("✗", word, known, asked)
    if unmeasured:
        return _counted("?", "not measured", unmeasured, asked)
    return _counted("○", NOT_SHOWN, broken, asked)


def _counted(symbol: str, word: str, found: Sequence[Result], asked: int) -> Cell:
    some = f" {len(found)}/{asked}" if len(found) < asked else ""
    return Cell(symbol, f"{word}{some}", met=False)


def _loss(found: Iterable[Result]) -> str:
    """Return the worst loss among results, "" when there is none."""
    lossy = [r.loss for r in found if r.loss and r.loss.lost]
    return str(max(lossy, key=lambda loss: loss.share)) if lossy else ""
