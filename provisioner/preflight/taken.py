"""Addresses that the host itself holds: no guest may have them."""

from collections.abc import Collection, Iterable
from ipaddress import ip_interface

from provisioner.network.facts import Link
from provisioner.plan.ip import Address


def held_by_host(links: Iterable[Link], wanted: Collection[Address]) -> dict[Address, Link]:
    """Give the device that holds each wanted address which the host has on any device.

    On any: the host answers for all of its addresses on each of them (ip-sysctl.txt, arp_ignore).
    """
    found: dict[Address, Link] = {}
    for link in links:
        for text in link.addresses:
            address = ip_interface(text).ip
            if address in wanted:
                found.setdefault(address, link)
    return found
