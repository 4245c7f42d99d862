"""Plan file to Plan: every complaint at once, each with its line and column."""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING

from provisioner.dataclass import dataclass
from provisioner.errors import Complaints, VmnetError, Where

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from collections.abc import Mapping as Map

    from provisioner.plan.load.inherited import DefaultsFile
    from provisioner.plan.load.positions import Places
    from provisioner.plan.load.yaml_tree import Mapping
    from provisioner.plan.model import Plan


@dataclass(frozen=True, slots=True)
class Loaded:
    """A plan, where its values stand in the file, and what it has of the environment."""

    plan: Plan
    places: Places
    variables: Map[str, Where]  # that the environment has a value for, and where they stand
    inherited: Map[str, Where] = field(default_factory=dict)  # defaults from outside the plan


def load(text: str, file: str, overrides: Sequence[str] = ()) -> Loaded:
    """Parse the text of a plan file, changed by overrides such as `networks.lan.mode=vepa`.

    Raises Complaints with everything that is wrong, status BAD_INPUT; `file` is named in them.
    """
    return load_merged([(file, text)], overrides)


def load_merged(
    texts: Sequence[tuple[str, str]],
    overrides: Sequence[str] = (),
    environment: Map[str, str] | None = None,
    outside: Sequence[DefaultsFile] = (),
) -> Loaded:
    """Parse a plan that is in several files, each given by its name and its text.

    A later one changes what the earlier ones say; then defaults that none of
    them has are taken from `outside`, and variables are filled in from `environment`.
    Raises Complaints as `load` does.
    """
    from provisioner.plan.load import variables
    from provisioner.plan.load.expand import shape
    from provisioner.plan.load.inherited import inherit
    from provisioner.plan.load.positions import Places
    from provisioner.plan.load.validate import judge

    files = [file for file, _ in texts]
    root, complaints = _tree(texts, overrides)
    inherited, found = inherit(root, outside)
    complaints += found
    used, bad = variables.fill(root, environment or {})
    complaints += bad
    placed = {error.where for error in complaints}
    shaped = shape(root)
    places = Places(root, shaped.entries)
    plan, judged = judge(shaped, places)
    found = [error for error in (*shaped.complaints, *judged) if error.where not in placed]
    if complaints or found or plan is None:
        raise Complaints(_in_order((*complaints, *found), files))
    return Loaded(plan, places, used, inherited)


def printed(texts: Sequence[tuple[str, str]], overrides: Sequence[str] = ()) -> str:
    """Return a plan as one text: the file as it is where it is one and nothing changes it.

    Variables stay variables. Only what cannot be merged is judged. Raises Complaints about that.
    """
    if len(texts) == 1 and not overrides:
        return texts[0][1]
    import yaml

    from provisioner.plan.load.expand import plain

    root, complaints = _tree(texts, overrides)
    if complaints:
        raise Complaints(_in_order(complaints, [file for file, _ in texts]))
    text: str = yaml.safe_dump(plain(root), sort_keys=False, allow_unicode=True, width=1000)
    return text


def _tree(
    texts: Sequence[tuple[str, str]], overrides: Sequence[str]
) -> tuple[Mapping, list[VmnetError]]:
    from provisioner.plan.load import merge
    from provisioner.plan.load import overrides as changes

    roots: list[Mapping] = []
    complaints: list[VmnetError] = []
    for file, text in texts:
        root, found = _root(text, file)
        roots += [root] if root else []
        complaints += found
    if len(roots) < len(texts):
        raise Complaints(_in_order(complaints, [file for file, _ in texts]))
    for later in roots[1:]:
        merge.into(roots[0], later)
    for override in overrides:
        complaints += changes.apply(roots[0], override)
    return roots[0], complaints


def _root(text: str, file: str) -> tuple[Mapping | None, list[VmnetError]]:
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
    return root if isinstance(root, Mapping) else None, complaints


def _in_order(errors: Iterable[VmnetError], files: Sequence[str]) -> list[VmnetError]:
    """Return each complaint once, in the order of the files, then those about overrides."""
    once: dict[tuple[Where | None, str], VmnetError] = {}
    for error in errors:
        once.setdefault((error.where, error.what), error)
    nowhere = Where("", 0, 0)
    ranks = {file: rank for rank, file in enumerate(files)}

    def place(error: VmnetError) -> tuple[int, str, int, int]:
        where = error.where or nowhere
        return ranks.get(where.file, len(ranks)), where.file, where.line, where.column

    return sorted(once.values(), key=place)
