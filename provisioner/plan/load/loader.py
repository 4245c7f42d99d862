"""Plan file to Plan: every complaint at once, each with its line and column."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provisioner.dataclass import dataclass
from provisioner.errors import Complaints, VmnetError, Where

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from provisioner.plan.load.positions import Places
    from provisioner.plan.load.yaml_tree import Mapping
    from provisioner.plan.model import Plan


@dataclass(frozen=True, slots=True)
class Loaded:
    """A plan, and where its values stand in the file."""

    plan: Plan
    places: Places


def load(text: str, file: str, overrides: Sequence[str] = ()) -> Loaded:
    """Parse the text of a plan file, changed by overrides such as `networks.lan.mode=vepa`.

    Raises Complaints with everything that is wrong, status BAD_INPUT; `file` is named in them.
    """
    from provisioner.plan.load.expand import shape
    from provisioner.plan.load.positions import Places
    from provisioner.plan.load.validate import judge

    root, complaints = _tree(text, file, overrides)
    placed = {error.where for error in complaints}
    shaped = shape(root)
    places = Places(root, shaped.entries)
    plan, judged = judge(shaped, places)
    found = [error for error in (*shaped.complaints, *judged) if error.where not in placed]
    if complaints or found or plan is None:
        raise Complaints(_in_order((*complaints, *found), file))
    return Loaded(plan, places)


def _tree(text: str, file: str, overrides: Sequence[str]) -> tuple[Mapping, list[VmnetError]]:
    from provisioner.plan.load import overrides as changes
    from provisioner.plan.load.yaml_tree import Mapping, read
    from provisioner.source_text import Source, complaint

    source = Source(file, text.removeprefix("\ufeff"))
    root, complaints = read(source)
    if root is None and not complaints:
        fix = "begin with a line such as name: lab"
        complaints.append(complaint(source.where(0, 0), "the plan is empty", fix))
    elif root is not None and not isinstance(root, Mapping):
        fix = "write keys and values: name: lab, networks: ..., vms: ..."
        complaints.append(complaint(root.where, "the plan is not made of keys and values", fix))
    if not isinstance(root, Mapping):
        raise Complaints(_in_order(complaints, file))
    for override in overrides:
        complaints += changes.apply(root, override)
    return root, complaints


def _in_order(errors: Iterable[VmnetError], file: str) -> list[VmnetError]:
    """Return each complaint once, in the order of the file, then those about overrides."""
    once: dict[tuple[Where | None, str], VmnetError] = {}
    for error in errors:
        once.setdefault((error.where, error.what), error)
    nowhere = Where("", 0, 0)

    def place(error: VmnetError) -> tuple[bool, str, int, int]:
        where = error.where or nowhere
        return where.file != file, where.file, where.line, where.column

    return sorted(once.values(), key=place)
