"""The envelope of every JSON document that vmnet prints; the strict parser of those of others."""

import dataclasses
import json
import math
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, NoReturn, TypedDict

from provisioner.text import one_line, sanitize

FORMAT: Final = 1  # changes only when a reader of the old one would be misled
_MOST_DIGITS: Final = 20  # of a whole number: 64 bits have no more


class Envelope(TypedDict):
    """What every document begins with."""

    format: Annotated[Literal[1], "Changes only when a reader of the old one would be misled."]
    command: Annotated[str, "The command that has written it."]
    status: Annotated[int, "Its exit status."]


def json_document(command: str, status: int, document: Mapping[str, object]) -> str:
    """Return a document of a command in its envelope, every string sanitised.

    `document` holds what json.dumps takes.
    """
    envelope = Envelope(format=FORMAT, command=command, status=int(status))
    return json.dumps(sanitized({**envelope, **document}), indent=2)


def json_line(command: str, document: Mapping[str, object]) -> str:
    """Return a document as `json_document` does, on one line: one of many of a command."""
    envelope = Envelope(format=FORMAT, command=command, status=0)
    return json.dumps(sanitized({**envelope, **document}))


def sanitized(value: object) -> object:
    """Return a value as what becomes JSON, with every string in it sanitised."""
    match value:
        case str():
            return sanitize(value)
        case dict():
            return {sanitize(str(key)): sanitized(item) for key, item in value.items()}
        case list() | tuple():
            return [sanitized(item) for item in value]
        case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return sanitized(dataclasses.asdict(value))
        case _:
            return value


def strict(text: str) -> Any:  # noqa: ANN401  (JSON)
    """Parse JSON strictly.

    Raises ValueError for what is not JSON, and for what parsers disagree about: numbers that are
    not finite or have more than 20 digits, a key that comes twice; RecursionError for nesting
    without end.
    """
    return json.loads(
        text,
        parse_int=_whole,
        parse_float=_finite,
        parse_constant=_refuse,
        object_pairs_hook=_unique,
    )


def _whole(digits: str) -> int:
    if len(digits) > _MOST_DIGITS:
        raise ValueError("a number has too many digits")
    return int(digits)


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError("a number is too large")
    return number


def _refuse(word: str) -> NoReturn:
    raise ValueError(f"{word} is not a number")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f'the key "{one_line(key, 60)}" is given twice')
        found[key] = value
    return found
