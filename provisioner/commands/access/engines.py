"""vmnet export kubevirt and incus: a plan for an engine that runs VMs itself.

No libvirt is asked, and no host of the plan: what an engine is told is the plan's alone.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from provisioner.commands import plan_files
from provisioner.commands.target import PlanTarget
from provisioner.dataclass import dataclass
from provisioner.errors import VmnetError, bad_input, collected, refuse
from provisioner.export.engines import carried, guests, incus, kubevirt, wires
from provisioner.host.guest import login_keys
from provisioner.host.system import paths
from provisioner.network.addressing import assign
from provisioner.plan.vm_scalars import AUTO_KEYS

if TYPE_CHECKING:
    from provisioner.export.engines.carried import Engine
    from provisioner.export.engines.guests import Guest


@dataclass(frozen=True, slots=True)
class EngineWish:
    """What the caller says of an export: images of the engine's own, and keys that are given up."""

    images: Sequence[str] = ()  # IMAGE=REFERENCE
    without: Sequence[str] = ()


def for_kubevirt(target: PlanTarget, wish: EngineWish) -> str:
    """Return a plan as objects of Kubernetes.

    Raises Complaints with everything that KubeVirt cannot be told, each at its place in the plan.
    """
    made, errors = _guests(target, kubevirt.KUBEVIRT, wish, by_address=True)
    refuse([*errors, *kubevirt.disk_complaints(made, target.positions)])
    notes = list(_notes(target, wish))
    return kubevirt.manifests(target.plan, made, wires.wires(target.plan), notes)


def for_incus(target: PlanTarget, wish: EngineWish, pool: str) -> dict[str, str]:
    """Return a plan as files for incus, by their names; `pool` is a storage pool there.

    Raises Complaints with everything that Incus cannot be told, each at its place in the plan.
    """
    if not pool.isascii() or not pool.replace("-", "").replace("_", "").isalnum():
        raise bad_input("--pool names no storage pool", "see them: incus storage list")
    made, errors = _guests(target, incus.INCUS, wish, by_address=False)
    refuse(errors)
    notes = list(_notes(target, wish))
    return incus.files(target.plan, made, wires.wires(target.plan), pool, notes)


def _guests(
    target: PlanTarget, engine: "Engine", wish: EngineWish, *, by_address: bool
) -> "tuple[list[Guest], list[VmnetError]]":
    """Return the guests as far as they are known, and all complaints."""
    plan, places = target.plan, target.positions
    errors = [*carried.complaints(plan, places, engine, wish.without)]
    errors += wires.complaints(plan, places)
    named: dict[str, str] = {}
    with collected(errors):
        named = guests.references(wish.images)
    shown, unfit = guests.pictures(plan, places, named, by_address=by_address)
    keys = _keys(target)
    errors += [*unfit, *([] if keys else guests.keyless(plan, places))]
    with collected(errors):
        texts = plan_files.texts(target)
        if len(shown) == len(plan.vms):
            return guests.guests(plan, assign(plan), shown, texts, keys), errors
    return [], errors


def _keys(target: PlanTarget) -> tuple[str, ...]:
    """Return what `ssh_keys: auto` stands for: what guests of the plan have, else the caller's."""
    if not any(AUTO_KEYS in vm.ssh_keys for vm in target.plan.vms):
        return ()
    found = login_keys.kept(paths.home(target.name)) or login_keys.of_caller()
    return found.keys


def _notes(target: PlanTarget, wish: EngineWish) -> Iterator[str]:
    """Return lines of what is not in the export, or otherwise than with vmnet."""
    if wish.without:
        yield f"Given up, as the caller said: {', '.join(dict.fromkeys(wish.without))}"
    own = {
        (said.key, target.positions.where(*said.path).line): said.key
        for said in carried.own_business(target.plan)
    }
    if own:
        listed = ", ".join(f"{key} (line {line})" for key, line in own)
        yield f"vmnet's own business, which is not carried over: {listed}"
