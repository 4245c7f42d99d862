"""What must hold inside one network, and for one address on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provisioner.core.netvalues import Address, Interface, Subnet, is_bare, is_host
from provisioner.core.problems import Path, Problem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from provisioner.core.model import Network

_IPV6 = 6
_LEAST_MTU_OF_IPV6 = 1280


def network_problems(network: Network) -> Iterator[Problem]:
    """Judge one network by itself."""
    yield from _carrier(network)
    yield from _families(network)
    yield from _addressing(network)
    yield from _pool(network)
    if network.mtu is not None and network.mtu < least_mtu(network):
        yield small_mtu(("mtu",), network.mtu)
    for at, gateway in enumerate(network.gateway):
        yield from inside(("gateway", at), "gateway", gateway, network.subnet)
    for at, host in enumerate(network.switch.host if network.switch else ()):
        yield from inside(("switch", "host", at), "switch host", host.ip, network.subnet)
        yield from prefix(("switch", "host", at), host, network.subnet)


def _carrier(network: Network) -> Iterator[Problem]:
    if network.uplink is None and network.switch is None:
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
    hosts = tuple(host.ip for host in network.switch.host) if network.switch else ()
    for path, values in (
        (("subnet",), network.subnet),
        (("gateway",), network.gateway),
        (("switch", "host"), hosts),
    ):
        seen: dict[int, int] = {}
        for at, value in enumerate(values):
            if value.version in seen:
                yield Problem(
                    (*path, at),
                    f"{value} is the second {path[-1]} of IPv{value.version}",
                    "give at most one for IPv4 and one for IPv6",
                    (*path, seen[value.version]),
                )
            seen.setdefault(value.version, at)


def _addressing(network: Network) -> Iterator[Problem]:
    static = network.addressing == "static"
    dhcp = network.addressing == "dhcp"
    if network.switch and dhcp and "addressing" in network.model_fields_set:
        yield Problem(
            ("addressing",),
            "nothing answers DHCP on a switch that vmnet makes",
            "use addressing: static with a subnet",
        )
    elif not network.subnet and (static or (network.switch and not network.uplink and dhcp)):
        yield Problem(
            ("addressing",) if static else (),
            f"network {network.name} has no subnet",
            "add one, as in subnet: 10.77.0.0/24",
        )


def _pool(network: Network) -> Iterator[Problem]:
    if network.pool is None:
        return
    first, last = network.pool
    subnet = of_family(network.subnet, first.version)
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


def inside(path: Path, what: str, one: Address, subnets: tuple[Subnet, ...]) -> Iterator[Problem]:
    """Judge one address against the subnets of its network; without any, nothing can be said."""
    subnet = of_family(subnets, one.version)
    told = " or ".join(map(str, subnets))
    if subnets and (subnet is None or one not in subnet):
        yield Problem(
            path, f"{what} {one} is not inside subnet {told}", "choose one inside the subnet"
        )
    elif subnet and not is_host(subnet, one):
        kind = "broadcast" if one == subnet.broadcast_address else "network"
        yield Problem(
            path,
            f"{what} {one} is the {kind} address of {subnet}",
            "choose one between the first and the last address",
        )


def prefix(path: Path, one: Interface, subnets: tuple[Subnet, ...]) -> Iterator[Problem]:
    """Judge an address's prefix against the subnet of its family, or by itself."""
    subnet = of_family(subnets, one.version)
    if subnet is None and not subnets and is_bare(one):
        yield Problem(
            path,
            f"address {one.ip} has no prefix, and its network no subnet",
            "write the prefix, as in 10.77.0.5/24, or give the network a subnet",
        )
    elif subnet is None and not subnets and not is_host(one.network, one.ip):
        kind = "broadcast" if one.ip == one.network.broadcast_address else "network"
        yield Problem(
            path,
            f"address {one.ip} is the {kind} address of {one.network}",
            "choose one between the first and the last address",
        )
    elif subnet and one.ip in subnet and one.network != subnet:
        yield Problem(
            path,
            f"address {one} does not have the prefix of subnet {subnet}",
            f"write {one.ip}/{subnet.prefixlen}, or leave the prefix out",
        )


def of_family(subnets: tuple[Subnet, ...], version: int) -> Subnet | None:
    """Give the subnet of an IP version, if there is one."""
    return next((subnet for subnet in subnets if subnet.version == version), None)


def least_mtu(network: Network) -> int:
    """Give the least MTU, in bytes, that the network's subnets allow."""
    return _LEAST_MTU_OF_IPV6 if of_family(network.subnet, _IPV6) else 0


def small_mtu(path: Path, mtu: int) -> Problem:
    """Complain about an MTU below the least."""
    return Problem(
        path,
        f"an MTU of {mtu} is too small for the network's IPv6 subnet",
        f"use at least {_LEAST_MTU_OF_IPV6} (RFC 8200), or drop the IPv6 subnet",
    )
