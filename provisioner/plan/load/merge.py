"""Several files that make one plan: what a later one says is taken instead."""

from provisioner.plan.load.yaml_tree import Mapping


def into(first: Mapping, later: Mapping) -> None:
    """Merge a tree into another one: key by key where both have mappings, else the later's whole.

    Lists are not joined: which of their items are meant would be a guess.
    """
    for key, node in later.items.items():
        here = first.items.get(key)
        if isinstance(here, Mapping) and isinstance(node, Mapping):
            into(here, node)
        else:
            first.items[key] = node
            first.keys[key] = later.keys[key]
