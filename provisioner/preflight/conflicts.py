"""Names and addresses that something else has already: vmnet never touches it."""

from collections.abc import Collection, Container, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from provisioner import naming
from provisioner.errors import Exit, VmnetError
from provisioner.network import nftables
from provisioner.network.addressing import Reservation
from provisioner.network.devices import uplink_of
from provisioner.network.nft_ruleset import taken
from provisioner.network.resources import Macvtap
from provisioner.plan.choices import SpoofGuard
from provisioner.plan.nic_settings import settings_of, settings_on
from provisioner.plan.problem import Path
from provisioner.preflight.hosted_plan import HostedPlan
from provisioner.resource import Key, Resources
from provisioner.text import one_line

if TYPE_CHECKING:
    from provisioner.network.addressing import Nics
    from provisioner.network.facts import Link
    from provisioner.plan.ip import Address
    from provisioner.plan.model import Network, Plan


def claims(on: HostedPlan, fresh: Container[str]) -> dict[Reservation, Path]:
    """Return what the VMs in `fresh` will have on the host's uplinks, and where the plan says so.

    Of a passthru NIC the MAC is the uplink's own, which the kernel gives to one device alone.
    """
    found: dict[Reservation, Path] = {}
    for network in on.plan.networks:
        link = on.facts.link(network.uplink or "")
        if not network.uplink or network.granted or link is None:
            continue
        lan = f"{link.index}.{network.vlan or 0}"
        for key, nic in on.plan.nics_on(network):
            if key.vm in fresh and not settings_on(network, nic).mode.takes_uplink_mac:
                found[lan, on.nics[key].mac] = (*key.path, "mac")
        found |= {
            (lan, str(address)): (*key.path, "address")
            for address, key in on.static_addresses(network).items()
            if key.vm in fresh
        }
    return found


def claimed_elsewhere(
    on: HostedPlan, taken: Mapping[Reservation, str], paths: Mapping[Reservation, Path]
) -> Iterator[VmnetError]:
    """List the addresses and MACs that another plan's `up` is giving to its guests right now."""
    for claim, who in taken.items():
        what = "MAC" if paths[claim][-1] == "mac" else "address"
        yield on.error(
            paths[claim],
            f"the {what} {claim[1]} is taken: {who} is bringing up a guest that has it",
            f"give this NIC another {what}, or take that plan down first",
            Exit.CONFLICT,
        )


def devices_taken(on: HostedPlan, owned: Resources) -> Iterator[VmnetError]:
    """List the device names of the plan that devices not made for it have."""
    links = on.facts.links
    by_name = {x.name: x for x in links} | {x.altname: x for x in links if x.altname}
    for name, (key, path) in _devices(on.plan).items():
        link = by_name.get(name)
        # A macvtap of the plan that has been renamed goes, before one of its right name comes.
        if link and key not in owned and ("macvtap", link.name) not in owned:
            yield on.error(
                path,
                f'the device name "{name}" is taken by a {link.kind or "device"} that vmnet did '
                f"not make for this plan (group {link.group:#x})",
                f"rename the plan, or take that device away: ip link del dev {name}",
                Exit.CONFLICT,
            )


def _devices(plan: "Plan") -> dict[str, tuple[Key, Path]]:
    """Return every device name of the plan, the resource it belongs to, and its place."""
    out: dict[str, tuple[Key, Path]] = {}
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


def domains_taken(on: HostedPlan) -> Iterator[VmnetError]:
    """List the names and UUIDs of domains that libvirt knows from somebody else."""
    for vm in on.plan.vms:
        name, uuid = naming.domain(on.plan.name, vm.name), naming.domain_uuid(on.plan.name, vm.name)
        for foreign in on.facts.foreign_domains:
            if name == foreign.name or uuid == foreign.uuid:
                yield on.error(
                    ("vms", vm.name),
                    f'libvirt already has a domain "{one_line(foreign.name)}" that vmnet did not '
                    "make for this plan",
                    "rename the plan or the VM; vmnet never touches a domain of somebody else",
                    Exit.CONFLICT,
                )


def tables_taken(on: HostedPlan) -> Iterator[VmnetError]:
    """List the names of nftables tables that are in use, but not by vmnet."""
    plan = on.plan
    wanted: dict[tuple[str, str], Path] = {
        ("inet", nftables.table_name(plan.name, x.name)): ("networks", x.name)
        for x in plan.networks
        if x.switch
    }
    for key, nic in plan.nics():
        guarded = settings_of(plan, nic).spoof_guard is not SpoofGuard.OFF
        if guarded and not plan.network_of(key).granted:
            tap = naming.macvtap(plan.name, *key)
            wanted["netdev", nftables.table_name(plan.name, tap)] = key.path
    for which, path in wanted.items():
        if which in on.facts.firewall.namesakes:
            yield taken(*which, "rename the plan", on.places.where(*path))


def addresses_taken(on: HostedPlan, network: "Network") -> Iterator[VmnetError]:
    """List the addresses that the host itself has: it would answer for them on every device."""
    wanted = on.static_addresses(network)
    own = on.own_devices
    for address, link in held_by_host(on.facts.links, wanted).items():
        if link.name not in own:
            yield on.error(
                (*wanted[address].path, "address"),
                f"the address {address} is this host's own, on {one_line(link.name)}",
                "give this NIC another address, or narrow the pool",
                Exit.CONFLICT,
            )


def held_by_host(links: "Iterable[Link]", wanted: "Collection[Address]") -> "dict[Address, Link]":
    """Return the device that holds each wanted address which the host has on any device.

    On any: the host answers for all of its addresses on each of them (ip-sysctl.txt, arp_ignore).
    """
    found: dict[Address, Link] = {}
    for link in links:
        for address in link.addresses:
            if address.ip in wanted:
                found.setdefault(address.ip, link)
    return found


def own_macs(resources: Resources, nics: "Nics", fresh: Container[str]) -> set[str]:
    """Return the MACs of guests of the plan that may answer now for an address which is to be free.

    They are started anew, or lose the NIC: an address may go from one guest to another.
    """
    taps = {x.mac for x in resources.values() if isinstance(x, Macvtap)}
    staying = {config.mac for key, config in nics.items() if key.vm not in fresh}
    return taps.union(config.mac for config in nics.values()) - staying


def owned_elsewhere(
    on: HostedPlan, network: "Network", owners: "Mapping[Address, str]"
) -> Iterator[VmnetError]:
    """List the addresses that a machine on the LAN has answered for; `owners` are their MACs."""
    wanted = on.static_addresses(network)
    for address, mac in owners.items():
        yield on.error(
            (*wanted[address].path, "address"),
            f"the address {address} is taken: {mac} answers for it on {network.uplink}",
            "give this NIC another address, or keep the pool out of the router's DHCP range",
            Exit.CONFLICT,
        )
