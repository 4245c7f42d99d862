"""What is known of a plan's NICs in a check: their configuration, and what is behind them."""

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING

from provisioner.guest.domain import DomainNic
from provisioner.host.probe import mesh
from provisioner.network.addressing import Nics
from provisioner.network.devices import DEFAULT_MTU, host_device
from provisioner.plan.checks import HOST
from provisioner.plan.nic_id import NicId
from provisioner.reachability.pairs import Pair

if TYPE_CHECKING:
    from provisioner.network.facts import Facts
    from provisioner.plan.model import Plan


@dataclass(frozen=True, slots=True)
class Endpoints:
    """What is known of a plan's NICs: how they are configured, and the macvtaps behind them."""

    plan: "Plan"
    nics: Nics
    cards: Mapping[NicId, DomainNic]  # that the VMs were started with
    facts: "Facts"

    def link(self, key: NicId) -> str:
        """Name the macvtap behind a guest's NIC, "" when there is none."""
        card = self.cards.get(key)
        return card.link if card else ""

    def mtu(self, key: NicId) -> int:
        """Give the size of the largest IP packet that a guest may send, in bytes."""
        card = self.cards.get(key)
        return self.nics[key].mtu or (card.mtu if card else 0) or DEFAULT_MTU

    def packet(self, pair: Pair) -> int:
        """Give the size of the largest IP packet that both ends take; 0 when nobody knows."""
        if pair.source == HOST or pair.source_key not in self.nics:
            return 0
        source = self.mtu(pair.source_key)
        if pair.target == HOST:
            network = self.plan.network(pair.network)
            device = self.facts.link(host_device(self.plan, network))
            return min(source, device.mtu) if device else 0
        if pair.target_key not in self.nics:
            return 0
        return min(source, self.mtu(pair.target_key))

    def ask(self, pair: Pair, address: str) -> mesh.Ask:
        """Put a pair's question as it is asked at the source's macvtap, in the guest's place."""
        source, target = pair.source_key, pair.target_key
        peer = self.nics.get(target)  # None for the host and machines outside
        return mesh.Ask(
            self.link(source),
            self.nics[source].mac,
            ip_address(address),
            peer.mac if peer else "",
            self.link(target) if peer else "",
        )
