"""What must hold for what a network adds to its wire: VLAN, host access, NAT, DHCP, SLAAC."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provisioner.plan.choices import Addressing
from provisioner.plan.problem import Path, Problem
from provisioner.plan.rules.subnet import inside, second_of_a_family

if TYPE_CHECKING:
    from collections.abc import Iterator

    from provisioner.plan.model import Network


_SLAAC_PREFIX = 64  # RFC 4862 with the 64-bit interface identifiers of RFC 4291


def wire_problems(network: Network) -> Iterator[Problem]:
    """Check one network's VLAN, host access and services."""
    if network.vlan is not None and network.switch:
        yield Problem(
            ("vlan",),
            f"a VLAN is one of an uplink, and network {network.name} has a switch",
            "leave vlan out: every switch is a wire of its own",
            ("switch",),
        )
    yield from _host_access(network)
    yield from _services(network)
    yield from _advertised(network)


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
    yield from second_of_a_family(("host_access",), given)
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
    if not wants_advertisements(network):
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


def wants_advertisements(network: Network) -> bool:
    """Tell whether the plan itself asks for router advertisements, beyond what DHCP implies."""
    return network.addressing is Addressing.SLAAC or (
        network.slaac and network.addressing is not Addressing.DHCP
    )
