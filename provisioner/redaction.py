"""What of a line may not be shown in a complaint: the values of keys that hold secrets.

A complaint ends in logs of CI jobs and in issues; it quotes the line that it is about, and a
password may stand on the same one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from provisioner.pattern import pattern

if TYPE_CHECKING:
    import re
    from collections.abc import Iterator, Sequence

    from yaml import Event

MASK = "***"

_WORDS = r"pas+w|passphrase|secret|token|private_?key|rsa_private|ec_private|ed25519_private"
_KEY = pattern(rf"(?i)[\w-]*(?:{_WORDS})[\w-]*|contents?")
_LEXICAL = pattern(
    rf"(?i)(?<![\w-])(?:[\w-]*(?:{_WORDS})[\w-]*|contents?)[\"']?\s*[:=]\s*(?P<value>\S.*)"
    r"|(?P<key>-----BEGIN .*)"
    r"|://(?P<login>[^/\s\"']+)@"
    r"|://[^\s?\"']+\?(?P<query>[^\s\"',}]+)"
)
"""What looks like a secret in a line: where no parser knows, as in a comment."""

_MAY_BE = pattern(rf"(?i){_WORDS}|content")

_BREAK = pattern(r"\r\n|\r|\n")
_NAMES = 2  # how many collections are open where the names of networks and VMs stand

_Place = tuple[int, int]
"""A line and a column, both counted from 0."""

_Span = tuple[_Place, _Place]


def is_secret(key: str) -> bool:
    """Return whether a key's value is not to be shown; misspelt ones such as `pasword` are, too."""
    return _KEY.fullmatch(key) is not None


def are_in(text: str) -> bool:
    """Return whether there are secrets in a text, by the looks of it."""
    return _LEXICAL.search(text) is not None


def hidden(text: str) -> dict[int, list[tuple[int, int]]]:
    """Return which parts of which lines of a YAML text are secret; all count from 0.

    The values of secret keys are, over as many lines as they have. Where the text is not a YAML any
    more, all that follows is, as soon as it has the looks of a secret.
    """
    if not (_MAY_BE.search(text) or _LEXICAL.search(text)):
        return {}
    lines = _BREAK.split(text)
    found: dict[int, list[tuple[int, int]]] = {}
    for start, end in _values(text, lines):
        for number in range(start[0], min(end[0] + 1, len(lines))):
            line = lines[number]
            here = start[1] if number == start[0] else len(line) - len(line.lstrip())
            there = end[1] if number == end[0] else len(line)
            found.setdefault(number, []).append((here, there))
    for number, line in enumerate(lines):
        for match in _by_looks(line):
            found.setdefault(number, []).append(match.span(match.lastgroup or 0))
    return {number: list(_merged(parts)) for number, parts in found.items()}


def _by_looks(line: str) -> Iterator[re.Match[str]]:
    """Find what no parser knows: private keys, logins in addresses, and secrets in comments."""
    comment = max(0, line.find("#"))
    for start in {0, comment}:
        for match in _LEXICAL.finditer(line, start):
            if match["value"] is None or "#" in line[: match.start()]:
                yield match


def _values(text: str, lines: list[str]) -> list[_Span]:
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    found = _Values()
    try:
        for event in yaml.parse(text, Loader=loader):
            found.see(event)
    except yaml.YAMLError:
        found.take_rest(lines)
    return found.spans


class _Mark(Protocol):
    line: int
    column: int


class _Values:
    """Follows a parser's events: which of them are keys, and where the values of secret ones end.

    The stack has for each open mapping whether a key comes next, for each list None.
    """

    def __init__(self) -> None:
        self.spans: list[_Span] = []
        self._open: list[bool | None] = []
        self._secret: tuple[int, _Place] | None = None  # the depth of the open value, its start
        self._after_secret_key = False
        self._last: _Place = (0, 0)

    def see(self, event: Event) -> None:
        import yaml

        if isinstance(event, yaml.CollectionEndEvent):
            self._open.pop()
            self._ended(event)
        elif isinstance(event, yaml.CollectionStartEvent | yaml.ScalarEvent | yaml.AliasEvent):
            self._last = _place(event.start_mark)
            self._begun(event, is_mapping=isinstance(event, yaml.MappingStartEvent))

    def _begun(self, event: Event, *, is_mapping: bool) -> None:
        import yaml

        is_key = bool(self._open and self._open[-1])
        if self._after_secret_key and self._secret is None:
            # A network or a VM may be called "secret": what stands in such is judged key by key.
            named = is_mapping and len(self._open) == _NAMES
            self._secret = None if named else (len(self._open), _place(event.start_mark))
        self._after_secret_key = False
        if isinstance(event, yaml.CollectionStartEvent):
            self._open.append(True if is_mapping else None)
            return
        if is_key and isinstance(event, yaml.ScalarEvent):
            self._after_secret_key = is_secret(event.value)
        self._ended(event)

    def _ended(self, event: Event) -> None:
        """Note that a node has ended: in a mapping a value comes after a key, and the reverse."""
        if self._secret and self._secret[0] == len(self._open):
            self.spans.append((self._secret[1], _place(event.end_mark)))
            self._secret = None
        if self._open and self._open[-1] is not None:
            self._open[-1] = not self._open[-1]

    def take_rest(self, lines: list[str]) -> None:
        """Treat all that follows as secret, from where the text stopped being YAML."""
        end = (len(lines), 0)
        if self._secret:
            self.spans.append((self._secret[1], end))
            return
        line, column = self._last
        for number in range(line, len(lines)):
            if match := _LEXICAL.search(lines[number], column if number == line else 0):
                start, _ = match.span(match.lastgroup or 0)
                self.spans.append(((number, start), end))
                return


def _place(mark: _Mark | None) -> _Place:
    return (mark.line, mark.column) if mark else (0, 0)


def _merged(parts: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    end = 0
    for here, there in sorted(parts):
        if max(here, end) < there:
            yield max(here, end), there
        end = max(end, there)


def masked(line: str, parts: Sequence[tuple[int, int]], column: int) -> tuple[str, int]:
    """Return a line with its secret parts masked, and where `column` (from 0) is in it then."""
    out, at, moved = "", 0, column
    for start, end in parts:
        out += line[at:start] + MASK
        if column >= end:
            moved = len(out) + column - end
        elif column > start:
            moved = len(out) - len(MASK)
        at = end
    return out + line[at:], moved


def masked_text(text: str) -> str:
    """Return a YAML text with its secrets masked; so is each line by its looks."""
    parts = hidden(text)
    lines = (
        masked(line, parts.get(number, ()), 0)[0] for number, line in enumerate(_BREAK.split(text))
    )
    return "\n".join(lines)


def masked_line(line: str) -> str:
    """Return a line of a log, of which no parser knows more, with what looks secret masked."""
    spans = [match.span(match.lastgroup or 0) for match in _LEXICAL.finditer(line)]
    return masked(line, list(_merged(spans)), 0)[0] if spans else line
