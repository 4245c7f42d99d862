"""What a plan says and an engine has no word for: refused by name, unless the caller gives it up.

Every key that a plan sets is carried over, is vmnet's own business (its checks, how it waits for
guests), or is complained of: a key that the plan gains later is complained of until an engine
carries it.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import field
from typing import TYPE_CHECKING, Final

from provisioner.dataclass import dataclass
from provisioner.errors import VmnetError, bad_input
from provisioner.plan.nic_settings import decided_at, settings_of
from provisioner.plan.scalars import meant, quoted
from provisioner.plan.types import Part

if TYPE_CHECKING:
    from provisioner.plan.choices import Mode
    from provisioner.plan.load.positions import Places
    from provisioner.plan.model import Plan
    from provisioner.plan.problem import Path

_GUARDED: Final = "spoof_guard"
_OWN: Final = frozenset(
    {"checks", "hosts_file", "connection", "accel", "overcommit"}
    | {"ready", "keep", "max_loss", "take_over"}
)
"""What is about vmnet alone: an engine has its own ways, and no guest notices."""

_BY_NIC: Final = frozenset(
    {"mode", "allow", "promisc", "spoof_guard", "ether_types"}
    | {"queues", "vhost", "txqueuelen", "mtu"}
)
"""What a NIC takes from its network: judged for each NIC, by what holds there."""

_UNLIKE: Final = {
    "switch": (
        "stands on an isolated uplink that vmnet makes on its host",
        "give the network an uplink",
    ),
    "granted": (
        "is made of devices that root has made on its host with vmnet net create",
        "give the network an uplink",
    ),
    "vlan": ("is a VLAN of the uplink", "make its device on each host, and name it as uplink"),
    "isolate": (
        "keeps its guests from others by their MACs",
        "leave isolate out, and know that guests meet where the modes let them",
    ),
    "kernel": ("boots a kernel of the plan's", "give it an image with a kernel of its own"),
    "ignition": ("is set up by Ignition", "use an image with cloud-init"),
    "template": ("has libvirt XML of its own", "leave it out"),
    "path": ("is a file on the host", "write a size for an empty disk"),
    "device": ("is a device of the host", "write a size for an empty disk"),
}
"""What nobody can give up, since the guest would be another one, or reach others: how it is called
there, and what to write instead."""

_NEVER_GIVEN_UP: Final = frozenset({*_UNLIKE, "mode", "promisc"})


@dataclass(frozen=True, slots=True)
class Engine:
    """What an engine has words for.

    `carries` are keys by the part of the plan that they are of; `modes` those of its NICs,
    `another` what its word for another one means, and `refused` values of carried keys that it
    does not have.
    """

    name: str
    command: str
    carries: Mapping[str, frozenset[str]]
    modes: frozenset["Mode"]
    refused: Mapping[str, frozenset[str]]
    another: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SetKey:
    """A key that a plan sets to something else than its default."""

    path: "Path"
    part: str  # the class of the plan's part
    key: str
    value: object


def complaints(
    plan: "Plan", places: "Places", engine: Engine, given_up: Collection[str]
) -> Iterator[VmnetError]:
    """Return what the engine cannot be told, each at its place, but for keys that are given up."""
    yield from _unknown(plan, engine, given_up)
    waived = set(given_up) - _NEVER_GIVEN_UP
    seen = set()
    for said in (*lost(plan, engine), *_lost_by_nic(plan, engine)):
        where = places.where(*said.path)
        if said.key not in waived and (where, said.key) not in seen:
            seen.add((where, said.key))
            yield _complaint(said, engine).at(where)


def own_business(plan: "Plan") -> tuple[SetKey, ...]:
    """Return what the plan says of vmnet's own work, which no engine is told."""
    return tuple(one for one in _sayings(plan) if one.key in _OWN)


def _unknown(plan: "Plan", engine: Engine, given_up: Iterable[str]) -> Iterator[VmnetError]:
    missing = {said.key for said in (*lost(plan, engine), *_lost_by_nic(plan, engine))}
    known = sorted(missing - _NEVER_GIVEN_UP)
    for key in given_up:
        if key in known:
            continue
        listed = f"it can be given up: {', '.join(known)}" if known else "leave --without out"
        yield bad_input(
            f"--without {quoted(key)}: the plan has nothing of that name to give up",
            f"{meant(key, known)}{listed}",
        )


def lost(plan: "Plan", engine: Engine) -> Iterator[SetKey]:
    """Return the keys that the engine does not carry, but for what NICs take from networks."""
    for said in _sayings(plan):
        carried = said.key in engine.carries.get(said.part, frozenset())
        if said.path[2:3] == ("disks",) != said.path[2:] and "disks" not in engine.carries["Vm"]:
            continue  # the disk itself is complained of
        if said.key in _OWN or (said.part in {"Network", "Nic"} and said.key in _BY_NIC):
            continue
        if not carried or str(said.value) in engine.refused.get(said.key, ()):
            yield said


def _lost_by_nic(plan: "Plan", engine: Engine) -> Iterator[SetKey]:
    """Return the settings of NICs that the engine does not have, where each is decided."""
    usual = {"promisc": True, "queues": 1, "vhost": "auto", "txqueuelen": 500, _GUARDED: "off"}
    for key, nic in plan.nics():
        how = settings_of(plan, nic)
        if how.mode not in engine.modes:
            yield SetKey(decided_at(key, nic, "mode"), "Nic", "mode", how.mode)
        for setting, plain in usual.items():
            value = getattr(how, setting)
            if value != plain:
                yield SetKey(decided_at(key, nic, setting), "Nic", setting, value)


def _complaint(said: SetKey, engine: Engine) -> VmnetError:
    name, key = engine.name, said.key
    about = _about(said)
    if key == "mode":
        modes = ", ".join(sorted(map(str, engine.modes)))
        why = engine.another.get(str(said.value), f"which {name} does not have")
        return bad_input(f"{about} has mode {said.value}, {why}", f"{name} has {modes}")
    if key == "promisc":
        what = f"{about} leaves its uplink unpromiscuous, and {name} cannot be told to"
        return bad_input(what, "leave promisc out")
    if key in _UNLIKE:
        what, fix = _UNLIKE[key]
        return bad_input(f"{about} {what}, and {name} has no such thing", fix)
    waive = f"vmnet export {engine.command} --without {key} leaves it out"
    if key == _GUARDED:
        return bad_input(
            f"{name} keeps no guest from forging MACs, and {about} is guarded "
            f"(spoof_guard: {said.value})",
            waive,
        )
    return bad_input(f"{name} has nothing for {quoted(key)} of {about}", waive)


def _about(said: SetKey) -> str:
    match said.path:
        case ("networks", str(name), *_):
            return f"network {name}"
        case ("vms", str(vm), "nics", int(number), *_):
            return f"NIC {number} of VM {vm}"
        case ("vms", str(vm), "disks", int(number), *_):
            return f"disk {number} of VM {vm}"
        case ("vms", str(vm), "disk", _, *_):
            return f"the image's disk of VM {vm}"
        case ("vms", str(vm), *_):
            return f"VM {vm}"
        case _:
            return "the plan"


def _sayings(plan: "Plan") -> Iterator[SetKey]:
    """Return every key of the plan and its parts that is set to something else than its default."""
    yield from _of(plan, ())
    for network in plan.networks:
        yield from _of(network, ("networks", network.name))
    if plan.placement:
        yield from _of(plan.placement, ("placement",))
    for vm in plan.vms:
        yield from _of(vm, ("vms", vm.name))
        for number, nic in enumerate(vm.nics):
            yield from _of(nic, ("vms", vm.name, "nics", number))
        if vm.disk:
            yield from _of(vm.disk, ("vms", vm.name, "disk"))
        for number, disk in enumerate(vm.disks):
            yield from _of(disk, ("vms", vm.name, "disks", number))


def _of(part: Part, path: "Path") -> Iterator[SetKey]:
    fields = type(part).model_fields
    for key in sorted(part.model_fields_set):
        value = getattr(part, key)
        if value != fields[key].default:
            name = fields[key].alias or key
            yield SetKey((*path, name), type(part).__name__, name, value)
