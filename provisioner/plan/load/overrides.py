"""`--set networks.lan.mode=vepa`: change the tree of a plan before it is judged."""

from provisioner import redaction
from provisioner.errors import VmnetError, Where
from provisioner.plan.load.yaml_tree import Mapping, Node, Scalar, Sequence, read
from provisioner.plan.scalars import quoted
from provisioner.source_text import Source, complaint
from provisioner.text import one_line

_LONGEST_INDEX = 5


def apply(root: Mapping, override: str) -> list[VmnetError]:
    """Set one value in the tree, making the keys on its way; give what is wrong with it."""
    path, equals, text = override.partition("=")
    steps = path.split(".")
    shown = _shown(path, equals, text)
    source = Source(f"--set {shown}", text, shift=len(path) + 1, shown=shown)
    begin = Where(source.file, 1, 1, shown)
    if not equals or not all(steps):
        fix = "write it like --set networks.lan.mode=vepa"
        return [complaint(begin, f"{quoted(shown)} is not KEY.KEY=VALUE", fix)]
    value, complaints = read(source)
    if complaints:
        return complaints
    here: Node = root
    for at, step in enumerate(steps[:-1]):
        below = _below(here, step, begin)
        if below is None:
            return [_nothing_there(begin, steps[: at + 1])]
        here = below
    if not _put(here, steps[-1], value or Scalar(source.where(0, 0), ""), begin):
        return [_nothing_there(begin, steps)]
    return []


def _shown(path: str, equals: str, text: str) -> str:
    """Return the override as complaints show it: no secret in it."""
    hidden = any(map(redaction.is_secret, path.split("."))) or redaction.are_in(text)
    return one_line(f"{path}{equals}{redaction.MASK if equals and hidden else text}")


def _nothing_there(begin: Where, steps: list[str]) -> VmnetError:
    return complaint(
        begin, f"the plan has no place {quoted('.'.join(steps))}", "name keys that the plan has"
    )


def _below(node: Node, step: str, begin: Where) -> Node | None:
    """Return what stands at a key, made if missing; a short form gives way to its long form."""
    match node:
        case Mapping():
            below = node.items.get(step)
            if below is None or (isinstance(below, Scalar) and below.text in {"", "true"}):
                below = node.items[step] = Mapping(begin)
                node.keys.setdefault(step, begin)
            return below
        case Sequence() if _is_index(step, node):
            below = node.items[int(step)]
            if isinstance(below, Scalar):
                long = Mapping(below.where, {"network": below}, {"network": below.where})
                below = node.items[int(step)] = long
            return below
        case _:
            return None


def _put(node: Node, step: str, value: Node, begin: Where) -> bool:
    match node:
        case Mapping():
            node.items[step] = value
            node.keys[step] = begin
        case Sequence() if _is_index(step, node):
            node.items[int(step)] = value
        case _:
            return False
    return True


def _is_index(step: str, sequence: Sequence) -> bool:
    return step.isdecimal() and len(step) <= _LONGEST_INDEX and int(step) < len(sequence.items)
