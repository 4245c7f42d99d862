"""States in which some VMs of a plan come up or go, and all others stay as they are."""

from collections.abc import Collection, Sequence

from provisioner.guest.domain import Domain, FileCopy, Overlay, Seed, StrayDomain
from provisioner.network.resources import (
    Dhcp,
    Guard,
    HostAccess,
    Impaired,
    Macvtap,
    Nat,
    Switch,
    Vlan,
)
from provisioner.resource import Key, Leftover, Resource, Resources

_OF_NETWORKS = (Switch, Vlan, HostAccess, Nat, Dhcp)


def vm_of(resource: Resource, others: Resources) -> str:
    """Return the VM that a resource is of alone; "" when it is shared, or no VM's."""
    match resource:
        case Domain() | Overlay() | StrayDomain():
            return resource.vm
        case Macvtap():
            _, _, owner = resource.alias.partition("/")
            return resource.vm or owner.rpartition("/")[0]
        case Guard(device=tap) | Impaired(name=tap):
            found = others.get((Macvtap.KIND, tap))
            return vm_of(found, others) if found else ""
        case Seed():
            return _base(resource.path).rpartition("-")[0]
        case FileCopy():
            name = _base(resource.path)
            return name.removesuffix(".nvram") if name.endswith(".nvram") else ""
        case _:
            return ""


def vms(resources: Resources) -> set[str]:
    """Return the VMs that something is there of."""
    return {vm_of(r, resources) for r in resources.values()} - {""}


def with_only(desired: Resources, observed: Resources, chosen: Collection[str]) -> Resources:
    """Return the state in which some VMs are up, with what they need; the rest as observed."""
    own = {k for k, r in desired.items() if vm_of(r, desired) in chosen}
    wanted = own | _needed([desired[k] for k in own], desired)
    rest = {k: r for k, r in observed.items() if not _goes(r, observed, chosen)}
    return {k: r for k, r in rest.items() if k not in wanted} | {k: desired[k] for k in wanted}


def without(observed: Resources, gone: Collection[str]) -> Resources:
    """Return the state without some VMs, and without the networks that no other VM uses."""
    rest = {k: r for k, r in observed.items() if not _goes(r, observed, gone)}
    taps = [r for r in rest.values() if isinstance(r, Macvtap)]
    if not taps and not any(isinstance(r, Domain | StrayDomain) for r in rest.values()):
        return {}
    used = _needed(taps, observed)
    return {k: r for k, r in rest.items() if k in used or not isinstance(r, _OF_NETWORKS)}


def _goes(resource: Resource, observed: Resources, chosen: Collection[str]) -> bool:
    """Return whether it is of the chosen VMs, or left by a killed run; no other guest is ended."""
    if vm_of(resource, observed) in chosen:
        return True
    return isinstance(resource, Leftover) and not isinstance(resource, StrayDomain | Impaired)


def _needed(users: Sequence[Resource], resources: Resources) -> set[Key]:
    """Return what resources of VMs need: files, and all that their networks consist of."""
    found: set[Key] = set()
    left = [key for user in users for key in user.needs()]
    uplinks = {user.uplink for user in users if isinstance(user, Macvtap)}
    switches = [r for r in resources.values() if isinstance(r, Switch) and r.name in uplinks]
    sides = {switch.host_side for switch in switches}
    for k, r in resources.items():
        is_access = isinstance(r, HostAccess) and r.uplink in uplinks
        if is_access or (isinstance(r, Nat | Dhcp) and r.device in sides):
            left.append(k)
    while left:
        key = left.pop()
        if key in resources and key not in found:
            found.add(key)
            left += resources[key].needs()
    return found


def _base(path: str) -> str:
    return path.rpartition("/")[2]
