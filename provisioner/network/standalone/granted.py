"""Networks of devices that root has made for a user: `vmnet net create --owner USER --label NAME`.

The user needs no rights then: vmnet starts guests on what is there, and makes no device.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from provisioner.errors import Exit, VmnetError
from provisioner.network.facts import Facts, Link
from provisioner.network.standalone import device

if TYPE_CHECKING:
    from provisioner.network.addressing import NicConfig
    from provisioner.plan.load.positions import Places
    from provisioner.plan.model import Network, Plan

Key = tuple[str, int]
_ROOT = 0


def devices(plan: "Plan", facts: Facts) -> dict[Key, Link]:
    """Give each NIC on a granted network its device: both in the order of their names."""
    found: dict[Key, Link] = {}
    for network in plan.networks:
        if network.granted:
            keys = sorted(_nics_on(plan, network))
            found |= dict(zip(keys, _mine(network.granted, facts), strict=False))
    return found


def as_granted(
    nics: "Mapping[Key, NicConfig]", found: Mapping[Key, Link]
) -> "dict[Key, NicConfig]":
    """Let NICs bear the MACs of their devices, which are not the plan's to choose."""
    return {
        key: replace(nic, mac=found[key].mac) if key in found else nic for key, nic in nics.items()
    }


def complaints(plan: "Plan", places: "Places", facts: Facts) -> Iterator[VmnetError]:
    """List the networks for which there are too few devices."""
    for network in plan.networks:
        if not network.granted:
            continue
        have, want = len(_mine(network.granted, facts)), len(list(_nics_on(plan, network)))
        if have < want:
            yield VmnetError(
                f'network "{network.name}" has {want} NICs, and {have or "no"} device'
                f'{"" if have == 1 else "s"} labelled "{network.granted}" may be used by this user',
                where=places.where("networks", network.name, "granted"),
                fix="let root make them: vmnet net create --uplink NIC --mode MODE --owner USER "
                f"--label {network.granted} --count {want - have}",
                status=Exit.HOST_CANNOT,
            )


def _mine(label: str, facts: Facts) -> list[Link]:
    out = []
    for link in facts.links:
        mark = device.mark_of(link.alias)
        if mark and mark.label == label and device.is_ours(link):
            out += [link] if facts.user in {_ROOT, mark.owner} else []
    return sorted(out, key=lambda link: link.name)


def _nics_on(plan: "Plan", network: "Network") -> Iterator[Key]:
    for vm in plan.vms:
        for i, nic in enumerate(vm.nics):
            if nic.network == network.name:
                yield vm.name, i
