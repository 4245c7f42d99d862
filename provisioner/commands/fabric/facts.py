"""vmnet host-facts: what this host has, for whoever places VMs on several hosts."""

from typing import TYPE_CHECKING

from provisioner import __version__
from provisioner.commands.inventory.read import read
from provisioner.fabric.facts import HostFacts, ResidentVm, StoredName
from provisioner.fabric.uplinks import uplinks
from provisioner.host.fabric import machine
from provisioner.host.image import store
from provisioner.host.system import paths

if TYPE_CHECKING:
    from collections.abc import Iterator

    from provisioner.host.system.worker import Worker
    from provisioner.inventory.found import Inventory


def facts(worker: "Worker", connection: str = "") -> HostFacts:
    """Return the facts of this host; nothing is changed.

    `connection` is another libvirt that is asked for its VMs besides. Raises VmnetError when the
    host cannot be looked at.
    """
    inventory, _ = read(worker, connection)
    here = machine.read()
    return HostFacts(
        name=here.name,
        version=__version__,
        architecture=here.architecture,
        cores=here.cores,
        memory_mib=here.memory_mib,
        free_memory_mib=here.free_memory_mib,
        free_pool_mib=here.free_pool_mib,
        features=here.features,
        uplinks=uplinks(here.facts),
        vms=tuple(_residents(inventory)),
        images=tuple(_images()),
        troubles=inventory.troubles,
    )


def _images() -> "Iterator[StoredName]":
    """Return the stored images that a plan can name, the user's own before root's."""
    folders = dict.fromkeys((paths.shared_store(), paths.store()))
    found = {kept.record.name: kept for folder in folders for kept in store.every(folder)}
    for name, kept in sorted(found.items()):
        if kept.path.exists():
            yield StoredName(name, kept.record.digest)


def _residents(inventory: "Inventory") -> "Iterator[ResidentVm]":
    for plan in inventory.plans:
        for vm in plan.vms:
            yield ResidentVm(plan.name, vm.name, vm.state, vm.lives)
