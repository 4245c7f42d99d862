"""Text laid out for a width: names made shorter, columns that fit, sentences over several lines."""

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

ELLIPSIS: Final = "…"
_GAP: Final = 2  # columns between two cells


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of a line, and what it means: good, bad, warn, dim or head; "" for plain text."""

    text: str
    style: str = ""


Line = tuple[Span, ...]


def shortened(names: Iterable[str], most: int) -> dict[str, str]:
    """Return each name in at most `most` characters, and no two of them alike.

    The middle is left out, since people number names at their ends. Of names that would look alike
    the part is shown that tells them apart, and if that does not do, they are numbered.
    """
    every = dict.fromkeys(names)
    groups: dict[str, list[str]] = {}
    for name in every:
        groups.setdefault(_without_middle(name, most), []).append(name)
    found: dict[str, str] = {}
    for short, alike in groups.items():
        found |= {alike[0]: short} if len(alike) == 1 else _told_apart(alike, most)
    if len(set(found.values())) < len(found):
        digits = len(str(len(found)))
        return {
            name: f"{_without_middle(name, most - digits - 1)}~{number}"
            for number, name in enumerate(every, 1)
        }
    return {name: found[name] for name in every}


def _without_middle(name: str, most: int) -> str:
    if len(name) <= most:
        return name
    kept = max(most - 1, 1)
    end = kept // 2
    return f"{name[: kept - end]}{ELLIPSIS}{name[len(name) - end :]}"


def _told_apart(names: Sequence[str], most: int) -> dict[str, str]:
    """Return each name from where they begin to differ."""
    same = next(
        (at for at, chars in enumerate(zip(*names, strict=False)) if len(set(chars)) > 1),
        min(map(len, names)),
    )
    return {name: ELLIPSIS + _without_middle(name[same:], most - 1) for name in names}


def width_of(rows: Sequence[Sequence[Span]]) -> int:
    """Return how wide a table of these rows is."""
    return sum(_widths(rows)) + _GAP * (len(rows[0]) - 1)


def columns(rows: Sequence[Sequence[Span]]) -> Iterator[Line]:
    """Return rows of equally many cells as lines, each column as wide as its widest cell."""
    widths = _widths(rows)
    for row in rows:
        cells: list[Span] = []
        for part, width in zip(row, widths, strict=True):
            cells += [part, Span(" " * (width - len(part.text) + _GAP))]
        while cells and not cells[-1].text.strip():
            cells.pop()
        yield tuple(cells)


def _widths(rows: Sequence[Sequence[Span]]) -> list[int]:
    return [max(len(part.text) for part in column) for column in zip(*rows, strict=True)]


def paragraph(text: str, width: int, first: str = "", rest: str = "") -> list[str]:
    """Return a text in lines of at most `width`, broken between words; on one line with 0."""
    if not width:
        return [first + text]
    return textwrap.wrap(
        text,
        max(width, len(rest) + 20),
        initial_indent=first,
        subsequent_indent=rest,
        break_on_hyphens=False,
    ) or [first]
