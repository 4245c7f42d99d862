"""Who reaches whom, as a grid for each network: sources down, targets across."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from provisioner.check.result import Result
from provisioner.reachability.pairs import Expected


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


PLAIN = {"✓": "+", "✗": "x", "·": ".", "!": "!", "?": "?", "~": "~"}
"""The symbols where a terminal cannot show others than ASCII."""


def grids(results: Iterable[Result]) -> list[Grid]:
    """Return the results as grids, one for each network, in the order of the results."""
    by_network: dict[str, dict[tuple[str, str], list[Result]]] = {}
    for result in results:
        cells = by_network.setdefault(result.pair.network, {})
        cells.setdefault((result.pair.source, result.pair.target), []).append(result)
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
    match result.pair.expected:
        case Expected.ISOLATED:
            return Cell("·", "isolated", met=True)
        case Expected.REACHES:
            return Cell("✓", took, met=True)
        case _:
            word = took if result.reached else "no answer"
            return Cell("~", f"{word}, as measured", met=True)


def _broken(broken: Sequence[Result], asked: int) -> Cell:
    some = f" {len(broken)}/{asked}" if len(broken) < asked else ""
    if any(r.reached is None for r in broken):
        return Cell("?", f"not measured{some}", met=False)
    if any(r.pair.expected is Expected.ISOLATED for r in broken):
        leaks = any(r.reached for r in broken)
        return Cell("!", f"{'LEAK' if leaks else 'refused'}{some}", met=False)
    if all(r.wrong for r in broken):
        return Cell("✗", f"small packets only{some}", met=False)
    word = "refused" if all(r.refused for r in broken) else "no answer"
    return Cell("✗", f"{word}{some}", met=False)
