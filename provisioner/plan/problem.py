"""A complaint about a path of the plan, before anybody knows the line that it stands on."""

from collections.abc import Iterable
from dataclasses import dataclass

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong at a path of the plan, how to fix it, and the other place it clashes with."""

    path: Path
    what: str
    fix: str
    other: Path | None = None


def refuse(kind: str, problems: Iterable[Problem]) -> None:
    """Raise every problem at once, each at its own path, as pydantic's ValidationError."""
    from pydantic_core import InitErrorDetails, PydanticCustomError, ValidationError

    found = list(problems)
    if not found:
        return
    raise ValidationError.from_exception_data(
        kind,
        [
            InitErrorDetails(
                type=PydanticCustomError(
                    kind, "{what}", {"what": one.what, "fix": one.fix, "other": one.other}
                ),
                loc=one.path,
                input=None,
            )
            for one in found
        ],
    )
