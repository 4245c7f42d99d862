"""What an HTTP reply means for the part of a file that is here already."""

import re
from dataclasses import dataclass

from provisioner.text import one_line

_CONTENT_RANGE = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19}|\*)")
_DIGITS = re.compile(r"\d{1,19}")
_BODIES = frozenset({200, 206})


@dataclass(frozen=True, slots=True)
class Head:
    """What vmnet reads of a reply's head; a header that is not there is None.

    `chunked` bodies say themselves where they end, and have no length.
    """

    status: int
    length: str | None = None
    range: str | None = None
    etag: str | None = None
    encoding: str | None = None
    chunked: bool = False


@dataclass(frozen=True, slots=True)
class Part:
    """The first `size` bytes of a file, the ETag it had, and its whole length if that was told."""

    size: int = 0
    etag: str | None = None
    total: int | None = None


@dataclass(frozen=True, slots=True)
class Continue:
    """The body goes on where the part ends, up to `total` bytes in all (None: not told)."""

    total: int | None


@dataclass(frozen=True, slots=True)
class Begin:
    """The body is the whole file; what was there before is thrown away."""

    total: int | None


@dataclass(frozen=True, slots=True)
class AskAnew:
    """The reply does not fit the part: throw it away and ask for the whole file."""

    why: str


@dataclass(frozen=True, slots=True)
class Useless:
    """The reply is not a file."""

    why: str


Meaning = Continue | Begin | AskAnew | Useless


def strong(etag: str | None) -> str | None:
    """Give an ETag that proves two files equal byte for byte, else None (RFC 9110, 8.8.3)."""
    quoted = etag is not None and etag.startswith('"') and etag.endswith('"')
    return etag if quoted and etag != '"' else None


def ask(part: Part) -> dict[str, str]:
    """Give the headers that ask for the rest of a part, or none to ask for the whole file."""
    if not part.size or not strong(part.etag):
        return {}
    return {"Range": f"bytes={part.size}-", "If-Range": part.etag or ""}


def meaning(head: Head, part: Part) -> Meaning:
    """Tell what a reply to `ask(part)` means."""
    asked_for_rest = bool(ask(part))
    if head.status in _BODIES and head.encoding not in {None, "", "identity"}:
        told = one_line(head.encoding or "", 40)
        return Useless(f"it comes in the encoding {told}, which vmnet did not ask for")
    match head.status:
        case 200:
            return _begin(head)
        case 206 if asked_for_rest:
            return _continue(head, part)
        case 206:
            return Useless("it sent a part of the file although the whole was asked for")
        case 416 if asked_for_rest:
            return AskAnew("the server has no more of it")
        case status:
            return Useless(f"the server answers {status}")


def _begin(head: Head) -> Meaning:
    if head.length is None:
        return Begin(None)
    if not _DIGITS.fullmatch(head.length):
        return Useless(f"its length is {one_line(head.length, 40)}")
    return Begin(int(head.length))


def _continue(head: Head, part: Part) -> Meaning:
    found = _CONTENT_RANGE.fullmatch(head.range or "")
    if not found:
        return AskAnew("the server sent a part without saying which")
    first, last, total = int(found[1]), int(found[2]), found[3]
    whole = None if total == "*" else int(total)
    if first != part.size or last < first or (whole is not None and last != whole - 1):
        return AskAnew("the server sent another part than was asked for")
    if head.length is not None and head.length != str(last - first + 1):
        return AskAnew("the server sent a part of another length than it says")
    if head.etag != part.etag or (part.total is not None and whole not in {None, part.total}):
        return AskAnew("the file has changed on the server")
    return Continue(last + 1)
