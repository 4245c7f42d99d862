"""Where the values of a plan stand in its file."""

from collections.abc import Mapping as Map

from provisioner.dataclass import dataclass
from provisioner.errors import Where
from provisioner.plan.load.yaml_tree import Mapping, Node, Scalar, Sequence
from provisioner.plan.vm import Disk, Vm

_KEYS = {
    name: field.alias
    for model in (Vm, Disk)
    for name, field in model.model_fields.items()
    if field.alias
}
"""Field names of the model that are other keys in the file."""


@dataclass(frozen=True, slots=True)
class Places:
    """The tree of a plan, and which entry of `vms` each VM came from (`count` makes several)."""

    root: Mapping
    entries: Map[str, str]

    def where(self, *path: str | int) -> Where:
        """Return the place of the value at a path such as ("vms", "web2", "nics", 0).

        A mapping or list stands where its key does. What the file does not say stands where its
        nearest parent does; what it says in `defaults`, stands there.
        """
        here: Node = self.root
        place = here.where
        for step in self._as_written(path):
            below = _below(here, step)
            if below is None:
                break
            key = here.keys.get(str(step)) if isinstance(here, Mapping) else None
            here = below
            place = here.where if isinstance(here, Scalar) or key is None else key
        return place

    def key(self, *path: str | int) -> Where:
        """Return the place of the last key of a path, or of its parent if there is no such key."""
        here: Node = self.root
        for step in self._as_written(path[:-1]):
            here = _below(here, step) or here
        key = here.keys.get(str(path[-1])) if isinstance(here, Mapping) and path else None
        return key or self.where(*path)

    def _as_written(self, path: tuple[str | int, ...]) -> tuple[str | int, ...]:
        """Follow a path of the model to the entry, key or default that was written."""
        steps = tuple(_KEYS.get(step, step) if isinstance(step, str) else step for step in path)
        match steps:
            case ("vms", str(vm), *rest):
                entry: tuple[str, ...] = ("vms", self.entries.get(vm, vm))
            case _:
                entry, rest = (), list(steps)
        inherited = ("defaults", *rest)
        if rest and not self._is_written((*entry, rest[0])) and self._is_written(inherited[:2]):
            return inherited
        return (*entry, *rest)

    def _is_written(self, path: tuple[str | int, ...]) -> bool:
        here: Node | None = self.root
        for step in path:
            here = _below(here, step) if here else None
        return here is not None


def _below(node: Node, step: str | int) -> Node | None:
    """Return what stands below a node; a single value also stands for the list that holds it."""
    match node:
        case Mapping():
            return node.items.get(str(step))
        case Sequence() if isinstance(step, int) and step < len(node.items):
            return node.items[step]
        case Scalar() if isinstance(step, int):
            return node
        case _:
            return None
