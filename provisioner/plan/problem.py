"""A complaint about a path of the plan, before anybody knows the line that it stands on."""

from provisioner.dataclass import dataclass

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong at a path of the plan, how to fix it, and the other place it clashes with."""

    path: Path
    what: str
    fix: str
    other: Path | None = None
