"""The tree of a plan file to the data that the models judge: counts expanded, defaults merged."""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, ValidationError

from provisioner.dataclass import dataclass
from provisioner.plan import scalars
from provisioner.plan.load.yaml_tree import Mapping, Node, Scalar, Sequence
from provisioner.plan.model import Plan, Vm
from provisioner.plan.rules.plan import MOST_VMS
from provisioner.plan.types import DEFAULTABLE, keys
from provisioner.source_text import complaint

if TYPE_CHECKING:
    from collections.abc import Collection

    from provisioner.errors import VmnetError, Where

COUNT = scalars.Whole("a number of VMs", 1, MOST_VMS)
"""The reader of `count`, which only the file has."""


@dataclass(slots=True)
class Shaped:
    """Data for the models, the entry that each VM came from, and complaints about the shape.

    `whole` is false when networks or VMs are missing from the data: rules that span several of
    them would then complain about what the user did write.
    """

    data: dict[str, Any] = field(default_factory=dict)
    entries: dict[str, str] = field(default_factory=dict)
    complaints: list[VmnetError] = field(default_factory=list)
    whole: bool = True

    def complain(self, where: Where, what: str, fix: str) -> None:
        """Add a complaint about the user's input."""
        self.complaints.append(complaint(where, what, fix))


def shape(root: Mapping) -> Shaped:
    """Return the models' data for a plan file."""
    shaped = Shaped()
    defaults = _defaults(root, shaped)
    shaped.data = {key: defaults[key] for key in keys(Plan, DEFAULTABLE) if key in defaults}
    for key, node in root.items.items():
        if key not in {"defaults", "networks", "vms"}:
            shaped.data[key] = plain(node)
    if "networks" in root.items:
        shaped.data["networks"] = [
            _named(key, node, shaped)
            for key, node in _section(root, "networks", shaped).items.items()
        ]
    if "vms" in root.items:
        merged = {key: value for key, value in defaults.items() if key in keys(Vm, DEFAULTABLE)}
        shaped.data["vms"] = _vms(_section(root, "vms", shaped), merged, shaped)
    return shaped


def plain(node: Node) -> Any:  # noqa: ANN401  (text, lists and dicts of it: the models judge)
    """Return a tree as text, lists and dicts."""
    match node:
        case Scalar():
            return node.text
        case Sequence():
            return [plain(item) for item in node.items]
        case Mapping():
            return {key: plain(value) for key, value in node.items.items()}


def _section(root: Mapping, key: str, shaped: Shaped) -> Mapping:
    """Return a section of names and what they name; an empty one if it is something else."""
    node = root.items[key]
    if isinstance(node, Mapping):
        return node
    shaped.whole = False
    example = {"networks": "lan: {switch: true, subnet: 10.77.0.0/24}", "vms": "web: {nics: [lan]}"}
    shaped.complain(
        root.keys[key], f"{key} is not made of names and what they name", f"write {example[key]}"
    )
    return Mapping(node.where)


def _named(key: str, node: Node, shaped: Shaped) -> Any:  # noqa: ANN401
    """Return an entry with its key as its name; a name inside would be a second one."""
    entry = plain(node)
    if not isinstance(node, Mapping):
        return entry
    if "name" in entry:
        where = node.keys["name"]
        shaped.complain(
            where, f'unknown key "name": {scalars.quoted(key)} is the name', "remove it"
        )
    return {**entry, "name": key}


def _defaults(root: Mapping, shaped: Shaped) -> dict[str, Any]:
    node = root.items.get("defaults")
    if node is None:
        return {}
    if not isinstance(node, Mapping):
        shaped.complain(
            root.keys["defaults"], "defaults is not made of keys", "write defaults: {memory: 256M}"
        )
        return {}
    known = [*keys(Vm, DEFAULTABLE), *sorted(keys(Plan, DEFAULTABLE))]
    for key in node.items:
        if key not in known:
            shaped.complain(node.keys[key], *unknown(key, known))
    _judge(Vm, {"name": "x", "nics": ["x"]}, node, shaped)
    _judge(Plan, {"name": "x", "networks": [], "vms": []}, node, shaped)
    return {key: plain(value) for key, value in node.items.items()}


def _judge(model: type[BaseModel], data: dict[str, Any], defaults: Mapping, shaped: Shaped) -> None:
    """Complain about defaults that cannot be read, even where every VM says otherwise."""
    for key in keys(model, DEFAULTABLE):
        if key in defaults.items:
            value = plain(defaults.items[key])
            # Of the image's own disk, defaults have the size alone.
            data[key] = {"size": value} if key == "disk" else value
    try:
        model.model_validate(data)
    except ValidationError as error:
        for detail in error.errors():
            first, *rest = detail["loc"]
            node = defaults.items[str(first)]
            if isinstance(node, Sequence) and rest and isinstance(rest[0], int):
                node = node.items[rest[0]]
            bad = detail["ctx"]["error"]
            shaped.complain(node.where, bad.what, bad.fix)


def nearest_key(key: str, known: Collection[str]) -> str | None:
    """Return the known key that somebody means by another: by a like word, or another tool's."""
    meant = _OF_OTHER_TOOLS.get(key)
    return meant if meant in known else scalars.nearest(key, known)


_OF_OTHER_TOOLS: Final = {
    "ram": "memory",
    "mem": "memory",
    "cpu": "cpus",
    "vcpu": "cpus",
    "vcpus": "cpus",
    "cores": "cpus",
    "bridge": "uplink",
    "ip": "address",
    "mac_address": "mac",
}
"""What libvirt, Proxmox, Vagrant and cloud-init call keys of a plan."""


def unknown(key: str, known: Collection[str]) -> tuple[str, str]:
    """Return the complaint that a key is unknown, with a fix that lists the known ones."""
    near = nearest_key(key, known)
    guess = f'did you mean "{near}"? ' if near else ""
    fix = f"{guess}known keys: {', '.join(known)}"
    return f"unknown key {scalars.quoted(key)}", fix


def _vms(section: Mapping, defaults: dict[str, Any], shaped: Shaped) -> list[Any]:
    """Return every VM; `shaped.entries` has them in the same order."""
    vms: list[Any] = []
    for key, node in section.items.items():
        entry = _named(key, node, shaped)
        if isinstance(node, Mapping):
            entry.pop("count", None)
            if "nics" in entry:
                entry["nics"] = list(scalars.many(entry["nics"]))
        for name in _names(key, node, shaped):
            if name in shaped.entries:
                _twice(section, key, name, shaped)
                continue
            shaped.entries[name] = key
            if isinstance(node, Mapping):
                vms.append({**defaults, **entry, "name": name})
            else:
                vms.append(entry)
    return vms


def _twice(section: Mapping, key: str, name: str, shaped: Shaped) -> None:
    first = section.keys[shaped.entries[name]]
    shaped.complain(
        section.keys[key],
        f"two VMs are named {scalars.quoted(name)}, the first at {first}",
        "rename one: count numbers its VMs from 1",
    )


def _names(key: str, node: Node, shaped: Shaped) -> list[str]:
    """Return the names of an entry's VMs: its own, or numbered ones if it has a count."""
    written = node.items.get("count") if isinstance(node, Mapping) else None
    if written is None:
        return [key]
    if not scalars.is_vm_name(key):
        return [key]  # its model complains
    try:
        count = COUNT(plain(written))
        scalars.vm_name(f"{key}{count}")
    except scalars.BadValue as error:
        shaped.complain(written.where, error.what, error.fix)
        return [key]
    if len(shaped.entries) + count > MOST_VMS:
        shaped.complain(
            written.where, f"the plan has more than {MOST_VMS} VMs", "split it into several plans"
        )
        return [key]
    return [f"{key}{number}" for number in range(1, count + 1)]
