"""All kinds of resources together: what each needs and follows, and its key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from provisioner.guest.domain import Domain, FileCopy, GuestResource, Overlay, Seed
from provisioner.network.resources import (
    Dhcp,
    Guard,
    HostAccess,
    Macvtap,
    Nat,
    NetworkResource,
    Switch,
    Vlan,
)

if TYPE_CHECKING:
    from provisioner.network.facts import Facts


Resource = NetworkResource | GuestResource


Key = tuple[str, str]


Resources = Mapping[Key, Resource]


def key(resource: Resource) -> Key:
    """Identify a resource among all others of a plan."""
    match resource:
        case Seed(path=path):
            return "seed", path
        case Overlay(path=path):
            return "disk", path
        case FileCopy(path=path):
            return "copy", path
        case HostAccess(name=name):
            return "host access", name
        case _:
            return type(resource).__name__.lower(), resource.name


def needs(resource: Resource) -> tuple[Key, ...]:
    """Name what must exist before `resource` can, and without which it cannot stay."""
    match resource:
        case Domain(nics=nics, seed=seed):
            links = tuple(("macvtap", nic.link) for nic in nics if not nic.granted)
            return (*links, *_files(resource), *((("seed", seed),) if seed else ()))
        case Macvtap(uplink=uplink) | HostAccess(uplink=uplink):
            return ("switch", uplink), ("vlan", uplink)
        case Guard(device=device):
            # The kernel takes a hook away with its device.
            return (("macvtap", device),)
        case Nat() | Dhcp() | Vlan() | Switch() | Seed() | Overlay() | FileCopy():
            return ()


def _files(domain: Domain) -> tuple[Key, ...]:
    """Name the files in the plan's folder that a domain stands on; others are not the plan's."""
    own = f"{domain.console.partition('/console/')[0]}/"
    read = (domain.kernel, domain.initrd, domain.nvram, domain.ignition)
    return (
        *(("disk", disk.path) for disk in domain.disks if disk.path.startswith(f"{own}disk/")),
        *(("copy", path) for path in read if path.startswith(f"{own}boot/")),
    )


def follows(resource: Resource, others: Resources) -> tuple[Key, ...]:
    """Name what should stand before `resource` is made, though it can live without."""
    match resource:
        case Domain(nics=nics):
            guards = {nic.link for nic in nics}
            return tuple(
                k
                for k, r in others.items()
                if isinstance(r, Nat | Dhcp) or (isinstance(r, Guard) and r.device in guards)
            )
        case Nat(translates=False):
            return ()  # the sooner the better
        case Nat(device=device) | Dhcp(device=device):
            return tuple(
                k for k, r in others.items() if isinstance(r, Switch) and r.host_side == device
            )
        case _:
            return ()


def label(resource: Resource) -> str:
    """Name a resource in the user's words."""
    match resource:
        case Seed(path=path) | Overlay(path=path) | FileCopy(path=path):
            return f"{key(resource)[0]} {path.rsplit('/', 1)[-1]}"
        case Guard(device=device, name=name):
            return f"guard of {device}" if device else f"guard {name}, whose macvtap is gone"
        case Nat(name=name, translates=False):
            return f"isolation {name}"
        case _:
            return " ".join(key(resource))


def by_key(resources: list[Resource]) -> dict[Key, Resource]:
    """Index resources by what identifies them."""
    return {key(r): r for r in resources}


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The host at one moment: what vmnet made there for the plan, and the rest as facts."""

    facts: Facts
    resources: Resources
