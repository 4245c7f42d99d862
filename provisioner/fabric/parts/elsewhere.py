"""Whom a host can ask besides its own guests: machines of the plan, and guests of other hosts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from provisioner.network.addressing import source_macs
from provisioner.plan.checks import GATEWAY, HOST, Check
from provisioner.plan.choices import LinkState
from provisioner.plan.nic_id import numbered
from provisioner.plan.nic_settings import settings_on
from provisioner.plan.placing.carriers import carriers
from provisioner.plan.rules.checks import matching

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from provisioner.network.addressing import Nics
    from provisioner.plan.ip import Address
    from provisioner.plan.model import Network, Plan


def machines(
    plan: Plan, host: str, homes: Mapping[str, str], nics: Nics
) -> dict[str, dict[str, Any]]:
    """Return the `hosts` of what a host gets of a plan.

    Of another host that runs VMs these are its addresses alone: how to log in there is for whoever
    asks all hosts. Guests whose addresses nobody knows beforehand cannot be asked.
    """
    found: dict[str, dict[str, Any]] = {}
    for name, machine in plan.hosts.items():
        runs_vms = name in carriers(plan)
        at = tuple(_own(plan, name, homes)) if runs_vms else machine.addresses
        if name == host or not at:
            continue
        found[name] = {"address": list(map(str, at))}
        if machine.ssh and not runs_vms:
            found[name]["ssh"] = str(machine.ssh)
    used = _networks(plan, host, homes)
    for vm in plan.vms:
        if homes.get(vm.name, host) == host or vm.name in {HOST, GATEWAY}:
            continue
        if shown := list(_nics(plan, vm.name, nics, used)):
            found[vm.name] = {"nics": shown}
        elif behind := list(_behind_routers(plan, vm.name, nics, used)):
            found[vm.name] = {"address": behind}
    return found


def _networks(plan: Plan, host: str, homes: Mapping[str, str]) -> dict[str, Network]:
    """Return the networks that VMs of a host are on, by name."""
    names = (nic.network for key, nic in plan.nics() if homes.get(key.vm) == host)
    return {name: plan.network(name) for name in names}


def _behind_routers(plan: Plan, vm: str, nics: Nics, used: Mapping[str, Network]) -> Iterator[str]:
    """Return the addresses of a guest that shares no network, where a check asks for it."""
    checks = (check for check in plan.checks if isinstance(check, Check))
    if not any(matching([vm], check.target) for check in checks):
        return
    near = [subnet for network in used.values() for subnet in network.subnet]
    for key, nic in numbered(vm, plan.vm(vm).nics):
        if plan.network(nic.network).uplink:
            yield from (str(a) for a in nics[key].static if not any(a in subnet for subnet in near))


def _own(plan: Plan, host: str, homes: Mapping[str, str]) -> Iterator[Address]:
    """Return the addresses at which a host itself answers: not where a guest took its NIC."""
    taken = [
        plan.network(nic.network).subnet
        for key, nic in plan.nics()
        if homes.get(key.vm) == host
        if settings_on(plan.network(nic.network), nic).mode.is_exclusive
    ]
    for address in plan.hosts[host].addresses:
        if not any(address in subnet for subnets in taken for subnet in subnets):
            yield address


def _nics(plan: Plan, vm: str, nics: Nics, used: Mapping[str, Network]) -> Iterator[dict[str, Any]]:
    for key, nic in numbered(vm, plan.vm(vm).nics):
        network, config = plan.network(nic.network), nics[key]
        if network.name not in used or not (network.uplink and config.static):
            continue
        how = settings_on(network, nic)
        written: dict[str, Any] = {
            "network": network.name,
            "address": list(map(str, config.static)),
            "mode": str(how.mode),
            "mac": str(config.mac),
        }
        if how.mode.has_source_list:
            written["allow"] = [mac for mac in source_macs(how.allow, nics, "") if mac]
        if how.isolate:
            written["isolate"] = list(how.isolate)
        if nic.link is LinkState.DOWN:
            written["link"] = str(nic.link)
        yield written
