"""Text laid out for a width: names made shorter, columns that fit, sentences over several lines."""

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from provisioner.dataclass import dataclass

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


def table(rows: Sequence[Sequence[str]], width: int) -> Iterator[Line]:
    """Return rows of text as lines; the first row are titles, `width` 0 is without a limit.

    Cells are folded between words. Where that does not do, each row becomes a paragraph.
    """
    least = [
        max(len(word) for cell in column for word in _words(cell))
        for column in zip(*rows, strict=True)
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    room = width - _GAP * (len(widths) - 1)
    if width and sum(least) > room:
        yield from _paragraphs(rows)
        return
    while width and sum(widths) > room:
        at = max((n for n, w in enumerate(widths) if w > least[n]), key=widths.__getitem__)
        widths[at] -= 1
    for row in rows:
        cells = [_folded(cell, widths[at]) for at, cell in enumerate(row)]
        style = "head" if row is rows[0] else ""
        for at in range(max(map(len, cells))):
            texts = [cell[at] if at < len(cell) else "" for cell in cells]
            line = (" " * _GAP).join(t.ljust(w) for t, w in zip(texts, widths, strict=True))
            yield (Span(line.rstrip(), style),)


def _words(cell: str) -> list[str]:
    return cell.split() or [""]


def _folded(cell: str, width: int) -> list[str]:
    if len(cell) <= width:
        return [cell]
    return textwrap.wrap(cell, width, break_long_words=False, break_on_hyphens=False)


def _paragraphs(rows: Sequence[Sequence[str]]) -> Iterator[Line]:
    titles, *others = rows
    for row in others:
        yield (Span(row[0], "head"),)
        for title, cell in zip(titles[1:], row[1:], strict=True):
            if cell:
                yield (Span(f"  {title}: {cell}"),)


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
