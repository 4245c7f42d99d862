"""What keeps a plan from being brought up on several hosts, before any of them is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provisioner.image import source
from provisioner.plan.nic_id import numbered
from provisioner.source_text import complaint
from provisioner.text import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from provisioner.errors import VmnetError
    from provisioner.fabric.facts import HostFacts
    from provisioner.network.addressing import Nics
    from provisioner.plan.load.positions import Places
    from provisioner.plan.model import Plan
    from provisioner.plan.vm import Vm

_FILES = ("kernel", "initrd", "template", "cloud_init", "ignition")


def unshared_files(plan: Plan, places: Places) -> Iterator[VmnetError]:
    """List files of this host that VMs are made of: no other host has them."""
    for vm in plan.vms:
        for path, name in _files(vm):
            yield complaint(
                places.where("vms", vm.name, *path),
                f"VM {vm.name} is made of the file {one_line(name)}, which other hosts do not have",
                "name an image of the catalogue or an address (https://...), and write files as "
                "content",
            )


def _files(vm: Vm) -> Iterator[tuple[tuple[str | int, ...], str]]:
    if source.local_path(vm.image):
        yield ("image",), vm.image
    for key in _FILES:
        if name := getattr(vm, key):
            yield (key,), name
    for at, file in enumerate(vm.files):
        if file.source:
            yield ("files", at, "source"), file.source
    for at, disk in enumerate(vm.disks):
        if disk.path:
            yield ("disks", at, "path"), disk.path


def taken_by_hosts(
    plan: Plan, places: Places, nics: Nics, facts: Mapping[str, HostFacts]
) -> Iterator[VmnetError]:
    """List MACs and addresses of guests that a host of the plan has already."""
    macs = dict(_macs(plan, facts))
    at = {a: host for host, machine in plan.hosts.items() for a in machine.addresses}
    for vm in plan.vms:
        for key, nic in numbered(vm.name, vm.nics):
            config = nics[key]
            own = plan.network(nic.network)
            if config.mac in macs and not _takes_mac(plan, own.name, key.number, vm):
                yield complaint(
                    places.where(*key.path),
                    f"NIC {key} and {macs[config.mac]} would both have the MAC {config.mac}",
                    "give the NIC another mac",
                )
            for address in config.static:
                if own.uplink and address in at:
                    yield complaint(
                        places.where(*key.path),
                        f"NIC {key} would have the address {address} of host {at[address]}",
                        "give it another address, or keep the pool away from that one",
                    )


def _macs(plan: Plan, facts: Mapping[str, HostFacts]) -> Iterator[tuple[str, str]]:
    """Return MACs that are taken, and by what: a NIC, or a device on it that is not the plan's."""
    for host, found in facts.items():
        for uplink in found.uplinks:
            for tap in uplink.taps:
                if tap.mac and tap.plan != plan.name:
                    whose = f"VM {tap.vm} of plan {tap.plan}" if tap.plan else tap.name
                    yield tap.mac, f"{whose} on host {host}"
            yield uplink.mac, f"{uplink.name} of host {host}"


def _takes_mac(plan: Plan, network: str, number: int, vm: Vm) -> bool:
    from provisioner.plan.nic_settings import settings_on

    return settings_on(plan.network(network), vm.nics[number]).mode.takes_uplink_mac
