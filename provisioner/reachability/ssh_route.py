"""Ways into a guest: from the host over one of its networks, or through another guest.

Nothing here is measured: it is what the modes promise (reachability.pairs).
"""

from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING

from provisioner.dataclass import dataclass
from provisioner.errors import VmnetError
from provisioner.plan.checks import HOST
from provisioner.plan.nic_id import NicId, numbered
from provisioner.reachability.pairs import Expected, Promises

if TYPE_CHECKING:
    from provisioner.network.addressing import Nics
    from provisioner.network.facts import Facts
    from provisioner.plan.model import Plan

_ORDER = (Expected.REACHES, Expected.EITHER, Expected.UNICAST)
"""The surer way first; where only a switch outside knows, it is worth a try."""


@dataclass(frozen=True, slots=True)
class Way:
    """A network that leads to a guest's NIC; no `addresses`: the guest's have to be found out."""

    nic: NicId
    network: str
    addresses: tuple[str, ...]
    sure: bool = True


class Routes:
    """The ways into the guests of a plan, as its modes promise them."""

    def __init__(self, plan: "Plan", nics: "Nics", facts: "Facts") -> None:
        self._plan, self._nics = plan, nics
        self._promises = Promises(plan, nics, facts)

    def ways(self, target: str, source: str = HOST) -> list[Way]:
        """Return the ways from the host, or from the VM `source`, to a VM; the surest first.

        A network of root's (granted) is a way that may work: what the host does there is not
        known.
        """
        pairs = [p for p in self._promises.between(source, target) if p.expected in _ORDER]
        pairs.sort(key=lambda pair: _ORDER.index(pair.expected))
        best = {pair.target_key: pair for pair in reversed(pairs)}  # whatever NIC the source takes
        pairs = [pair for pair in pairs if best[pair.target_key] is pair]
        found = [self._way(p.target_key, p.network, p.expected is Expected.REACHES) for p in pairs]
        if source == HOST:
            granted = (
                self._way(key, nic.network, sure=False)
                for key, nic in numbered(target, self._plan.vm(target).nics)
                if self._plan.network(nic.network).granted
            )
            found += [way for way in granted if way.addresses]
        return found

    def reached(self) -> dict[str, list[NicId]]:
        """Return the NICs at which the host surely reaches each VM."""
        return {
            vm.name: [way.nic for way in self.ways(vm.name) if way.sure] for vm in self._plan.vms
        }

    def jumps(self, target: str) -> Iterator[str]:
        """Return the VMs that the host surely reaches and that surely reach `target`."""
        for vm in self._reached:
            if vm != target and any(way.sure for way in self.ways(target, vm)):
                yield vm

    def no_way(self, target: str, source: str) -> VmnetError:
        """Return why no way leads there, and which other ways into the guest there are."""
        pairs = self._promises.between(source, target)
        reasons = list(dict.fromkeys(f"on {pair.network}: {pair.why}" for pair in pairs))
        fixes = [f"vmnet exec {target} -- …, vmnet cp and vmnet console {target} need no network"]
        if source == HOST and (through := next(self.jumps(target), "")):
            fixes.append(f"or go through another guest: --jump {through}")
        networks = [self._plan.network(nic.network) for nic in self._plan.vm(target).nics]
        if source == HOST and any(n.uplink and n.host_access is None for n in networks):
            fixes.append(
                "or give this host a way in: host_access: true on a network of mode bridge"
            )
        return VmnetError(
            f"{'this host' if source == HOST else source} cannot reach {target}: "
            f"{'; '.join(reasons or ['they share no network'])}",
            fix="; ".join(fixes),
        )

    @cached_property
    def _reached(self) -> list[str]:
        """The VMs that the host surely reaches."""
        return [vm.name for vm in self._plan.vms if any(w.sure for w in self.ways(vm.name))]

    def _way(self, nic: NicId, network: str, sure: bool) -> Way:  # noqa: FBT001
        """Return a way to the planned addresses, static ones or leases of vmnet's own server."""
        return Way(nic, network, tuple(str(a.ip) for a in self._nics[nic].addresses), sure)
