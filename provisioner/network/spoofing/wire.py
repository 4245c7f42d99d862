"""What is known of a NIC's wire: who else is there, and how its guest makes its own addresses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provisioner.dataclass import dataclass

if TYPE_CHECKING:
    from provisioner.network.addressing import NicConfig
    from provisioner.plan.ip import Address


@dataclass(frozen=True, slots=True)
class KnownWire:
    """What a strict guard knows besides the configuration of its NIC."""

    others: tuple[Address, ...] = ()  # of the host's side, gateways, other NICs of the plan; sorted
    eui64: bool = False  # the guest's own IPv6 addresses end as its MAC does
    advertised: bool = (
        False  # by vmnet: the guest has no IPv6 address but those it is known to make
    )
    ether_types: tuple[str, ...] = ()  # that the plan opens, as nft reads them
    isolated: tuple[str, ...] = ()  # MACs whose frames the guest never gets; sorted


def left_open(config: NicConfig, wire: KnownWire) -> tuple[str, ...]:
    """Return whom a guest may still pass itself off as at strict, in words; nobody as a rule.

    What is known to be another's is never left open.
    """
    found = []
    if has_unknown_lease(config):
        found.append("any IPv4 address, since a foreign DHCP server gives it its own")
    if config.ra and not wire.eui64:
        found.append("any IPv6 address, since its image makes its own as it likes")
    elif config.ra and not wire.advertised:
        found.append("any IPv6 address, since a foreign router may advertise any prefix")
    elif not wire.eui64:
        found.append("any link-local IPv6 address, since its image makes its own as it likes")
    return tuple(found)


def has_unknown_lease(config: NicConfig) -> bool:
    """Return whether a DHCP server that vmnet does not run gives a NIC its IPv4 address."""
    return config.dhcp and not any(one.version == 4 for one in config.addresses)  # noqa: PLR2004
