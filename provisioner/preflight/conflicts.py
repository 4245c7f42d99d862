"""Names and addresses that something has which is not the plan's: it is never touched."""

from collections.abc import Collection, Container, Iterable, Iterator, Mapping
from ipaddress import ip_interface
from typing import TYPE_CHECKING

from provisioner import naming
from provisioner.errors import Exit, VmnetError
from provisioner.network import nftables
from provisioner.network.addressing import Nics, Reservation
from provisioner.network.devices import uplink_of
from provisioner.network.facts import Facts, Link
from provisioner.network.nft_ruleset import taken
from provisioner.plan.nic_settings import settings_of, settings_on
from provisioner.resource import Key, Resources
from provisioner.text import one_line

if TYPE_CHECKING:
    from provisioner.plan.ip import Address
    from provisioner.plan.load.positions import Places
    from provisioner.plan.model import Network, Plan
    from provisioner.plan.nic_id import NicId


def claims(
    plan: "Plan", nics: Nics, facts: Facts, fresh: Container[str]
) -> dict[Reservation, tuple[str | int, ...]]:
    """Return what the VMs in `fresh` will have on the host's uplinks, and where the plan says so.

    Of a passthru NIC the MAC is the uplink's own, which the kernel gives to one device alone.
    """
    found: dict[Reservation, tuple[str | int, ...]] = {}
    for network in plan.networks:
        link = facts.link(network.uplink or "")
        if not network.uplink or network.granted or link is None:
            continue
        lan = f"{link.index}.{network.vlan or 0}"
        for key, nic in plan.nics_on(network):
            if key.vm in fresh and not settings_on(network, nic).mode.takes_uplink_mac:
                found[lan, nics[key].mac] = (*key.path, "mac")
        found |= {
            (lan, str(address)): (*key.path, "address")
            for address, key in static_addresses(plan, network, nics).items()
            if key.vm in fresh
        }
    return found


def claimed_elsewhere(
    taken: Mapping[Reservation, str],
    paths: Mapping[Reservation, tuple[str | int, ...]],
    places: "Places",
) -> Iterator[VmnetError]:
    """Addresses and MACs that another plan's `up` is giving to its guests right now."""
    for claim, who in taken.items():
        what = "MAC" if paths[claim][-1] == "mac" else "address"
        yield VmnetError(
            f"the {what} {claim[1]} is taken: {who} is bringing up a guest that has it",
            where=places.where(*paths[claim]),
            fix=f"give this NIC another {what}, or take that plan down first",
            status=Exit.CONFLICT,
        )


def devices_taken(
    plan: "Plan", places: "Places", facts: Facts, owned: Resources
) -> Iterator[VmnetError]:
    """Names that something which is not ours has: it is never touched."""
    links = {x.name: x for x in facts.links} | {x.altname: x for x in facts.links if x.altname}
    for name, (key, path) in _devices(plan).items():
        if name in links and key not in owned:
            link = links[name]
            yield VmnetError(
                f'the device name "{name}" is taken by a {link.kind or "device"} that vmnet did '
                f"not make for this plan (group {link.group:#x})",
                where=places.where(*path),
                fix=f"rename the plan, or take that device away: ip link del dev {name}",
                status=Exit.CONFLICT,
            )


def _devices(plan: "Plan") -> dict[str, tuple[Key, tuple[str | int, ...]]]:
    """Return every device name of the plan, the resource it belongs to, and its place."""
    out: dict[str, tuple[Key, tuple[str | int, ...]]] = {}
    for nic, _ in plan.nics():
        tap = naming.macvtap(plan.name, *nic)
        for name in (tap, naming.altname(plan.name, *nic)):
            out[name] = (("macvtap", tap), nic.path)
    for network in plan.networks:
        out |= {
            name: (key, ("networks", network.name))
            for key, *of_it in _of_network(plan, network)
            for name in of_it
        }
    return out


def _of_network(plan: "Plan", network: "Network") -> Iterator[tuple[Key, *tuple[str, ...]]]:
    """Return each resource that a network needs by itself, with the names of its devices."""
    uplink = uplink_of(plan.name, network)
    if network.switch:
        ends = naming.switch_ends(plan.name, network.name)
        bridge = (naming.bridge(plan.name, network.name),) if network.switch.hairpin else ()
        yield ("switch", uplink), *ends, *bridge
    if network.vlan:
        yield ("vlan", uplink), uplink
    if network.host_access is not None:
        sibling = naming.sibling(plan.name, network.name)
        yield ("host access", sibling), sibling


def domains_taken(plan: "Plan", places: "Places", facts: Facts) -> Iterator[VmnetError]:
    """Names and UUIDs of domains that somebody else has given to libvirt."""
    for vm in plan.vms:
        name, uuid = naming.domain(plan.name, vm.name), naming.domain_uuid(plan.name, vm.name)
        for foreign in facts.foreign_domains:
            if name == foreign.name or uuid == foreign.uuid:
                yield VmnetError(
                    f'libvirt already has a domain "{one_line(foreign.name)}" that vmnet did not '
                    "make for this plan",
                    where=places.where("vms", vm.name),
                    fix="rename the plan or the VM; vmnet never touches a domain of somebody else",
                    status=Exit.CONFLICT,
                )


def tables_taken(plan: "Plan", places: "Places", facts: Facts) -> Iterator[VmnetError]:
    """Names of nftables' tables that something which is not vmnet's has."""
    wanted: dict[tuple[str, str], tuple[str | int, ...]] = {
        ("inet", nftables.table_name(plan.name, x.name)): ("networks", x.name)
        for x in plan.networks
        if x.switch
    }
    for key, nic in plan.nics():
        guarded = settings_of(plan, nic).spoof_guard != "off"
        if guarded and not plan.network(nic.network).granted:
            tap = naming.macvtap(plan.name, *key)
            wanted["netdev", nftables.table_name(plan.name, tap)] = key.path
    for which, path in wanted.items():
        if which in facts.firewall.namesakes:
            yield taken(*which, "rename the plan", places.where(*path))


def addresses_taken(
    plan: "Plan", network: "Network", places: "Places", nics: Nics, facts: Facts
) -> Iterator[VmnetError]:
    """Addresses that the host itself has: it would answer for them on every device."""
    wanted = static_addresses(plan, network, nics)
    for address, link in held_by_host(facts.links, wanted).items():
        if link.group != naming.group(plan.name):
            yield VmnetError(
                f"the address {address} is this host's own, on {one_line(link.name)}",
                where=places.where(*wanted[address].path, "address"),
                fix="give this NIC another address, or narrow the pool",
                status=Exit.CONFLICT,
            )


def held_by_host(links: "Iterable[Link]", wanted: "Collection[Address]") -> "dict[Address, Link]":
    """Return the device that holds each wanted address which the host has on any device.

    On any: the host answers for all of its addresses on each of them (ip-sysctl.txt, arp_ignore).
    """
    found: dict[Address, Link] = {}
    for link in links:
        for text in link.addresses:
            address = ip_interface(text).ip
            if address in wanted:
                found.setdefault(address, link)
    return found


def owned_elsewhere(
    owners: "Mapping[Address, str]",
    plan: "Plan",
    network: "Network",
    places: "Places",
    nics: Nics,
) -> Iterator[VmnetError]:
    """Addresses that a machine on the LAN has answered for: `owners` are their MACs."""
    wanted = static_addresses(plan, network, nics)
    for address, mac in owners.items():
        yield VmnetError(
            f"the address {address} is taken: {mac} answers for it on {network.uplink}",
            where=places.where(*wanted[address].path, "address"),
            fix="give this NIC another address, or keep the pool out of the router's DHCP range",
            status=Exit.CONFLICT,
        )


def static_addresses(plan: "Plan", network: "Network", nics: Nics) -> "dict[Address, NicId]":
    """Return the addresses that guests are to take on a network, each with its NIC."""
    return {
        one.ip: key
        for key, _ in plan.nics_on(network)
        if not nics[key].dhcp
        for one in nics[key].addresses
    }
