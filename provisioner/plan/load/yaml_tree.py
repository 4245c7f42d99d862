"""YAML text to a tree of text: no guessed types, every node knows where it stands.

Plans need mappings, lists and scalars. Anchors, aliases, merge keys and tags are refused: some
dozen lines of them expand to gigabytes, and PyYAML hangs on a chain of merge keys.
"""

from __future__ import annotations

from dataclasses import field
from itertools import islice
from typing import TYPE_CHECKING

from provisioner.dataclass import dataclass
from provisioner.plan.scalars import quoted
from provisioner.source_text import Source, complaint, hidden
from provisioner.text import hides, one_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from yaml import Event, ScalarEvent, YAMLError

    from provisioner.errors import VmnetError, Where

_DEEPEST = 12
_MOST_NODES = 200_000
_MOST_COMPLAINTS = 20
NULLS = frozenset({"", "~", "null", "Null", "NULL"})


@dataclass(slots=True)
class Scalar:
    """One value, as it was written; nothing at all (also `~` and `null`) is the empty text."""

    where: Where
    text: str
    is_plain: bool = True  # without quotes


@dataclass(slots=True)
class Sequence:
    """A list."""

    where: Where
    items: list[Node] = field(default_factory=list)


@dataclass(slots=True)
class Mapping:
    """Keys and values in the order of the file; `keys` are the places of the keys themselves."""

    where: Where
    items: dict[str, Node] = field(default_factory=dict)
    keys: dict[str, Where] = field(default_factory=dict)


Node = Scalar | Sequence | Mapping


def read(source: Source) -> tuple[Node | None, list[VmnetError]]:
    """Return the tree, or None if there is nothing to judge, and every complaint about the YAML."""
    steering = list(islice(hidden(source), _MOST_COMPLAINTS))
    if steering:
        return None, steering
    reader = _Reader(source)
    return reader.document(), reader.complaints


class _EnoughError(Exception):
    """The text is too deep or too long to go on; the complaint is made already."""


class _Reader:
    """Builds the tree out of the parser's events: nothing is resolved, copied or constructed."""

    def __init__(self, source: Source) -> None:
        import yaml

        self.source = source
        self.complaints: list[VmnetError] = []
        self.whole = True
        self.count = 0
        self.yaml = yaml
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        self.events: Iterator[Event] = yaml.parse(source.text, Loader=loader)

    def document(self) -> Node | None:
        """Parse the one document; None if there is none, or too much of it cannot be judged."""
        try:
            node = self._stream()
        except self.yaml.YAMLError as error:
            self.complaints.append(self._syntax(error))
            return None
        except _EnoughError:
            return None
        return node if self.whole else None

    def _stream(self) -> Node | None:
        node: Node | None = None
        seen = False
        for event in self.events:
            if not isinstance(event, self.yaml.DocumentStartEvent):
                continue
            if seen:
                self._complain(event, "a second document begins here", "keep one plan in a file")
                raise _EnoughError
            seen = True
            node = self._node(next(self.events), 0)
        return node

    def _node(self, event: Event, depth: int) -> Node:
        self.count += 1
        if depth > _DEEPEST:
            self._complain(event, "this is nested too deep", "a plan needs no more than six levels")
            raise _EnoughError
        if self.count > _MOST_NODES:
            self._complain(event, "this is too long for a plan", "split it into several plans")
            raise _EnoughError
        self._plain(event)
        match event:
            case self.yaml.ScalarEvent():
                return self._scalar(event)
            case self.yaml.SequenceStartEvent():
                return self._sequence(event, depth)
            case self.yaml.MappingStartEvent():
                return self._mapping(event, depth)
            case _:  # an alias: what it stands for is not known here
                self.whole = False
                return Scalar(self._where(event), "")

    def _plain(self, event: Event) -> None:
        """Refuse what makes one node stand for another, or for an object."""
        if isinstance(event, self.yaml.AliasEvent):
            self._complain(event, "an alias stands here", "write the value out, or use defaults:")
        elif getattr(event, "anchor", None):
            self._complain(event, "an anchor stands here", "take out the &name")
        elif getattr(event, "tag", None):
            tag = quoted(str(getattr(event, "tag", "")).replace("tag:yaml.org,2002:", "!!"))
            self.whole = self.whole and isinstance(event, self.yaml.ScalarEvent)
            mark = event.start_mark
            what, fix = f"the tag {tag} stands here", "take it out: values need no tags"
            if mark and self.source.is_secret(mark.line, mark.column):
                what, fix = "this begins like a tag", "put it in quotes"
            self._complain(event, what, fix)

    def _scalar(self, event: ScalarEvent) -> Scalar:
        text: str = event.value
        for character in text:
            if character not in "\n\t" and hides(character):
                self._complain(
                    event, f"the text holds the character {one_line(character)}", "take it out"
                )
                break
        is_plain = not event.style
        return Scalar(self._where(event), "" if is_plain and text in NULLS else text, is_plain)

    def _sequence(self, event: Event, depth: int) -> Sequence:
        sequence = Sequence(self._where(event))
        while not isinstance(item := next(self.events), self.yaml.SequenceEndEvent):
            sequence.items.append(self._node(item, depth + 1))
        return sequence

    def _mapping(self, event: Event, depth: int) -> Mapping:
        mapping = Mapping(self._where(event))
        while not isinstance(at := next(self.events), self.yaml.MappingEndEvent):
            key = self._node(at, depth + 1)
            value = self._node(next(self.events), depth + 1)
            if not isinstance(key, Scalar):
                self._complain(at, "a key must be a plain word", "write key: value")
            elif key.text == "<<":
                self._complain(at, "the merge key << stands here", "use defaults: instead")
                self.whole = False
            elif key.text in mapping.items:
                self._complain(
                    at,
                    f"key {quoted(key.text)} is given twice, first at {mapping.keys[key.text]}",
                    "remove one of the two",
                )
            else:
                mapping.items[key.text] = value
                mapping.keys[key.text] = key.where
        return mapping

    def _where(self, event: Event) -> Where:
        mark = event.start_mark
        return self.source.where(mark.line, mark.column) if mark else self.source.where(0, 0)

    def _complain(self, event: Event, what: str, fix: str) -> None:
        self.complaints.append(complaint(self._where(event), what, fix))
        if len(self.complaints) >= _MOST_COMPLAINTS:
            raise _EnoughError

    def _raw(self, where: Where, more: int = 0) -> str:
        """Return what stands in the source from a place on, or `more` columns on; secrets too."""
        line, column = where.line - 1, max(0, where.column - 1 - self.source.shift + more)
        return self.source.lines[line][column:] if line < len(self.source.lines) else ""

    def _syntax(self, error: YAMLError) -> VmnetError:
        marks = [getattr(error, "problem_mark", None), getattr(error, "context_mark", None)]
        places = [self.source.where(mark.line, mark.column) for mark in marks if mark]
        # An open quote ends behind the last line, where there is no text.
        in_text = [place for place in places if place.text]
        where = (in_text or places or [self.source.where(0, 0)])[0]
        rest = self._raw(where)
        if rest.startswith("\t"):
            return complaint(where, "a tab stands where YAML wants spaces", "indent with spaces")
        if rest.startswith("{") and self._raw(where, -1).startswith("$"):
            return complaint(
                where,
                "within { } and [ ] the braces of a variable are taken for the YAML's own",
                'put it in quotes: "${NAME}"',
            )
        problem = getattr(error, "problem", None) or "it cannot be read"
        if "cannot start any token" in problem:
            first = quoted(rest[:1])
            return complaint(where, f"a value cannot begin with {first}", "put it in quotes")
        return complaint(
            where,
            f"not valid YAML: {one_line(problem)}",
            "check indentation and quotes around here",
        )
