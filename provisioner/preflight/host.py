"""What the host forbids, said before the host is asked."""

from collections.abc import Collection, Iterator
from ipaddress import ip_network
from typing import TYPE_CHECKING

from provisioner import naming
from provisioner.errors import Exit, VmnetError
from provisioner.network import uplink
from provisioner.network.addressing import Nics
from provisioner.network.devices import uplink_of
from provisioner.network.facts import Facts, Link
from provisioner.network.standalone import granted
from provisioner.plan.nic_settings import settings_on
from provisioner.plan.rules import network as netrules
from provisioner.preflight import conflicts
from provisioner.resource import Resources
from provisioner.text import one_line

if TYPE_CHECKING:
    from provisioner.plan.choices import Mode
    from provisioner.plan.load.positions import Places
    from provisioner.plan.model import Network, Plan
    from provisioner.plan.problem import Path


def complaints(
    plan: "Plan", places: "Places", nics: Nics, facts: Facts, owned: Resources
) -> list[VmnetError]:
    """List every reason why this plan cannot be brought up on this host."""
    out: list[VmnetError] = []
    for network in plan.networks:
        if network.granted:
            continue
        if network.switch:
            out += _switch(plan, network, places, facts, owned)
            out += conflicts.addresses_taken(plan, network, places, nics, facts)
        else:
            out += _uplink(plan, network, places, nics, facts)
    out += _granted(plan, places, facts)
    out += _datapaths(plan, places, facts)
    out += conflicts.devices_taken(plan, places, facts, owned)
    out += conflicts.domains_taken(plan, places, facts)
    out += conflicts.tables_taken(plan, places, facts)
    out += _vlans(plan, places, facts)
    return out


def _uplink(
    plan: "Plan", network: "Network", places: "Places", nics: Nics, facts: Facts
) -> Iterator[VmnetError]:
    where = places.where("networks", network.name, "uplink")
    name = network.uplink or ""
    link = facts.link(name)
    if not link:
        missing = uplink.missing(name, facts)
        yield missing._replace(fix=f"{missing.fix}; or write `switch: true`").error(where)
        return
    # What vmnet has made for this plan goes before anything comes in its place.
    mine = {x.name for x in facts.links if x.group == naming.group(plan.name)}
    if network.vlan:
        refusal = uplink.lower_problem(link, facts)
    else:
        refusal = uplink.device_problem(link, facts, mine)
    if refusal:
        yield refusal.error(where)
        return
    yield from _modes(plan, network, places, facts, link)
    yield from _mtu(plan, network, places, link)
    yield from macs_taken(plan, network, places, nics, facts)
    there = facts.link(uplink_of(plan.name, network))
    beside = uplink.siblings(there, facts) if there else ()
    yield from _routed(network, places, facts, {name, *mine, *beside})
    yield from conflicts.addresses_taken(plan, network, places, nics, facts)


def _modes(
    plan: "Plan", network: "Network", places: "Places", facts: Facts, link: Link
) -> Iterator[VmnetError]:
    """Check each mode that is used on an uplink, where the plan says so."""
    mine = {x.name for x in facts.links if x.group == naming.group(plan.name)}
    under = facts.link(uplink_of(plan.name, network)) if network.vlan else link
    refused: set[Mode] = set()
    for key, nic in plan.nics_on(network):
        mode = settings_on(network, nic).mode
        if mode in refused:
            continue
        refusal = uplink.wireless_problem(link, mode)
        if refusal is None and under is not None:  # a VLAN that is still to be made bears nothing
            refusal = uplink.mode_problem(under, facts, mode, mine, take_over=network.take_over)
        if refusal:
            refused.add(mode)
            home = key.path if nic.mode else ("networks", network.name)
            yield refusal.error(places.where(*home, "mode"))


def _mtu(plan: "Plan", network: "Network", places: "Places", link: Link) -> Iterator[VmnetError]:
    if refusal := uplink.least_mtu_problem(netrules.least_mtu(network), link):
        yield refusal.error(places.where("networks", network.name, "uplink"))
        return
    asked: list[tuple[int | None, Path]] = [(network.mtu, ("networks", network.name))]
    asked += [(nic.mtu, key.path) for key, nic in plan.nics_on(network)]
    for mtu, path in asked:
        if mtu and (refusal := uplink.mtu_problem(mtu, link)):
            yield refusal.error(places.where(*path, "mtu"))


def macs_taken(
    plan: "Plan", network: "Network", places: "Places", nics: Nics, facts: Facts
) -> Iterator[VmnetError]:
    """List the NICs whose MAC another device on the network's uplink has."""
    link = facts.link(uplink_of(plan.name, network))
    if link is None:
        return  # a VLAN that is still to be made: nobody is on it
    mine = {x.name for x in facts.links if x.group == naming.group(plan.name)}
    taken = uplink.taken_macs(link, facts, mine)
    for key, nic in plan.nics_on(network):
        if settings_on(network, nic).mode.takes_uplink_mac:
            continue
        if refusal := uplink.mac_problem(nics[key].mac, link, taken):
            yield refusal.error(places.where(*key.path, "mac"))


def _vlans(plan: "Plan", places: "Places", facts: Facts) -> Iterator[VmnetError]:
    tagged = [network for network in plan.networks if network.vlan]
    if tagged and facts.no_vlan:
        yield VmnetError(
            f'network "{tagged[0].name}" is a VLAN: {facts.no_vlan}',
            where=places.where("networks", tagged[0].name, "vlan"),
            fix="load the module where the kernel has it: modprobe 8021q",
        )


def _datapaths(plan: "Plan", places: "Places", facts: Facts) -> Iterator[VmnetError]:
    """Check what is wanted of the host's datapath and what it does not have."""
    for network in plan.networks:
        if network.switch and network.switch.nat and facts.firewall.no_nat:
            yield VmnetError(
                f'network "{network.name}" wants NAT: {facts.firewall.no_nat}',
                where=places.where("networks", network.name, "switch", "nat"),
                fix="fix that, or leave nat out",
            )
        home: Path = ("networks", network.name)
        for key, nic in plan.nics_on(network):
            how = settings_on(network, nic)
            if how.spoof_guard == "strict" and facts.firewall.no_guard:
                yield VmnetError(
                    f"spoof_guard: strict cannot be kept here: {facts.firewall.no_guard}",
                    where=places.where(*(key.path if nic.spoof_guard else home), "spoof_guard"),
                    fix="fix that, or use spoof_guard: off and know that guests can forge frames",
                )
            if how.vhost == "on" and not facts.vhost:
                yield VmnetError(
                    "vhost: on cannot be had: /dev/vhost-net is missing or may not be opened",
                    where=places.where(*(key.path if nic.vhost else home), "vhost"),
                    fix="load it with modprobe vhost_net, or write vhost: auto",
                )


def _routed(
    network: "Network", places: "Places", facts: Facts, through: Collection[str]
) -> Iterator[VmnetError]:
    """A subnet to which the host has another way: its own packets would never come here."""
    ways = [
        (ip_network(route.network, strict=False), route)
        for route in facts.routes
        if route.network != "default"
    ]
    for at, subnet in enumerate(network.subnet):
        # The longest prefix wins: a wide route elsewhere, to a VPN say, takes nothing away.
        own = [to.prefixlen for to, r in ways if r.device in through and to.overlaps(subnet)]
        for other, route in ways:
            if route.device in {*through, ""} or other.prefixlen < min(own, default=0):
                continue
            if subnet.overlaps(other):
                yield VmnetError(
                    f'the subnet {subnet} of network "{network.name}" overlaps the route {other} '
                    f"that this host has through {one_line(route.device)}",
                    where=places.where("networks", network.name, "subnet", at),
                    fix="choose a subnet that the host does not use (see: ip route)",
                    status=Exit.CONFLICT,
                )


def _switch(
    plan: "Plan", network: "Network", places: "Places", facts: Facts, owned: Resources
) -> Iterator[VmnetError]:
    lower, peer = naming.switch_ends(plan.name, network.name)
    mine = {peer, naming.bridge(plan.name, network.name)} if ("switch", lower) in owned else set()
    # Another network of the plan may have had the subnet until now.
    mine |= {x.name for x in facts.links if x.group == naming.group(plan.name)}
    yield from _routed(network, places, facts, mine)


def _granted(plan: "Plan", places: "Places", facts: Facts) -> Iterator[VmnetError]:
    """List the networks for which there are too few devices."""
    for network in plan.networks:
        if not network.granted:
            continue
        have = len(granted.labelled(network.granted, facts))
        want = len(list(plan.nics_on(network)))
        if have < want:
            yield VmnetError(
                f'network "{network.name}" has {want} NICs, and {have or "no"} device'
                f'{"" if have == 1 else "s"} labelled "{network.granted}" may be used by this user',
                where=places.where("networks", network.name, "granted"),
                fix="let root make them: vmnet net create --uplink NIC --mode MODE --owner USER "
                f"--label {network.granted} --count {want - have}",
                status=Exit.HOST_CANNOT,
            )
