"""A check as text of a given width: the matrix, what failed with its cells, each row if wanted.

The matrix stands as it is where it fits; else its columns are numbered; else cells are symbols, and
where that is not enough, it comes in several parts. Nothing is ever folded within a word.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from provisioner.report import matrix
from provisioner.report.layout import Line, Span, columns, paragraph, shortened, width_of
from provisioner.report.report import Report, causes
from provisioner.text import one_line, sanitize

if TYPE_CHECKING:
    from provisioner.check.result import Result
    from provisioner.report.matrix import Cell, Grid

LOG_WIDTH: Final = 100
"""How wide a matrix is in a pipe or a log, which has no width."""
_LONG: Final = 2000  # characters of a sentence
_NAME: Final = 24  # of a row's name that are shown at least
_TENS: Final = 10  # columns in a group, where no space stands between them
_SEEN: Final = 4  # observations of a cause that are shown without --all


def check(report: Report, width: int, *, every: bool = False) -> Iterator[Line]:
    """Return what a check has found; `width` 0 is that of a log. With `every` all rows too."""
    for grid in matrix.grids(report.results):
        yield from _matrix(grid, width or LOG_WIDTH)
    if every and report.results:
        yield from _rows(report.results, width)
    for cells, finding in causes(report):
        # One line each in a log, and none begins with a guest's text: a CI runner may read it.
        for text in paragraph(one_line(finding.what, _LONG), width, "✗ ", "  "):
            yield (Span(text, "bad"),)
        seen = finding.evidence if every else finding.evidence[:_SEEN]
        more = len(finding.evidence) - len(seen)
        told = [("cells", cells)] if cells else []
        told += [("seen", text) for text in seen]
        told += [("seen", f"{more} more: see them with --all")] if more else []
        for key, text in [*told, ("fix", finding.fix)]:
            for line in paragraph(one_line(text, _LONG), width, f"  {key}: ", "    "):
                yield (Span(line),)


def _matrix(grid: "Grid", width: int) -> Iterator[Line]:
    named = _by_name(grid)
    if width_of(named) <= width:
        yield _head(grid, "from the left to the top")
        yield from columns(named)
        return
    ends = {name: n for n, name in enumerate(dict.fromkeys((*grid.sources, *grid.targets)), 1)}
    yield _head(grid, "from the left to the top, which has the numbers of the left")
    numbered = _by_number(grid, ends, grid.targets, width)
    if numbered and width_of(numbered) <= width:
        yield from columns(numbered)
    else:
        yield from _by_symbols(grid, ends, width)
    others = [f"{n} is {sanitize(name)}" for name, n in ends.items() if name not in grid.sources]
    if others:
        yield from ((Span(text),) for text in paragraph(", ".join(others), width))


def _head(grid: "Grid", how: str) -> Line:
    return (Span(f"network {sanitize(grid.network)}", "head"), Span(f": {how}"))


def _by_name(grid: "Grid") -> list[list[Span]]:
    rows = [[Span(""), *(Span(sanitize(name)) for name in grid.targets)]]
    return rows + [
        [Span(sanitize(source)), *map(_with_word, cells)] for source, cells in grid.rows()
    ]


def _by_number(
    grid: "Grid", ends: dict[str, int], targets: Sequence[str], width: int
) -> list[list[Span]]:
    """Return the rows with numbers for targets; none when no room is left for names."""
    rows = [[Span(""), *(Span(str(ends[name])) for name in targets)]]
    body = [
        [Span(str(ends[source])), *(_with_word(grid.cells.get((source, t))) for t in targets)]
        for source in grid.sources
    ]
    longest = max(map(len, grid.sources))
    room = width - width_of([*rows, *body]) - 1
    if room < min(longest, _NAME):
        return []
    names = shortened(map(sanitize, grid.sources), room)
    for source, row in zip(grid.sources, body, strict=True):
        row[0] = Span(f"{row[0].text.rjust(len(str(len(ends))))} {names[sanitize(source)]}")
    return rows + body


def _by_symbols(grid: "Grid", ends: dict[str, int], width: int) -> Iterator[Line]:
    """Return cells without words; where they are too many for a line, without spaces, too."""
    digits = len(str(len(ends)))
    longest, cells = max(map(len, grid.sources)), len(grid.targets)
    room = width - digits - 2  # for a name and cells
    step = digits + 1
    if min(longest, _NAME) + cells * step > room:
        step = 1
    of_cells = cells * step + (0 if step > 1 else (cells - 1) // _TENS)
    name_width = min(longest, max(_NAME, room - of_cells))
    fit = (room - name_width) // step if step > 1 else (room - name_width) // (_TENS + 1) * _TENS
    names = shortened(map(sanitize, grid.sources), name_width)
    for first in range(0, cells, max(1, fit)):
        targets = grid.targets[first : first + max(1, fit)]
        numbers = [str(ends[name]).rjust(digits) for name in targets]
        heads = ["".join(f" {n}" for n in numbers)] if step > 1 else _upright(numbers)
        yield from ((Span(" " * (digits + 1 + name_width) + head),) for head in heads)
        for source in grid.sources:
            number, name = str(ends[source]).rjust(digits), names[sanitize(source)]
            row = [Span(f"{number} {name.ljust(name_width)}{'' if step > 1 else ' '}")]
            for at, target in enumerate(targets):
                cell = grid.cells.get((source, target))
                gap = " " if step == 1 and at % _TENS == 0 and at else ""
                symbol = (cell.symbol if cell else " ").rjust(step)
                row.append(Span(gap + symbol, _style(cell)))
            yield tuple(row)
    there = dict.fromkeys(cell.symbol for cell in grid.cells.values())
    legend = ", ".join(f"{symbol} {matrix.MEANING[symbol]}" for symbol in there)
    yield from ((Span(text),) for text in paragraph(legend, width))


def _upright(numbers: Sequence[str]) -> Iterator[str]:
    """Return numbers written from top to bottom, ten in a group."""
    for digits in zip(*numbers, strict=True):
        groups = ["".join(digits[at : at + _TENS]) for at in range(0, len(digits), _TENS)]
        yield f" {' '.join(groups)}"


def _with_word(cell: "Cell | None") -> Span:
    return Span(sanitize(str(cell)) if cell else "", _style(cell))


def _style(cell: "Cell | None") -> str:
    if cell is None:
        return ""
    return "good" if cell.met else "warn" if cell.symbol in matrix.UNKNOWN else "bad"


def _rows(results: "Sequence[Result]", width: int) -> Iterator[Line]:
    """Return a row for each result; where they do not fit, each on two lines."""
    titles = ("", "from", "to", "address", "expected", "observed", "time", "how")
    rows = [[Span(text) for text in titles], *map(_row, results)]
    if not width or width_of(rows) <= width:
        yield from columns(rows)
        return
    for mark, source, target, address, expected, observed, took, how in rows[1:]:
        asked = f"{source.text} -> {target.text} {address.text}".rstrip()
        yield (mark, Span("  " if mark.text == "FAILED" else "      "), Span(asked))
        seen = ", ".join(x for x in (observed.text, took.text, how.text) if x)
        for text in paragraph(
            f"expected: {expected.text}; observed: {seen}", width, " " * 8, " " * 8
        ):
            yield (Span(text, "dim"),)


def _row(r: "Result") -> list[Span]:
    mark = Span("ok", "good") if r.met else Span("FAILED", "bad")
    took = f"{r.seconds * 1000:.2f} ms" if r.seconds is not None else ""
    asked = "" if str(r.pair.asked) in {"ping", r.pair.target} else f" {r.pair.asked}"
    how = "; ".join(x for x in (str(r.by or ""), r.note) if x)
    texts = [
        r.pair.source_label,
        f"{r.pair.target_label}{asked}",
        str(r.address or ""),
        str(r.pair.expected),
    ]
    return [mark, *(Span(one_line(text)) for text in [*texts, r.observed, took, how])]
