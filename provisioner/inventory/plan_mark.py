"""The mark in a plan's folders as text: whose they are, since when, and until when.

Its first line is the plan's name, all that an older vmnet has written; below stand lines
`key: value`. Keys that are not known here are a newer vmnet's, and stay when a mark is renewed.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from provisioner.dataclass import dataclass
from provisioner.pattern import pattern
from provisioner.plan import scalars

_LINE = pattern(r"([a-z][a-z-]*): (.*)")
_MOST_DIGITS: Final = 13


@dataclass(frozen=True, slots=True)
class PlanMark:
    """What a mark says; times are seconds since 1970, 0 where it does not say one."""

    plan: str
    made: int = 0
    until: int = 0  # what is up is nobody's from then on
    file: str = ""  # the plan's own file
    connection: str = ""  # another libvirt than vmnet would choose
    words: str = ""  # of the command line that it stands for, where it has no file
    others: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        """Return the text of the file."""
        return "".join([f"{self.plan}\n", *(f"{key}: {value}\n" for key, value in self._lines())])

    def _lines(self) -> Iterator[tuple[str, str]]:
        for key, number in (("made", self.made), ("until", self.until)):
            if number:
                yield key, str(number)
        texts = {"file": self.file, "connection": self.connection, "words": self.words}
        for key, text in texts.items():
            if text and text.isprintable() and text == text.strip():
                yield key, text
        yield from self.others


def parsed(text: str) -> PlanMark:
    """Parse a mark's text; lines that mean nothing are passed over."""
    first, *lines = text.split("\n")
    mark = PlanMark(first.strip())
    for line in lines:
        if found := _LINE.fullmatch(line.rstrip()):
            mark = _with(mark, found[1], found[2])
    return mark


def _with(mark: PlanMark, key: str, value: str) -> PlanMark:
    match key:
        case "made":
            return replace(mark, made=_time(value))
        case "until":
            return replace(mark, until=_time(value))
        case "file":
            return replace(mark, file=value)
        case "words":
            return replace(mark, words=value)
        case "connection":
            return replace(mark, connection=_uri(value))
        case _:
            return replace(mark, others=(*mark.others, (key, value)))


def _uri(text: str) -> str:
    """Return a connection that an operator could have given: another one runs programs as root."""
    try:
        return scalars.uri(text)
    except scalars.BadValue:
        return ""


def _time(text: str) -> int:
    is_one = text.isascii() and text.isdecimal() and len(text) <= _MOST_DIGITS
    return int(text) if is_one else 0
