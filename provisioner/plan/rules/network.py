"""What must hold inside one network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provisioner.plan.choices import Addressing
from provisioner.plan.problem import Path, Problem
from provisioner.plan.rules.services import wants_advertisements, wire_problems
from provisioner.plan.rules.subnet import inside, prefix, second_of_a_family

if TYPE_CHECKING:
    from collections.abc import Iterator

    from provisioner.plan.model import Network


_LEAST_MTU_OF_IPV6 = 1280


def network_problems(network: Network) -> Iterator[Problem]:
    """Check one network by itself."""
    yield from _carrier(network)
    yield from _families(network)
    yield from _addressing(network)
    yield from _pool(network)
    yield from wire_problems(network)
    if network.mtu is not None and network.mtu < least_mtu(network):
        yield small_mtu(("mtu",), network.mtu, network)
    for at, gateway in enumerate(network.gateway):
        yield from inside(("gateway", at), "gateway", gateway, network)
    for at, host in enumerate(network.switch.host if network.switch else ()):
        yield from inside(("switch", "host", at), "switch host", host.ip, network)
        yield from prefix(("switch", "host", at), host, network)


def _carrier(network: Network) -> Iterator[Problem]:
    if network.granted is not None:
        for key in ("uplink", "switch", "vlan", "host_access"):
            if getattr(network, key) is not None:
                yield Problem(
                    (key,),
                    f"network {network.name} is made of granted devices: they have their uplink",
                    f"leave {key} out, or granted",
                    ("granted",),
                )
    elif network.uplink is None and network.switch is None:
        yield Problem(
            (),
            f"network {network.name} has neither an uplink nor a switch",
            "add uplink: NIC-of-this-host, or switch: true",
        )
    elif network.uplink is not None and network.switch is not None:
        yield Problem(
            ("switch",),
            f"network {network.name} has an uplink and a switch",
            "keep one of the two",
            ("uplink",),
        )


def _families(network: Network) -> Iterator[Problem]:
    yield from second_of_a_family(("subnet",), network.subnet)
    yield from second_of_a_family(("gateway",), network.gateway)
    yield from second_of_a_family(("switch", "host"), network.switch_addresses)


def _addressing(network: Network) -> Iterator[Problem]:
    switch = None if network.uplink else network.switch
    dhcp = network.addressing is Addressing.DHCP
    given = "addressing" in network.model_fields_set
    if switch and dhcp and given and not switch.dhcp:
        yield Problem(
            ("addressing",),
            "nothing answers DHCP on this switch",
            "write switch: {dhcp: true}, or use addressing: static with a subnet",
        )
    elif not network.subnet and (network.addressing is Addressing.STATIC or (switch and dhcp)):
        yield Problem(
            ("addressing",) if given else (),
            f"network {network.name} has no subnet",
            "add one, as in subnet: 10.77.0.0/24",
        )


def _pool(network: Network) -> Iterator[Problem]:
    if network.pool is None:
        return
    first, last = network.pool
    subnet = network.subnet_of(first.version)
    if subnet is None:
        yield Problem(
            ("pool",),
            f"network {network.name} has a pool of IPv{first.version} but no subnet",
            "add the subnet that the pool lies in",
        )
    elif first not in subnet or last not in subnet:
        yield Problem(
            ("pool",),
            f"pool {first}-{last} is not inside subnet {subnet}",
            "choose both ends inside the subnet",
        )


def least_mtu(network: Network) -> int:
    """Return the least MTU, in bytes, that the network's IP versions allow."""
    speaks_ipv6 = network.subnet_of(6) or wants_advertisements(network)
    return _LEAST_MTU_OF_IPV6 if speaks_ipv6 else 0


def small_mtu(path: Path, mtu: int, network: Network) -> Problem:
    """Complain about an MTU below the least."""
    whose = "IPv6 subnet" if network.subnet_of(6) else "router advertisements (IPv6)"
    return Problem(
        path,
        f"an MTU of {mtu} is too small for the network's {whose}",
        f"use at least {_LEAST_MTU_OF_IPV6} (RFC 8200), or do without IPv6",
    )
