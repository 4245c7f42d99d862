"""The devices that a network stands on, and what it needs on the host besides macvtaps."""

from collections.abc import Collection, Iterable, Iterator
from ipaddress import ip_interface, ip_network
from typing import TYPE_CHECKING

from provisioner import naming
from provisioner.network import dnsmasq, nftables
from provisioner.network.addressing import Nics, met_at
from provisioner.network.facts import ELSEWHERE, Facts, Link
from provisioner.network.resources import HostAccess, NetworkResource, Switch, Vlan
from provisioner.plan.nic_settings import DEFAULT_MTU
from provisioner.text import one_line

if TYPE_CHECKING:
    from provisioner.plan.model import Network, Plan


def uplink_of(plan: str, network: "Network") -> str:
    """Return the device that a network's macvtaps are put on."""
    if network.uplink and network.vlan:
        return naming.vlan(plan, network.uplink, network.vlan)
    return network.uplink or network.granted or naming.switch_ends(plan, network.name)[0]


def uplink_now(plan: "Plan", network: "Network", facts: Facts) -> str:
    """Return what the device is called now that a network's macvtaps are on.

    A NIC that was renamed still carries them; of one in another network namespace, where it carries
    them too, the name is not known.
    """
    planned = uplink_of(plan.name, network)
    if facts.link(planned) or not network.uplink or network.vlan:
        return planned
    for key, _ in plan.nics_on(network):
        if tap := facts.link(naming.macvtap(plan.name, *key)):
            lower = facts.link_at(tap.lower)
            return lower.name if lower else ELSEWHERE
    return planned


def half_marked(plan: str, links: Iterable[Link], ours: Collection[Link]) -> Iterator[str]:
    """Return the devices that bear a part of a plan's marks, and so are not proved to be its."""
    for link in links:
        marks = []
        if naming.is_group(link.group) and link.group != naming.group(plan):
            continue  # of a plan whose name begins with this one's
        if link.group == naming.group(plan):
            marks.append("its group")
        if link.alias.startswith(f"vmnet:{plan}/"):
            marks.append(f"the alias {one_line(link.alias)}")
        if link.altname.startswith(f"vmnet-{plan}-"):
            marks.append(f"the name {one_line(link.altname)}")
        if marks and link.name not in {x.name for x in ours}:
            name = one_line(link.name)
            yield (
                f"the {link.kind or 'device'} {name} bears {', '.join(marks)}, and other marks "
                f"of it were changed: if it is this plan's, ip link del {name}"
            )


def host_device(plan: "Plan", network: "Network") -> str:
    """Return the device on which the host meets a network's guests."""
    if network.switch and network.switch.hairpin:
        return naming.bridge(plan.name, network.name)
    if network.switch:
        return naming.switch_ends(plan.name, network.name)[1]
    if network.host_access is not None:
        return naming.sibling(plan.name, network.name)
    return uplink_of(plan.name, network)


def host_mac(plan: "Plan", network: "Network", facts: Facts = Facts()) -> str:  # noqa: B008
    """Return the MAC that guests know the host by; "" when it is a NIC's and not in `facts`."""
    if network.switch:
        return naming.host_mac(plan.name, network.name)
    if network.host_access is not None:
        return naming.sibling_mac(plan.name, network.name)
    return uplink_mac(plan, network, facts)


def uplink_mac(plan: "Plan", network: "Network", facts: Facts) -> str:
    """Return the MAC of the device that a network's macvtaps are put on, "" when not known."""
    if network.switch:
        return naming.switch_mac(plan.name, network.name)
    link = facts.link(uplink_now(plan, network, facts)) or facts.link(network.uplink or "")
    return link.mac if link else ""


def of_network(
    plan: "Plan", network: "Network", nics: Nics, facts: Facts
) -> Iterator[NetworkResource]:
    """List what a network itself needs on the host, besides the macvtaps on it."""
    group = naming.group(plan.name)
    alias = f"vmnet:{plan.name}/{network.name}"
    uplink = facts.link(network.uplink or "")
    mtu = network.mtu or (uplink.mtu if uplink else DEFAULT_MTU)
    if network.switch:
        yield from _of_switch(plan, network, nics, facts)
    elif network.uplink and network.vlan:
        vlan = uplink_of(plan.name, network)
        # Networks of one VLAN share its device: it is as large as the NIC below allows.
        most = uplink.mtu if uplink else DEFAULT_MTU
        share = f"vmnet:{plan.name}/vlan{network.vlan}"
        yield Vlan(vlan, network.uplink, network.vlan, most, group, share)
    met = met_at(plan).get(network.name)
    if met is not None:
        guests = {one.ip for key, _ in plan.nics_on(network) for one in nics[key].addresses}
        yield HostAccess(
            name=naming.sibling(plan.name, network.name),
            uplink=uplink_of(plan.name, network),
            mac=naming.sibling_mac(plan.name, network.name),
            addresses=tuple(sorted(map(ip_interface, met), key=str)),
            routes=tuple(sorted(map(ip_network, guests), key=str)),
            mtu=mtu,
            group=group,
            alias=alias,
        )


def _of_switch(
    plan: "Plan", network: "Network", nics: Nics, facts: Facts
) -> Iterator[NetworkResource]:
    assert network.switch  # noqa: S101  (the caller has checked; for the type checker)
    lower, peer = naming.switch_ends(plan.name, network.name)
    switch = Switch(
        name=lower,
        peer=peer,
        addresses=tuple(sorted(network.switch.host, key=str)),
        mtu=network.mtu or DEFAULT_MTU,
        group=naming.group(plan.name),
        alias=f"vmnet:{plan.name}/{network.name}",
        mac=naming.switch_mac(plan.name, network.name),
        host_mac=naming.host_mac(plan.name, network.name),
        bridge=naming.bridge(plan.name, network.name) if network.switch.hairpin else "",
    )
    yield switch
    if network.switch.nat:
        forwards, services = facts.firewall.forwards, network.switch.host_services
        subnets = network.subnet
        where = plan.name, network.name, switch.host_side
        yield nftables.nat(*where, subnets, forwards, services)
    elif not facts.firewall.no_filter:  # else preflight.warnings has warned of it
        services = network.switch.host_services
        yield nftables.isolation(plan.name, network.name, switch.host_side, services)
    if network.switch.dhcp:
        yield dnsmasq.served(plan, network, switch.host_side, nics, facts.home)
