"""Defaults from outside a plan: of a host, and of a user, for what the plan leaves open."""

from collections.abc import Mapping as Map
from collections.abc import Sequence as Seq

from provisioner.dataclass import dataclass
from provisioner.errors import VmnetError, Where
from provisioner.plan.load.yaml_tree import Mapping, read
from provisioner.source_text import Source, complaint


@dataclass(frozen=True, slots=True)
class DefaultsFile:
    """A file with the keys that a plan's `defaults` may have; `besides` are keys of other use."""

    name: str
    text: str
    besides: tuple[str, ...] = ()


def inherit(root: Mapping, files: Seq[DefaultsFile]) -> tuple[Map[str, Where], list[VmnetError]]:
    """Put into a plan's tree what its own `defaults` do not say; a later file comes first.

    Returns the keys that were put there and where they stand, and what cannot be read.
    """
    taken: dict[str, Where] = {}
    complaints: list[VmnetError] = []
    own = root.items.get("defaults")
    into = own if isinstance(own, Mapping) else Mapping(root.where)
    for file in reversed(files):
        tree, found = read(Source(file.name, file.text.removeprefix("\ufeff")))
        complaints += found
        if tree is not None and not isinstance(tree, Mapping):
            what = "this file of defaults is not made of keys and values"
            complaints.append(complaint(tree.where, what, "write keys and values: memory: 1G"))
        elif tree is not None:
            for key in (x for x in tree.items if x not in into.items and x not in file.besides):
                into.items[key] = tree.items[key]
                taken[key] = into.keys[key] = tree.keys[key]
    if own is None and taken:
        root.items["defaults"] = into
        root.keys["defaults"] = next(iter(taken.values()))
    return taken, complaints
