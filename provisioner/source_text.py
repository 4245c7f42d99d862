"""A text with the name of its file: places in it, and complaints about them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provisioner import redaction
from provisioner.errors import Exit, VmnetError, Where
from provisioner.pattern import pattern
from provisioner.text import hides, one_line

if TYPE_CHECKING:
    from collections.abc import Iterator


_BREAK = pattern(r"\r\n|\r|\n")


class Source:
    """Where a text came from: marks in it become places, `shift` columns further right."""

    def __init__(self, file: str, text: str, *, shift: int = 0, shown: str | None = None) -> None:
        self.file = file
        self.text = text
        self.shift = shift
        self.lines = [shown] if shown is not None else _BREAK.split(text)
        self.secrets = redaction.hidden(text) if shown is None else {}

    def where(self, line: int, column: int) -> Where:
        """Return the place of a line and column that count from 0; its text shows no secret."""
        shown = self.lines[line] if line < len(self.lines) else ""
        text, at = redaction.masked(shown, self.secrets.get(line, ()), column)
        caret = 0 if at == column else at + 1
        return Where(self.file, line + 1, column + 1 + self.shift, text, caret)

    def is_secret(self, line: int, column: int) -> bool:
        """Return whether the value of a secret key stands at a line and column."""
        return any(start <= column < end for start, end in self.secrets.get(line, ()))


def complaint(where: Where, what: str, fix: str) -> VmnetError:
    """Make a complaint about the user's input."""
    return VmnetError(what, where=where, fix=fix, status=Exit.BAD_INPUT)


def hidden(source: Source) -> Iterator[VmnetError]:
    """Find controls, bidi overrides and lone surrogates: YAML or the eye trips over them."""
    for number, line in enumerate(_BREAK.split(source.text)):
        if line.isprintable():
            continue
        for column, character in enumerate(line):
            if character != "\t" and hides(character):
                yield complaint(
                    source.where(number, column),
                    f"the invisible character {one_line(character)} stands here",
                    "delete it, or save the file as plain UTF-8 text",
                )
                break
