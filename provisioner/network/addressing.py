"""Which MAC and addresses each NIC gets, and how its guest is configured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from ipaddress import ip_interface
from math import gcd
from typing import TYPE_CHECKING

from provisioner import naming
from provisioner.dataclass import dataclass
from provisioner.plan import pools
from provisioner.plan.mac import Mac
from provisioner.plan.nic_id import NicId, numbered
from provisioner.plan.nic_settings import mac_of, settings_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from provisioner.plan.ip import Address, Interface
    from provisioner.plan.model import Network, Plan, Vm
    from provisioner.plan.pools import Pool


Reservation = tuple[str, str]
"""A LAN (the ifindex of the uplink, and the VLAN's number) and what a guest will have there: its
address or its MAC."""


@dataclass(frozen=True, slots=True)
class NicConfig:
    """How a guest configures one NIC; `mtu` in bytes, None leaves the guest's own.

    With `dhcp` the addresses are the leases that vmnet's own DHCP server has for it; `ra` is
    whether the guest listens to router advertisements.
    """

    mac: Mac
    addresses: tuple[Interface, ...]
    gateways: tuple[Address, ...]
    dns: tuple[Address, ...]
    mtu: int | None
    dhcp: bool
    ra: bool = False

    @property
    def static(self) -> tuple[Address, ...]:
        """The addresses that are known before the guest has a lease."""
        return () if self.dhcp else tuple(one.ip for one in self.addresses)


Nics = Mapping[NicId, NicConfig]
"""What each NIC is configured with."""


def assign(plan: Plan) -> dict[NicId, NicConfig]:
    """Return the MAC and addresses of each NIC; the order of the VMs in the file does not matter.

    A static address is derived from (plan, VM, NIC). NICs whose derived addresses collide are
    served in the order of their hashes, so a new VM moves only those that it collides with.
    """
    derived = _derived(plan)
    return {key: config for vm in plan.vms for key, config in _of_vm(plan, vm, derived)}


def _of_vm(
    plan: Plan, vm: Vm, derived: dict[NicId, list[Interface]]
) -> Iterator[tuple[NicId, NicConfig]]:
    """Return a VM's NICs; the first with a gateway of an IP version has the default route."""
    routed: set[int] = set()
    for key, nic in numbered(vm.name, vm.nics):
        network = plan.network(nic.network)
        addresses = (*(nic.address or ()), *derived.get(key, ()))
        gateways = tuple(
            gateway
            for gateway in gateways_of(network)
            if gateway.version not in routed and any(gateway in one.network for one in addresses)
        )
        routed.update(gateway.version for gateway in gateways)
        yield (
            key,
            NicConfig(
                mac=mac_of(plan, key, nic),
                addresses=tuple(sorted(addresses, key=lambda one: one.version)),
                gateways=gateways,
                dns=resolvers(network),
                mtu=nic.mtu or network.mtu,
                dhcp=network.addressing == "dhcp" and not nic.address,
                ra=network.slaac and (network.addressing != "dhcp" or not nic.address),
            ),
        )


def gateways_of(network: Network) -> tuple[Address, ...]:
    """Return the routers of guests: the plan's, or the host where it does NAT."""
    return network.gateway or (network.switch_addresses if network.does_nat else ())


def resolvers(network: Network) -> tuple[Address, ...]:
    """Return guests' name servers: the plan's, or the host where vmnet's dnsmasq answers there.

    A switch whose `host_services` leave DNS out keeps guests' questions from it.
    """
    if network.dns or not (network.switch and network.serves_dhcp):
        return network.dns
    services = network.switch.host_services
    return network.switch_addresses if services is None or "dns" in services else ()


def met_at(plan: Plan) -> dict[str, tuple[Address, ...]]:
    """Return the addresses at which guests meet the host, of each network with host access.

    A derived one is chosen after all guests have theirs, so that it moves none of them.
    """
    found: dict[str, tuple[Address, ...]] = {}
    for network in plan.networks:
        if network.host_access is None:
            continue
        found[network.name] = network.host_access or tuple(_met_at(plan, network))
    return found


def _met_at(plan: Plan, network: Network) -> Iterator[Address]:
    nics = assign(plan)
    taken = frozenset(
        int(one.ip) for key, _ in plan.nics_on(network) for one in nics[key].addresses
    )
    for pool in pools.of(network):
        host = NicId(f"host of {network.name}", 0)
        yield _spread(plan.name, [host], pool, taken | pool.reserved)[host].ip


def with_macs(plan: Plan, nics: Nics, macs: Mapping[str, str]) -> dict[NicId, NicConfig]:
    """Return passthru NICs with the MACs of their uplinks: the kernel allows no other."""
    out = dict(nics)
    for key, nic in plan.nics():
        mac = macs.get(nic.network)
        if mac and settings_of(plan, nic).mode.takes_uplink_mac:
            out[key] = replace(nics[key], mac=Mac(mac))
    return out


def _derived(plan: Plan) -> dict[NicId, list[Interface]]:
    found: dict[NicId, list[Interface]] = {}
    for network in plan.networks:
        there = list(plan.nics_on(network))
        for pool in pools.of(network):
            given = pool.assigned(nic for _, nic in there)
            wanting = [key for key, nic in there if pool.wants(nic)]
            for key, one in _spread(plan.name, wanting, pool, given | pool.reserved).items():
                found.setdefault(key, []).append(one)
    return found


def _spread(
    plan: str, wanting: Sequence[NicId], pool: Pool, taken: frozenset[int]
) -> dict[NicId, Interface]:
    """Return for each NIC the first free address on its own walk through the pool."""
    size = pool.last - pool.first + 1
    hashed = sorted(
        (naming.digest("address", plan, key.vm, str(key.number), size=16), key) for key in wanting
    )
    busy = set(taken)
    found: dict[NicId, Interface] = {}
    for digest, key in hashed:
        chosen = next(at + pool.first for at in _walk(digest, size) if at + pool.first not in busy)
        busy.add(chosen)
        address = pool.subnet[chosen - int(pool.subnet.network_address)]
        found[key] = ip_interface(f"{address}/{pool.subnet.prefixlen}")
    return found


def _walk(digest: str, size: int) -> Iterator[int]:
    """Visit every number below `size` once, from a start and with a stride that a hash gives."""
    start, stride = int(digest[:16], 16) % size, int(digest[16:], 16) % size or 1
    while gcd(stride, size) != 1:
        stride += 1
    return ((start + stride * step) % size for step in range(size))


def source_macs(allow: tuple[str, ...], nics: Nics, host: str) -> tuple[str, ...]:
    """Return the MACs that a source list means, sorted, each once.

    vm:NAME means all of that VM, "host" the MAC `host` that the host has towards the guests.
    """
    vms = {one.removeprefix("vm:") for one in allow if one.startswith("vm:")}
    macs = {host if one == "host" else one for one in allow if not one.startswith("vm:")}
    if vms:
        macs |= {nic.mac for key, nic in nics.items() if key.vm in vms}
    return tuple(sorted(macs))
