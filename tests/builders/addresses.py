"""Addresses and routes in a few words."""

from ipaddress import ip_interface, ip_network

from provisioner.network.facts import Route
from provisioner.plan.ip import Interface, Subnet


def interfaces(*texts: str) -> tuple[Interface, ...]:
    return tuple(map(ip_interface, texts))


def networks(*texts: str) -> tuple[Subnet, ...]:
    return tuple(map(ip_network, texts))


def route(network: str, device: str, gateway_mac: str = "") -> Route:
    """Return a route of the host; "default" is that of IPv4."""
    to = ip_network("0.0.0.0/0" if network == "default" else network, strict=False)
    return Route(to, device, gateway_mac)
