"""Errors that the user can act on: what is wrong, where in the file, how to fix it."""

import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from enum import IntEnum

from provisioner.dataclass import dataclass
from provisioner.distribution import HERE
from provisioner.text import one_line, sanitize


class Exit(IntEnum):
    """The program's exit statuses: CI branches on them."""

    DONE = 0
    BAD_INPUT = 2
    CONFLICT = 3
    HOST_CANNOT = 4
    CHECK_FAILED = 5
    PARTLY_DONE = 6
    INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class Where:
    """A place in a plan, counted from 1 as editors do, and the text of that line.

    Secrets in the text are masked; `caret` is the column in it then, 0 where that is `column`.
    """

    file: str
    line: int
    column: int
    text: str = ""
    caret: int = 0

    def __str__(self) -> str:
        """Return the form that editors and CI logs turn into a link."""
        return f"{self.file}:{self.line}:{self.column}"


class VmnetError(Exception):
    """Anything the user can act on; every other exception is our bug.

    `what` is the message, in the user's terms, `where` the place in the plan if there is one, `fix`
    how to fix it, `status` the exit status that the program ends with.
    """

    def __init__(
        self,
        what: str,
        *,
        where: Where | None = None,
        fix: str | None = None,
        status: Exit = Exit.HOST_CANNOT,
    ) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.fix = fix
        self.status = status

    def at(self, where: Where | None) -> "VmnetError":
        """Return the same error at another place, or at none."""
        return VmnetError(self.what, where=where, fix=self.fix, status=self.status)


def bad_input(what: str, fix: str) -> VmnetError:
    """Return the error for something that the user gave and that cannot be used."""
    return VmnetError(what, fix=fix, status=Exit.BAD_INPUT)


def unquoted(error: VmnetError) -> VmnetError:
    """Return the complaint with its place, but without the text of that line."""
    return error.at(error.where and replace(error.where, text=""))


class Complaints(Exception):  # noqa: N818  (a list of errors, not an error of its own)
    """Every complaint about a plan at once: nothing has been touched."""

    def __init__(self, errors: list[VmnetError]) -> None:
        super().__init__("\n".join(e.what for e in errors))
        self.errors = errors

    @property
    def status(self) -> Exit:
        """The lowest status wins: bad input comes first."""
        return min(e.status for e in self.errors)


def refuse(errors: list[VmnetError]) -> None:
    """Raise Complaints if there are errors."""
    if errors:
        raise Complaints(errors)


@contextmanager
def collected(errors: list[VmnetError], where: Where | None = None) -> Iterator[None]:
    """Append the errors that the block raises, each at `where` unless it has a place of its own."""
    try:
        yield
    except Complaints as complaints:
        errors += [error.at(error.where or where) for error in complaints.errors]
    except VmnetError as error:
        errors.append(error.at(error.where or where))


_WIDEST = 100  # characters of a line that are shown
_WIDE = frozenset({"W", "F"})


def explain(error: VmnetError) -> str:
    """Return a message for people: place and what, the line with a caret under it, the fix."""
    lines = [sanitize(error.what)]
    if error.where is not None:
        lines[0] = f"{one_line(str(error.where))}: {lines[0]}"
        if error.where.text:
            lines += _shown(error.where)
    if error.fix:
        lines.append(f"  fix: {sanitize(HERE.spoken(error.fix))}")
    return "\n".join(lines)


def _shown(where: Where) -> list[str]:
    """Return the part of the line around the column; escapes and wide characters move the caret."""
    at = (where.caret or where.column) - 1
    start = max(0, at - _WIDEST // 2)
    before = sanitize(where.text[start:at].replace("\t", " "))
    after = sanitize(where.text[at : start + _WIDEST].replace("\t", " "))
    width = sum(1 + (unicodedata.east_asian_width(one) in _WIDE) for one in before)
    return [before + after, " " * width + "^"]
