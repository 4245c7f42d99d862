"""What the host forbids, said before the host is asked."""

from collections.abc import Collection, Iterator
from difflib import get_close_matches
from ipaddress import ip_network
from typing import TYPE_CHECKING

from provisioner import naming
from provisioner.errors import Exit, VmnetError
from provisioner.network import uplink
from provisioner.network.devices import Nics, uplink_of
from provisioner.network.facts import Facts, Link
from provisioner.plan.nic_settings import settings_on
from provisioner.plan.rules import network as netrules
from provisioner.preflight import conflicts, granted
from provisioner.reconcile.resources import Resources
from provisioner.text import one_line

if TYPE_CHECKING:
    from provisioner.plan.load.positions import Places
    from provisioner.plan.model import Network, Nic, Plan


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
    out += granted.complaints(plan, places, facts)
    out += _datapaths(plan, places, facts)
    out += conflicts.devices_taken(plan, places, facts, owned)
    out += conflicts.domains_taken(plan, places, facts)
    out += conflicts.tables_taken(plan, places, facts)
    return out


def _uplink(
    plan: "Plan", network: "Network", places: "Places", nics: Nics, facts: Facts
) -> Iterator[VmnetError]:
    where = places.where("networks", network.name, "uplink")
    name = network.uplink or ""
    link = facts.link(name)
    if not link:
        yield VmnetError(
            f'there is no network device "{name}" on this host',
            where=where,
            fix=_instead(name, facts),
            status=Exit.BAD_INPUT,
        )
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


def _nics_on(plan: "Plan", network: "Network") -> Iterator[tuple[str, int, "Nic"]]:
    for vm in plan.vms:
        for i, nic in enumerate(vm.nics):
            if nic.network == network.name:
                yield vm.name, i, nic


def _modes(
    plan: "Plan", network: "Network", places: "Places", facts: Facts, link: Link
) -> Iterator[VmnetError]:
    """Judge each mode that is used on an uplink, where the plan says so."""
    mine = {x.name for x in facts.links if x.group == naming.group(plan.name)}
    under = facts.link(uplink_of(plan.name, network)) if network.vlan else link
    said: set[str] = set()
    for vm, i, nic in _nics_on(plan, network):
        mode = str(settings_on(network, nic).mode)
        if mode in said:
            continue
        refusal = uplink.wireless_problem(link, mode)
        if refusal is None and under is not None:  # a VLAN that is still to be made bears nothing
            refusal = uplink.mode_problem(under, facts, mode, mine, take_over=network.take_over)
        if refusal:
            own = ("vms", vm, "nics", i, "mode") if nic.mode else None
            said.add(mode)
            yield refusal.error(places.where(*(own or ("networks", network.name, "mode"))))


def _mtu(plan: "Plan", network: "Network", places: "Places", link: Link) -> Iterator[VmnetError]:
    if refusal := uplink.least_mtu_problem(netrules.least_mtu(network), link):
        yield refusal.error(places.where("networks", network.name, "uplink"))
        return
    asked = [(network.mtu, ("networks", network.name, "mtu"))]
    asked += [
        (nic.mtu, ("vms", vm, "nics", i, "mtu"))  # type: ignore[misc]
        for vm, i, nic in _nics_on(plan, network)
    ]
    for mtu, path in asked:
        if mtu and (refusal := uplink.mtu_problem(mtu, link)):
            yield refusal.error(places.where(*path))


def macs_taken(
    plan: "Plan", network: "Network", places: "Places", nics: Nics, facts: Facts
) -> Iterator[VmnetError]:
    """List the NICs whose MAC another device on the network's uplink has."""
    link = facts.link(uplink_of(plan.name, network))
    if link is None:
        return  # a VLAN that is still to be made: nobody is on it
    mine = {x.name for x in facts.links if x.group == naming.group(plan.name)}
    taken = uplink.taken_macs(link, facts, mine)
    for vm, i, nic in _nics_on(plan, network):
        if settings_on(network, nic).mode == uplink.PASSTHRU:
            continue  # it bears the uplink's own
        if refusal := uplink.mac_problem(nics[vm, i].mac, link, taken):
            yield refusal.error(places.where("vms", vm, "nics", i, "mac"))


def _datapaths(plan: "Plan", places: "Places", facts: Facts) -> Iterator[VmnetError]:
    """Judge what is wanted of the host's datapath and what it does not have."""
    for network in plan.networks:
        if network.switch and network.switch.nat and facts.firewall.no_nat:
            yield VmnetError(
                f'network "{network.name}" wants NAT: {facts.firewall.no_nat}',
                where=places.where("networks", network.name, "switch", "nat"),
                fix="fix that, or leave nat out",
            )
        for vm, i, nic in _nics_on(plan, network):
            how = settings_on(network, nic)
            own: tuple[str | int, ...] = ("vms", vm, "nics", i)
            home: tuple[str | int, ...] = ("networks", network.name)
            if how.spoof_guard == "strict" and facts.firewall.no_guard:
                yield VmnetError(
                    f"spoof_guard: strict cannot be kept here: {facts.firewall.no_guard}",
                    where=places.where(*(own if nic.spoof_guard else home), "spoof_guard"),
                    fix="fix that, or use spoof_guard: off and know that guests can forge frames",
                )
            if how.vhost == "on" and not facts.vhost:
                yield VmnetError(
                    "vhost: on cannot be had: /dev/vhost-net is missing or may not be opened",
                    where=places.where(*(own if nic.vhost else home), "vhost"),
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


def _instead(name: str, facts: Facts) -> str:
    fit = [x.name for x in facts.links if not uplink.device_problem(x, facts)]
    close = get_close_matches(name, fit, n=1)
    guess = f'did you mean "{one_line(close[0])}"? ' if close else ""
    listed = ", ".join(one_line(x) for x in fit[:12]) or "none"
    return f"{guess}devices that can be an uplink here: {listed}; or write `switch: true`"
