"""Guests and the machines outside: gateways, and those that the plan names; to them and from them.

Of a machine that the plan names something is promised where its address lies in the subnet of a
network on an uplink: anywhere else routers decide, which only a check of the user's asks about.
"""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from provisioner.plan import nic_settings
from provisioner.plan.checks import GATEWAY
from provisioner.reachability import mode_table
from provisioner.reachability.pairs import Expected, Pair

if TYPE_CHECKING:
    from provisioner.network.devices import Nics
    from provisioner.plan.model import Network, Nic, Plan


_Truth = Callable[[mode_table.End], mode_table.Reach]


def pairs(plan: "Plan", nics: "Nics") -> tuple[Pair, ...]:
    """List each guest's way to the gateways and machines outside, and the ways from them."""
    return tuple(
        pair
        for network in plan.networks
        if network.uplink
        for vm in plan.vms
        for number, nic in enumerate(vm.nics)
        if nic.network == network.name
        for pair in _of(plan, nics, network, vm.name, number)
    )


def _of(plan: "Plan", nics: "Nics", network: "Network", vm: str, number: int) -> Iterator[Pair]:
    config, nic = nics[vm, number], plan.vm(vm).nics[number]
    there, back = _to(vm, network, nic), _from(vm, network, nic)
    if config.gateways:
        name = f"({GATEWAY})" if any(x.name == GATEWAY for x in plan.vms) else GATEWAY
        at = tuple(map(str, config.gateways))
        yield Pair(network.name, vm, name, *there, at, number, number)
    if not (config.static or config.dhcp or config.ra):
        return
    for name, machine in plan.hosts.items():
        at = tuple(map(str, machine.on(network.subnet)))
        if at:
            yield Pair(network.name, vm, name, *there, at, number, number)
        if at and machine.ssh:
            yield Pair(network.name, name, vm, *back, config.static, number)


def _to(vm: str, network: "Network", nic: "Nic") -> tuple[Expected, str]:
    return _promise(vm, network, nic, mode_table.to_outside)


def _from(vm: str, network: "Network", nic: "Nic") -> tuple[Expected, str]:
    return _promise(vm, network, nic, mode_table.from_outside)


def _promise(vm: str, network: "Network", nic: "Nic", of: _Truth) -> tuple[Expected, str]:
    """Say what is promised; nobody but the machine itself knows whether a source list names it."""
    if nic.link != "up":
        return Expected.ISOLATED, f"the link of {vm} is down"
    attached = nic_settings.of(network, nic)
    if attached.mode == "source":
        return Expected.EITHER, "mode source hears a machine only if its MAC is in the list"
    return Expected.REACHES, of(mode_table.End(str(attached.mode))).why
