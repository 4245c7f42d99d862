"""Guests and the machines outside: gateways, and those that the plan names; to them and from them.

A guest that another host runs is such a machine, too: all of its modes send to the wire what is not
for a neighbour, so that even two private guests meet there.

Of a machine that the plan names something is promised where its address lies in the subnet of a
network on an uplink: anywhere else routers decide, which only a check of the user's asks about.
"""

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from provisioner.network.spoofing.isolated import isolated_from
from provisioner.plan.checks import GATEWAY
from provisioner.plan.choices import LinkState
from provisioner.plan.nic_settings import settings_on
from provisioner.reachability import mode_table
from provisioner.reachability.pairs import ISOLATES, Expected, Pair

if TYPE_CHECKING:
    from provisioner.network.addressing import NicConfig, Nics
    from provisioner.plan.model import Network, Nic, Plan
    from provisioner.plan.nic_id import NicId
    from provisioner.plan.parts.elsewhere import RemoteNic


def pairs(plan: "Plan", nics: "Nics") -> tuple[Pair, ...]:
    """Return each guest's path to the gateways and machines outside, and the paths from them."""
    return tuple(
        pair for network in plan.networks if network.uplink for pair in _on(plan, network, nics)
    )


def _on(plan: "Plan", network: "Network", nics: "Nics") -> Iterator[Pair]:
    count = Counter(key.vm for key, _ in plan.nics_on(network))
    for key, nic in plan.nics_on(network):
        yield from _of(plan, network, key, nic, nics, shares=count[key.vm] > 1)


def _of(
    plan: "Plan",
    network: "Network",
    key: "NicId",
    nic: "Nic",
    nics: "Nics",
    *,
    shares: bool,
) -> Iterator[Pair]:
    name, (vm, number), config = network.name, key, nics[key]
    expected, why = _promise(str(key) if shares else vm, network, nic)
    if config.gateways:
        gateway = f"({GATEWAY})" if any(x.name == GATEWAY for x in plan.vms) else GATEWAY
        at = config.gateways
        yield Pair(name, vm, gateway, expected, why, at, number, number, source_shares=shares)
    if not (config.static or config.dhcp or config.ra):
        return
    for host, machine in plan.hosts.items():
        for remote in (one for one in machine.nics if one.network == name):
            across, because = _across(network, nic, config, remote)
            if across is not Expected.ISOLATED and remote.mac in isolated_from(plan, key, nics):
                across, because = Expected.ISOLATED, ISOLATES.format(vm)
            at = remote.addresses
            yield Pair(name, vm, host, across, because, at, number, number, source_shares=shares)
        at = () if machine.nics else machine.on(network.subnet)
        if at:
            yield Pair(name, vm, host, expected, why, at, number, number, source_shares=shares)
        if at and machine.ssh:
            own = config.static
            yield Pair(name, host, vm, expected, why, own, nic=number, target_shares=shares)


def _promise(vm: str, network: "Network", nic: "Nic") -> tuple[Expected, str]:
    """Return what is promised; only the machine itself knows whether a source list names it."""
    if nic.link is not LinkState.UP:
        return Expected.ISOLATED, f"the link of {vm} is down"
    mode = settings_on(network, nic).mode
    if mode.has_source_list:
        return Expected.EITHER, "mode source receives from a machine only if its list has that MAC"
    reach = mode_table.reach(mode_table.End(mode), mode_table.OUTSIDE, hairpin=False)
    return Expected.REACHES, reach.why


def _across(
    network: "Network", nic: "Nic", config: "NicConfig", remote: "RemoteNic"
) -> tuple[Expected, str]:
    """Return what is promised of a NIC and one of a guest that another host runs."""
    if LinkState.DOWN in {nic.link, remote.link}:
        return Expected.ISOLATED, "the link of one of them is down"
    how = settings_on(network, nic)
    if not remote.hears(config.mac):
        # Its host sees that frames are dropped there; from here it may as well be dead.
        return Expected.EITHER, "the other end takes no frames of this one"
    listed = not how.mode.has_source_list or remote.mac in how.allow
    reach = mode_table.reach(
        mode_table.End(how.mode, lists=listed), mode_table.OUTSIDE, hairpin=False
    )
    if not reach.works:
        known = Expected.EITHER if remote.mode.has_source_list else Expected.ISOLATED
        return known, "the source list does not name the guest of the other host"
    return Expected.REACHES, f"they are on two hosts: {reach.why}"
