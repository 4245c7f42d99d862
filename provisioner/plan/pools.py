"""The addresses that a network may hand out by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provisioner.dataclass import dataclass
from provisioner.plan.choices import Addressing

if TYPE_CHECKING:
    from collections.abc import Iterable

    from provisioner.plan.ip import Subnet
    from provisioner.plan.model import Network, Nic

_MOST_OF_IPV6 = 0xFFFF
_IPV4 = 4


@dataclass(frozen=True, slots=True)
class Pool:
    """The numbers from `first` to `last` of one subnet, less those the network itself bears."""

    subnet: Subnet
    first: int
    last: int
    reserved: frozenset[int]

    def assigned(self, nics: Iterable[Nic]) -> frozenset[int]:
        """Return the addresses of this family that the plan itself gives to NICs, as numbers."""
        return frozenset(
            int(one.ip)
            for nic in nics
            for one in nic.address or ()
            if one.version == self.subnet.version
        )

    def wants(self, nic: Nic) -> bool:
        """Return whether a NIC of the network has no address of this family yet."""
        return all(one.version != self.subnet.version for one in nic.address or ())

    def free(self, taken: frozenset[int]) -> int:
        """Count the addresses that are left when `taken` are."""
        gone = sum(self.first <= number <= self.last for number in taken | self.reserved)
        return self.last - self.first + 1 - gone


def of(network: Network) -> tuple[Pool, ...]:
    """Return a network's pools, one per subnet that vmnet itself hands out addresses of.

    These are all of them where addresses are static, and IPv4's where vmnet's own DHCP gives each
    VM its fixed lease.
    """
    leases = network.addressing is Addressing.DHCP and network.serves_dhcp
    if network.addressing is not Addressing.STATIC and not leases:
        return ()
    own = (*network.gateway, *network.switch_addresses, *(network.host_access or ()))
    return tuple(
        Pool(
            subnet,
            *ends(network, subnet),
            frozenset(int(one) for one in own if one.version == subnet.version),
        )
        for subnet in network.subnet
        if subnet.version == _IPV4 or not leases
    )


def ends(network: Network, subnet: Subnet) -> tuple[int, int]:
    """Return the first and the last number of a pool, short ones in an IPv6 subnet.

    Addresses that name no machine are left out.
    """
    low, high = int(subnet.network_address) + 1, int(subnet.broadcast_address)
    if subnet.version == _IPV4:
        high -= 1
    if network.pool is not None and network.pool[0].version == subnet.version:
        return max(low, int(network.pool[0])), min(high, int(network.pool[1]))
    return low, high if subnet.version == _IPV4 else min(high, low - 1 + _MOST_OF_IPV6)
