"""What must hold for one address or prefix on a network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provisioner.plan.ip import Address, Interface, Subnet, is_bare, is_host
from provisioner.plan.problem import Path, Problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from provisioner.plan.model import Network


def inside(path: Path, what: str, one: Address, network: Network) -> Iterator[Problem]:
    """Check one address against the subnets of its network; without any, nothing can be said."""
    subnet = network.subnet_of(one.version)
    if network.subnet and (subnet is None or one not in subnet):
        listed = " or ".join(map(str, network.subnet))
        yield Problem(
            path, f"{what} {one} is not inside subnet {listed}", "choose one inside the subnet"
        )
    elif subnet:
        yield from _names_machine(path, what, one, subnet)


def prefix(path: Path, one: Interface, network: Network) -> Iterator[Problem]:
    """Check an address's prefix against the subnet of its family, or by itself."""
    subnet = network.subnet_of(one.version)
    if subnet and one.ip in subnet and one.network != subnet:
        yield Problem(
            path,
            f"address {one} does not have the prefix of subnet {subnet}",
            f"write {one.ip}/{subnet.prefixlen}, or leave the prefix out",
        )
    elif not network.subnet and is_bare(one):
        yield Problem(
            path,
            f"address {one.ip} has no prefix, and its network no subnet",
            "write the prefix, as in 10.77.0.5/24, or give the network a subnet",
        )
    elif not network.subnet:
        yield from _names_machine(path, "address", one.ip, one.network)


def _names_machine(path: Path, what: str, one: Address, subnet: Subnet) -> Iterator[Problem]:
    if not is_host(subnet, one):
        kind = "broadcast" if one == subnet.broadcast_address else "network"
        yield Problem(
            path,
            f"{what} {one} is the {kind} address of {subnet}",
            "choose one between the first and the last address",
        )


def second_of_a_family(path: Path, values: Sequence[Address | Subnet]) -> Iterator[Problem]:
    """Complain about each value but the first of an IP version."""
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
