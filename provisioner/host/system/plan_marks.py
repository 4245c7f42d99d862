"""The mark in a plan's folders: read and written, whole or not at all."""

import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Final

from provisioner.host.system import paths
from provisioner.inventory.plan_mark import PlanMark, parsed
from provisioner.plan import scalars

MARK: Final = ".vmnet"
_MOST: Final = 16 << 10


def new(plan: str) -> PlanMark:
    """Return the mark of a folder that is made now."""
    return PlanMark(plan, made=int(time.time()))


def read(folder: Path) -> PlanMark | None:
    """Read the mark of a plan's folder; None when it has none, or none that can be read."""
    try:
        handle = os.open(folder / MARK, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(handle, "rb") as file:
            return parsed(file.read(_MOST).decode("utf-8", "replace"))
    except OSError:
        return None


def every() -> list[PlanMark]:
    """Read the marks of the plans that have a folder here, by name; none where that is hidden."""
    try:
        folders = sorted(paths.state().iterdir())
    except OSError:
        return []
    marks = ((folder.name, read(folder)) for folder in folders)
    return [mark for name, mark in marks if mark and mark.plan == name and _is_name(name)]


def _is_name(text: str) -> bool:
    try:
        return scalars.plan_name(text) == text
    except scalars.BadValue:
        return False


def write(folder: Path, mark: PlanMark) -> None:
    """Write the mark of a folder, in place of the one that is there. Raises OSError."""
    draft = folder / f"{MARK}.part"
    draft.write_text(str(mark), encoding="utf-8")
    with draft.open("rb") as file:
        os.fsync(file.fileno())
    draft.rename(folder / MARK)


def renewed(folder: Path, mark: PlanMark) -> bool:
    """Bring the mark of a folder up to date; it keeps its `made`. False when it is another's.

    Raises OSError.
    """
    have = read(folder)
    if have is None or have.plan != mark.plan:
        return False
    wanted = replace(mark, made=have.made or mark.made, others=have.others)
    if wanted != have:
        write(folder, wanted)
    return True
