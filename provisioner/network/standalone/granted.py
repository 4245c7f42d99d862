"""Networks of devices that root has made for a user: `vmnet net create --owner USER --label NAME`.

The user needs no rights then: vmnet starts guests on what is there, and makes no device.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from provisioner.network.facts import Facts, Link
from provisioner.network.standalone import device
from provisioner.plan.mac import Mac
from provisioner.plan.nic_id import NicId

if TYPE_CHECKING:
    from provisioner.network.addressing import NicConfig, Nics
    from provisioner.network.resources import Guard
    from provisioner.plan.model import Plan

_ROOT = 0


def devices(plan: "Plan", facts: Facts) -> dict[NicId, Link]:
    """Return the device of each NIC on a granted network: both in the order of their names."""
    found: dict[NicId, Link] = {}
    for network in plan.networks:
        if network.granted:
            keys = sorted(key for key, _ in plan.nics_on(network))
            found |= dict(zip(keys, labelled(network.granted, facts), strict=False))
    return found


def as_granted(nics: "Nics", found: Mapping[NicId, Link]) -> "dict[NicId, NicConfig]":
    """Return NICs with the MACs of their devices, which are not the plan's to choose."""
    return {
        key: replace(nic, mac=Mac(device.born_mac(found[key]))) if key in found else nic
        for key, nic in nics.items()
    }


def changed_macs(plan: "Plan", facts: Facts) -> list[str]:
    """Return the NICs whose device has another MAC than root has made it with."""
    return [
        f"the device {link.name} of {plan.nic_name(key)} has the MAC {link.mac}, and was made with "
        f"{device.born_mac(link)}: whoever may open it has changed it, and the guest hears nothing"
        for key, link in devices(plan, facts).items()
        if device.born_mac(link) != link.mac
    ]


def guards(plan: "Plan", facts: Facts) -> "dict[str, Guard]":
    """Return what root has had the plan's devices guarded with, by device."""
    found = ((x.name, device.guard_of(x.name, x.alias)) for x in devices(plan, facts).values())
    return {name: guard for name, guard in found if guard}


def labelled(label: str, facts: Facts) -> list[Link]:
    """List the devices with this label that the user may use, sorted by name."""
    out = []
    for link in facts.links:
        mark = device.mark_of(link.alias)
        if mark and mark.label == label and device.is_ours(link):
            out += [link] if facts.user in {_ROOT, mark.owner} else []
    return sorted(out, key=lambda link: link.name)
