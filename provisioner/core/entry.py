"""Which way leads into a guest: from the host over one of its networks, or through another guest.

Nothing here is measured. It is what the modes promise (core.reach), for whoever wants to get in.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from provisioner.core import reach
from provisioner.core.reach import HOST, Expected, Pair
from provisioner.errors import VmnetError

if TYPE_CHECKING:
    from provisioner.core.facts import Facts
    from provisioner.core.model import Network, Plan
    from provisioner.core.networks import Nics

_ORDER = (Expected.REACHES, Expected.EITHER, Expected.UNICAST)
"""The surer way first; where only a switch outside knows, it is worth a try."""


@dataclass(frozen=True, slots=True)
class Way:
    """A network that leads to a guest's NIC; no `addresses`: the guest's have to be found out."""

    vm: str
    nic: int
    network: str
    addresses: tuple[str, ...]
    sure: bool = True


def ways(plan: "Plan", nics: "Nics", facts: "Facts", target: str, source: str = HOST) -> list[Way]:
    """List the ways from the host, or from the VM `source`, to the VM `target`; the surest first.

    A network of root's (granted) is a way that may work: what the host does there is not known.
    """
    pairs = [p for p in _pairs(plan, nics, facts, target, source) if p.expected in _ORDER]
    pairs.sort(key=lambda pair: _ORDER.index(pair.expected))
    found = [
        Way(target, p.nic, p.network, _addresses(nics, p), p.expected is Expected.REACHES)
        for p in pairs
    ]
    if source == HOST:
        found += _granted(plan, nics, target)
    return found


def jumps(plan: "Plan", nics: "Nics", facts: "Facts", target: str) -> list[str]:
    """Name the VMs that the host surely reaches and that surely reach `target`."""
    return [
        vm.name
        for vm in plan.vms
        if vm.name != target
        and any(way.sure for way in ways(plan, nics, facts, vm.name))
        and any(way.sure for way in ways(plan, nics, facts, target, vm.name))
    ]


def no_way(plan: "Plan", nics: "Nics", facts: "Facts", target: str, source: str) -> VmnetError:
    """Say why no way leads there, and which other ways into the guest there are."""
    told = [
        f"on {pair.network}: {pair.why}" for pair in _pairs(plan, nics, facts, target, source)
    ] or ["they share no network"]
    mends = [f"vmnet exec {target} -- …, vmnet cp and vmnet console {target} need no network"]
    if source == HOST and (through := jumps(plan, nics, facts, target)):
        mends.append(f"or go through another guest: --jump {through[0]}")
    if source == HOST and any(n.uplink and n.host_access is None for n in _networks(plan, target)):
        mends.append("or give this host a way in: host_access: true on a network of mode bridge")
    return VmnetError(
        f"{'this host' if source == HOST else source} cannot reach {target}: {'; '.join(told)}",
        fix="; ".join(mends),
    )


def _pairs(plan: "Plan", nics: "Nics", facts: "Facts", target: str, source: str) -> Iterator[Pair]:
    for pair in reach.pairs(plan, nics, facts):
        if pair.source == source and pair.target == target:
            yield pair


def _addresses(nics: "Nics", pair: Pair) -> tuple[str, ...]:
    """Give the planned addresses, static ones or the leases that vmnet's own server has."""
    return pair.addresses or tuple(str(a.ip) for a in nics[pair.target, pair.nic].addresses)


def _granted(plan: "Plan", nics: "Nics", target: str) -> Iterator[Way]:
    for number, nic in enumerate(plan.vm(target).nics):
        if plan.network(nic.network).granted and nics[target, number].addresses:
            addresses = tuple(str(a.ip) for a in nics[target, number].addresses)
            yield Way(target, number, nic.network, addresses, sure=False)


def _networks(plan: "Plan", vm: str) -> "Iterable[Network]":
    return [plan.network(nic.network) for nic in plan.vm(vm).nics]
