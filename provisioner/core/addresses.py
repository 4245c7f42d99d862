"""Which MAC and addresses each NIC gets, and how its guest is told."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_interface
from math import gcd
from typing import TYPE_CHECKING

from provisioner.core import names, pools

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from provisioner.core.model import Nic, Plan, Vm
    from provisioner.core.netvalues import Address, Interface
    from provisioner.core.pools import Pool

Key = tuple[str, int]
"""A NIC: its VM's name and its number in that VM, from 0."""


@dataclass(frozen=True, slots=True)
class NicConfig:
    """What a guest is told about one NIC; `mtu` in bytes, None leaves the guest's own."""

    mac: str
    addresses: tuple[Interface, ...]
    gateways: tuple[Address, ...]
    dns: tuple[Address, ...]
    mtu: int | None
    dhcp: bool


def assign(plan: Plan) -> dict[Key, NicConfig]:
    """Give every NIC its MAC and addresses; the same whatever the order of the VMs in the file.

    A static address is derived from (plan, VM, NIC). NICs whose derived addresses collide are
    served in the order of their hashes, so a new VM moves only those that it collides with.
    """
    derived = _derived(plan)
    return {
        (vm.name, number): config
        for vm in plan.vms
        for number, config in enumerate(_of_vm(plan, vm, derived))
    }


def _of_vm(plan: Plan, vm: Vm, derived: dict[Key, list[Interface]]) -> Iterator[NicConfig]:
    """Give a VM's NICs; the first that has a gateway of an IP version carries the default route."""
    routed: set[int] = set()
    for number, nic in enumerate(vm.nics):
        network = plan.network(nic.network)
        addresses = (*(nic.address or ()), *derived.get((vm.name, number), ()))
        gateways = tuple(
            gateway
            for gateway in network.gateway
            if gateway.version not in routed and any(gateway in one.network for one in addresses)
        )
        routed.update(gateway.version for gateway in gateways)
        yield NicConfig(
            mac=nic.mac or names.mac(plan.name, vm.name, number),
            addresses=tuple(sorted(addresses, key=lambda one: one.version)),
            gateways=gateways,
            dns=network.dns,
            mtu=nic.mtu or network.mtu,
            dhcp=network.addressing == "dhcp" and not addresses,
        )


def _derived(plan: Plan) -> dict[Key, list[Interface]]:
    homes: dict[str, list[tuple[Key, Nic]]] = {}
    for vm in plan.vms:
        for number, nic in enumerate(vm.nics):
            homes.setdefault(nic.network, []).append(((vm.name, number), nic))
    found: dict[Key, list[Interface]] = {}
    for network in plan.networks:
        there = homes.get(network.name, [])
        for pool in pools.of(network):
            given = pool.given(nic for _, nic in there)
            wanting = [key for key, nic in there if pool.wants(nic)]
            for key, number in _spread(plan.name, wanting, pool, given | pool.reserved).items():
                address = pool.subnet.network_address + (number - int(pool.subnet.network_address))
                one = ip_interface(f"{address}/{pool.subnet.prefixlen}")
                found.setdefault(key, []).append(one)
    return found


def _spread(plan: str, wanting: Sequence[Key], pool: Pool, taken: frozenset[int]) -> dict[Key, int]:
    """Give each NIC the first free number on its own walk through the pool."""
    size = pool.last - pool.first + 1
    hashed = sorted(
        (names.digest("address", plan, vm, str(number), size=16), vm, number)
        for vm, number in wanting
    )
    busy = set(taken)
    found: dict[Key, int] = {}
    for digest, vm, number in hashed:
        chosen = next(at + pool.first for at in _walk(digest, size) if at + pool.first not in busy)
        busy.add(chosen)
        found[vm, number] = chosen
    return found


def _walk(digest: str, size: int) -> Iterator[int]:
    """Visit every number below `size` once, from a start and with a stride that a hash gives."""
    start, stride = int(digest[:16], 16) % size, int(digest[16:], 16) % size or 1
    while gcd(stride, size) != 1:
        stride += 1
    return ((start + stride * step) % size for step in range(size))


def network_config(nics: Sequence[NicConfig]) -> str:
    """Render cloud-init's network-config version 2: JSON on one line, which is YAML too.

    NICs are told apart by their MACs: interface names differ from guest to guest.
    """
    import json

    ethernets = {f"nic{number}": _ethernet(nic) for number, nic in enumerate(nics)}
    whole = {"version": 2, "ethernets": ethernets}
    return json.dumps(whole, sort_keys=True, separators=(",", ":"))


def _ethernet(nic: NicConfig) -> dict[str, object]:
    told: dict[str, object] = {
        "match": {"macaddress": nic.mac},
        "dhcp4": nic.dhcp,
        "accept-ra": nic.dhcp,
    }
    if nic.addresses:
        told["addresses"] = [str(one) for one in nic.addresses]
    if nic.gateways:
        told["routes"] = [{"to": "default", "via": str(one)} for one in nic.gateways]
    if nic.dns:
        told["nameservers"] = {"addresses": [str(one) for one in nic.dns]}
    if nic.mtu:
        told["mtu"] = nic.mtu
    return told
