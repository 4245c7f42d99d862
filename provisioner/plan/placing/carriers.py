"""The hosts that run a plan's VMs: which there are, and which of them a VM may be on."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from provisioner.plan.model import Network, Plan
    from provisioner.plan.vm import Vm


def carriers(plan: Plan) -> tuple[str, ...]:
    """Return the hosts that VMs are placed on, in the order of the file."""
    return tuple(name for name, host in plan.hosts.items() if host.uplinks is not None)


def groups(plan: Plan) -> dict[str, tuple[str, ...]]:
    """Return the groups of hosts by name, each with those of its hosts that run VMs."""
    names = dict.fromkeys(group for host in plan.hosts.values() for group in host.groups)
    there = carriers(plan)
    return {name: tuple(h for h in there if name in plan.hosts[h].groups) for name in names}


def is_placed(plan: Plan) -> bool:
    """Return whether a plan says anything of hosts that VMs are placed on."""
    wishes = plan.placement is not None or any(vm.on is not None for vm in plan.vms)
    machines = plan.hosts.values()
    return wishes or any(host.uplinks is not None or host.groups for host in machines)


def candidates(plan: Plan, vm: Vm) -> tuple[str, ...]:
    """Return the hosts that a VM may be on, as far as it says itself; none for an unknown name."""
    there = carriers(plan)
    if vm.on is None:
        return there
    return (vm.on,) if vm.on in there else groups(plan).get(vm.on, ())


def uplink_on(plan: Plan, host: str, network: Network) -> str | None:
    """Return the NIC of a host that a network stands on there; None where it has a switch.

    A host that says nothing of a network has a NIC of the name that the network gives.
    """
    named = dict(plan.hosts[host].uplinks or ())
    return named.get(network.name, network.uplink) if network.uplink else None


def apart_groups(plan: Plan) -> tuple[tuple[str, ...], ...]:
    """Return the lists of VMs that share no host, their patterns resolved."""
    names = [vm.name for vm in plan.vms]
    rows = plan.placement.apart if plan.placement else ()
    return tuple(
        tuple(name for name in names if any(fnmatchcase(name, one) for one in row)) for row in rows
    )


def together(plan: Plan) -> tuple[tuple[str, ...], ...]:
    """Return the VMs in units that are on one host: those of one switch, which is a host's own."""
    unit_of = {vm.name: vm.name for vm in plan.vms}

    def root(name: str) -> str:
        while unit_of[name] != name:
            name = unit_of[name]
        return name

    switches = {network.name for network in plan.networks if network.switch}
    first: dict[str, str] = {}
    for key, nic in plan.nics():
        if nic.network in switches:
            unit_of[root(key.vm)] = root(first.setdefault(nic.network, key.vm))
    units: dict[str, list[str]] = {}
    for vm in plan.vms:
        units.setdefault(root(vm.name), []).append(vm.name)
    return tuple(map(tuple, units.values()))
