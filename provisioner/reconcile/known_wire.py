"""Who is known on the wire of a NIC, from its plan alone."""

from __future__ import annotations

from ipaddress import IPv6Address, IPv6Network
from typing import TYPE_CHECKING, Final

from provisioner import naming
from provisioner.network.addressing import gateways_of, met_at
from provisioner.network.devices import uplink_of
from provisioner.network.frames import link_local
from provisioner.network.spoofing.isolated import isolated_from
from provisioner.network.spoofing.wire import KnownWire
from provisioner.plan.nic_settings import settings_on

if TYPE_CHECKING:
    from collections.abc import Iterator

    from provisioner.network.addressing import NicConfig, Nics
    from provisioner.plan.ip import Address
    from provisioner.plan.model import Network, Plan, Vm
    from provisioner.plan.nic_id import NicId

_EUI64: Final = ("micro", "debian", "debian-12", "debian-13", "bookworm", "trixie")
"""The images that vmnet configures and whose IPv6 addresses end with their MAC (EUI-64); the
others' may be random, as NetworkManager's, Windows' and Ubuntu's are (RFC 7217, RFC 8981)."""

_SLAAC_PREFIX: Final = 64


def wire_of(plan: Plan, key: NicId, nics: Nics) -> KnownWire:
    """Return what is known of a NIC's wire from its plan alone, so that it does not change."""
    nic, network = plan.nic(key), plan.network_of(key)
    how = settings_on(network, nic)
    own = {one.ip for one in nics[key].addresses} | set(_made(network, nics[key]))
    others = {one for one in _others(plan, key, nics) if one not in own}
    return KnownWire(
        others=tuple(sorted(others, key=lambda one: (one.version, int(one)))),
        eui64=_makes_eui64(plan.vm(key.vm)),
        advertised=network.serves_dhcp,
        ether_types=how.ether_types,
        isolated=isolated_from(plan, key, nics),
    )


def _others(plan: Plan, key: NicId, nics: Nics) -> Iterator[Address]:
    """Return whom the plan knows on the wire of a NIC, that NIC itself too."""
    mine = plan.network_of(key)
    there = uplink_of(plan.name, mine)
    for network in plan.networks:
        if network.granted:
            continue
        if network is not mine and (network.switch or uplink_of(plan.name, network) != there):
            continue  # each switch is a wire of its own
        yield from gateways_of(network)
        yield from network.switch_addresses
        if network.switch:
            yield link_local(naming.host_mac(plan.name, network.name))
        if network.host_access is not None:
            yield from met_at(plan)[network.name]
            yield link_local(naming.sibling_mac(plan.name, network.name))
        for other, _ in plan.nics_on(network):
            if other != key:
                yield from (one.ip for one in nics[other].addresses)
                yield from _made(network, nics[other])


def _made(network: Network, config: NicConfig) -> Iterator[IPv6Address]:
    """Return the addresses that a guest makes of its MAC: link-local, and in vmnet's prefixes."""
    own = link_local(config.mac)
    yield own
    for subnet in network.subnet:
        is_advertised = isinstance(subnet, IPv6Network) and subnet.prefixlen == _SLAAC_PREFIX
        if config.ra and is_advertised:
            half = int(own) & ((1 << _SLAAC_PREFIX) - 1)
            yield IPv6Address(int(subnet.network_address) | half)


def _makes_eui64(vm: Vm) -> bool:
    return vm.image in _EUI64 and not vm.ignition
