"""What a check works on: a plan's NICs, what is behind them, and the worker."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from provisioner.commands.check import claims
from provisioner.guest.domain import DomainNic
from provisioner.host.probe import mesh
from provisioner.network.addressing import Nics
from provisioner.network.devices import DEFAULT_MTU, host_device
from provisioner.plan.checks import HOST
from provisioner.plan.nic_id import NicId
from provisioner.reachability.pairs import Pair

if TYPE_CHECKING:
    from provisioner.host.system.worker import Worker
    from provisioner.network.facts import Facts
    from provisioner.plan.ip import Address
    from provisioner.plan.model import Plan


@dataclass(frozen=True, slots=True)
class Endpoints:
    """A plan's NICs: how they are configured, and the macvtaps behind them; the worker to ask."""

    plan: "Plan"
    nics: Nics
    cards: Mapping[NicId, DomainNic]  # that the VMs were started with
    facts: "Facts"
    worker: "Worker"

    def who_has(
        self, addresses: "Mapping[NicId, Collection[Address]]", within_s: float
    ) -> claims.Answers:
        """Ask for addresses of NICs, as `claims.ask` does."""
        return claims.ask(self.plan, self.nics, addresses, self.worker, within_s)

    def link(self, key: NicId) -> str:
        """Return the name of the macvtap behind a guest's NIC, "" when there is none."""
        card = self.cards.get(key)
        return card.link if card else ""

    def mtu(self, key: NicId) -> int:
        """Return the size of the largest IP packet that a guest may send, in bytes."""
        card = self.cards.get(key)
        return self.nics[key].mtu or (card.mtu if card else 0) or DEFAULT_MTU

    def packet(self, pair: Pair) -> int:
        """Return the size of the largest IP packet that both ends take; 0 when it is unknown."""
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

    def ask(self, pair: Pair, address: "Address") -> mesh.Ask:
        """Return a pair's question as it is asked at the source's macvtap, in the guest's place."""
        source, target = pair.source_key, pair.target_key
        peer = self.nics.get(target)  # None for the host and machines outside
        return mesh.Ask(
            self.link(source),
            self.nics[source].mac,
            address,
            peer.mac if peer else "",
            self.link(target) if peer else "",
        )
