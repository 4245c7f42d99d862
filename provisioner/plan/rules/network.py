"""What must hold inside one network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provisioner.plan.choices import Addressing
from provisioner.plan.ip import LEAST_MTU_OF_IPV6, is_bare, is_host
from provisioner.plan.problem import Path, Problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from provisioner.plan.ip import Address, Interface, Subnet
    from provisioner.plan.model import Network


_SLAAC_PREFIX = 64  # RFC 4862 with the 64-bit interface identifiers of RFC 4291


def network_problems(network: Network) -> Iterator[Problem]:
    """Check one network by itself."""
    yield from _carrier(network)
    yield from _second_of_a_family(("subnet",), network.subnet)
    yield from _second_of_a_family(("gateway",), network.gateway)
    yield from _second_of_a_family(("switch", "host"), network.switch_addresses)
    yield from _addressing(network)
    yield from _pool(network)
    yield from _host_access(network)
    yield from _services(network)
    yield from _advertised(network)
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
    if network.vlan is not None and network.switch:
        yield Problem(
            ("vlan",),
            f"a VLAN is one of an uplink, and network {network.name} has a switch",
            "leave vlan out: every switch is a wire of its own",
            ("switch",),
        )


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


def _host_access(network: Network) -> Iterator[Problem]:
    if network.host_access is None:
        return
    path: Path = ("host_access",)
    if network.switch:
        yield Problem(
            path,
            f"the host is on the switch of network {network.name} already",
            "leave host_access out: it is for a NIC of the host; `host` of the switch says where",
            ("switch",),
        )
    elif network.addressing is not Addressing.STATIC:
        yield Problem(
            path,
            "host access needs a route to each guest: nobody knows the addresses of addressing: "
            f"{network.addressing}",
            "use addressing: static with a subnet, or leave host_access out",
        )
    else:
        yield from _met_at(network)


def _met_at(network: Network) -> Iterator[Problem]:
    given = network.host_access or ()
    yield from _second_of_a_family(("host_access",), given)
    for at, one in enumerate(given):
        yield from inside(("host_access", at), "host access", one, network)
        if one in network.gateway:
            yield Problem(
                ("host_access", at),
                f"address {one} is the gateway's",
                "choose another address, or write host_access: true",
                ("gateway", network.gateway.index(one)),
            )


def _services(network: Network) -> Iterator[Problem]:
    switch = network.switch
    if switch is None:
        return
    if not network.subnet and network.addressing is Addressing.NONE:
        for name, wanted in (("nat", switch.nat), ("dhcp", switch.dhcp)):
            if wanted:
                yield Problem(
                    ("switch", name),
                    f"{name} needs a subnet, and network {network.name} has none",
                    "add one, as in subnet: 10.77.0.0/24",
                )
    if switch.dhcp and switch.host_services is not None and "dhcp" not in switch.host_services:
        yield Problem(
            ("switch", "host_services"),
            "dhcp: true has guests ask this host for addresses, and host_services closes that",
            "write host_services: [dhcp], or [dhcp, dns]",
            ("switch", "dhcp"),
        )
    if switch.rebind_domains and not (switch.dhcp and switch.nat):
        yield Problem(
            ("switch", "rebind_domains"),
            "rebind_domains is about names that dnsmasq asks others for, which takes dhcp and nat",
            "add dhcp: true and nat: true, or leave rebind_domains out",
        )
    if switch.dhcp and network.subnet and not network.subnet_of(4):
        yield from _served_without_ipv4(network)


def _served_without_ipv4(network: Network) -> Iterator[Problem]:
    six = network.subnet_of(6)
    if six and six.prefixlen != _SLAAC_PREFIX:
        yield Problem(
            ("switch", "dhcp"),
            f"dhcp needs an IPv4 subnet, or an IPv6 one of /{_SLAAC_PREFIX}",
            "add one, as in subnet: 10.77.0.0/24",
            ("subnet", network.subnet.index(six)),
        )
    elif network.addressing is Addressing.DHCP:
        given = "addressing" in network.model_fields_set
        yield Problem(
            ("addressing",) if given else ("switch", "dhcp"),
            f"DHCP gives IPv4 addresses, and network {network.name} has no IPv4 subnet",
            "use addressing: slaac or static, or add one, as in subnet: 10.77.0.0/24",
        )


def _advertised(network: Network) -> Iterator[Problem]:
    path: Path = ("addressing",) if network.addressing is Addressing.SLAAC else ("slaac",)
    if network.addressing is Addressing.SLAAC and not network.slaac:
        yield Problem(
            ("slaac",),
            "slaac: false takes away the only addresses that addressing: slaac gives",
            "leave slaac out, or use addressing: none",
            ("addressing",),
        )
    if not network.wants_advertisements:
        return
    six = network.subnet_of(6)
    if network.switch and not network.switch.dhcp:
        yield Problem(
            path,
            "nothing sends router advertisements on this switch",
            "write switch: {dhcp: true}, or use addressing: static",
        )
    elif network.switch and six is None:
        yield Problem(
            path,
            f"router advertisements need an IPv6 subnet, and network {network.name} has none",
            "add one, as in subnet: fd77::/64",
        )
    elif six and six.prefixlen != _SLAAC_PREFIX:
        yield Problem(
            path,
            f"guests make themselves addresses in a /{_SLAAC_PREFIX}, and {six} is not one",
            f"write a subnet of /{_SLAAC_PREFIX}, as in fd77::/64",
            ("subnet", network.subnet.index(six)),
        )


def least_mtu(network: Network) -> int:
    """Return the least MTU, in bytes, that the network's IP versions allow."""
    speaks_ipv6 = network.subnet_of(6) or network.wants_advertisements
    return LEAST_MTU_OF_IPV6 if speaks_ipv6 else 0


def small_mtu(path: Path, mtu: int, network: Network) -> Problem:
    """Complain about an MTU below the least."""
    whose = "IPv6 subnet" if network.subnet_of(6) else "router advertisements (IPv6)"
    return Problem(
        path,
        f"an MTU of {mtu} is too small for the network's {whose}",
        f"use at least {LEAST_MTU_OF_IPV6} (RFC 8200), or do without IPv6",
    )


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


def _second_of_a_family(path: Path, values: Sequence[Address | Subnet]) -> Iterator[Problem]:
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
