"""The frames that tell a LAN where a guest is: its switches by the MAC, its neighbours by address.

A gratuitous ARP request, whose sender is its target (RFC 5227, 3), and an unsolicited neighbour
advertisement. Which addresses a DHCP server has given to a guest, only the guest knows.
"""

from collections.abc import Iterable
from ipaddress import IPv4Address

from provisioner.network import frames
from provisioner.plan.ip import Address


def announcements(mac: str, addresses: Iterable[Address]) -> tuple[bytes, ...]:
    """Return the frames about a NIC with that MAC and these addresses."""
    told = (
        frames.arp_request(address, mac, sender=address)
        if isinstance(address, IPv4Address)
        else frames.neighbour_advertisement(address, mac)
        for address in addresses
    )
    return (frames.reverse_arp(mac), *told)
