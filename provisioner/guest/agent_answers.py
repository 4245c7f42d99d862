"""JSON that a guest has written: read strictly, since it may say anything at all."""

import json
import math
from typing import Any, Final, NoReturn

_MOST_DIGITS: Final = 20  # of a whole number: 64 bits have no more


def parsed(text: str) -> Any:  # noqa: ANN401  (JSON)
    """Read JSON. Raises ValueError for what is not JSON, or what readers disagree about.

    That is: numbers that are not finite or have more than 20 digits, a key that comes twice,
    nesting without end.
    """
    try:
        return json.loads(
            text,
            parse_int=_whole,
            parse_float=_finite,
            parse_constant=_refuse,
            object_pairs_hook=_unique,
        )
    except RecursionError as error:
        raise ValueError("nested without end") from error


def returned(text: str) -> Any:  # noqa: ANN401  (JSON)
    """Give what an agent's answer returns. Raises ValueError when it is not an answer."""
    answer = parsed(text)
    if not isinstance(answer, dict) or "return" not in answer:
        raise ValueError("no answer")
    return answer["return"]


def _whole(digits: str) -> int:
    if len(digits) > _MOST_DIGITS:
        raise ValueError("a number of too many digits")
    return int(digits)


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError("a number without end")
    return number


def _refuse(word: str) -> NoReturn:
    raise ValueError(word)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key that comes twice")
    return found
