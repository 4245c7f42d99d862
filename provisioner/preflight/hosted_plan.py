"""A plan and the host that it is to be brought up on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provisioner import naming
from provisioner.dataclass import dataclass
from provisioner.errors import Exit, VmnetError
from provisioner.network.devices import uplink_of

if TYPE_CHECKING:
    from provisioner.network.addressing import Nics
    from provisioner.network.facts import Facts, Link
    from provisioner.plan.ip import Address
    from provisioner.plan.load.positions import Places
    from provisioner.plan.model import Network, Plan
    from provisioner.plan.nic_id import NicId
    from provisioner.plan.problem import Path


@dataclass(frozen=True, slots=True)
class HostedPlan:
    """A plan, where its values stand in the file, what its NICs are to have, and the host."""

    plan: Plan
    places: Places
    nics: Nics
    facts: Facts

    def error(self, path: Path, what: str, fix: str, status: Exit = Exit.HOST_CANNOT) -> VmnetError:
        """Return a complaint about what stands at a path of the plan."""
        return VmnetError(what, where=self.places.where(*path), fix=fix, status=status)

    @property
    def own_devices(self) -> set[str]:
        """The names of the devices that vmnet has made for this plan."""
        group = naming.group(self.plan.name)
        return {link.name for link in self.facts.links if link.group == group}

    def device_of(self, network: Network) -> Link | None:
        """Return the device that a network's macvtaps are put on; None while it is to be made."""
        return self.facts.link(uplink_of(self.plan.name, network))

    def static_addresses(self, network: Network) -> dict[Address, NicId]:
        """Return the addresses that guests are to take on a network, each with its NIC."""
        return {
            one.ip: key
            for key, _ in self.plan.nics_on(network)
            if not self.nics[key].dhcp
            for one in self.nics[key].addresses
        }
