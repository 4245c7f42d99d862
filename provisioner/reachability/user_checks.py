"""The checks that a plan asks for, as pairs with an expectation."""

from __future__ import annotations

from ipaddress import ip_address
from itertools import product
from typing import TYPE_CHECKING

from provisioner.dataclass import dataclass
from provisioner.plan.checks import AUTO, GATEWAY, HOST, PING, Check, What
from provisioner.plan.ip import is_address
from provisioner.plan.nic_id import NicId
from provisioner.plan.rules.checks import is_on, matching
from provisioner.reachability.pairs import Expected, Pair

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from provisioner.network.addressing import Nics
    from provisioner.plan.ip import Address
    from provisioner.plan.model import Plan

    _Addresses = tuple[Address | None, ...]


def wants_matrix(plan: Plan) -> bool:
    """Return whether the pairs that the modes imply are to be measured too."""
    return AUTO in plan.checks


def expand(plan: Plan, nics: Nics, promised: Iterable[Pair]) -> tuple[Pair, ...]:
    """Return the pairs that the user's lines mean; `promised` has where the host is met."""
    met = {(p.source, p.network): p.addresses for p in promised if p.target == HOST}
    lines = [_Line(plan, nics, met, check) for check in plan.checks if isinstance(check, Check)]
    return tuple(pair for line in lines for pair in line.pairs())


@dataclass(frozen=True, slots=True)
class _Line:
    """One line, and what it is about; `met` has the host's addresses, by VM and network."""

    plan: Plan
    nics: Nics
    met: Mapping[tuple[str, str], _Addresses]
    check: Check

    def pairs(self) -> Iterator[Pair]:
        """Return all pairs that the line means."""
        known = [vm.name for vm in self.plan.vms]
        check = self.check
        outside = check.source == HOST or check.source in self.plan.hosts
        sources = [check.source] if outside else self._there(matching(known, check.source))
        targets = matching(known, check.target) if check.target else []
        for source in sources:
            if not targets:
                yield self._outward(source)
            for target in self._there(targets):
                if source != target:
                    yield from self._between(source, target)

    def _there(self, vms: list[str]) -> list[str]:
        """Leave out those of a pattern's VMs that are not on the network that is named."""
        wanted = self.check.network
        return [vm for vm in vms if not wanted or is_on(self.plan.vm(vm), wanted)]

    def _between(self, source: str, target: str) -> Iterator[Pair]:
        """Choose the NICs: on the network that is named, or the source's first that both are on.

        What must come through is asked of the first NIC on it, what must not of all.
        """
        mine, there = self._networks(source), self._networks(target)
        wanted = self.check.network
        shared = [name for name in mine or there if wanted in {"", name} and name in there]
        network = (shared or list(there))[0]
        own = mine.get(network, [0])[: None if self.check.asked == PING else 1]
        ways = product(own, there[network])
        for number, nic in [next(ways)] if self.check.reaches else ways:
            addresses = self._of_version(self.nics[NicId(target, nic)].static)
            yield self._pair(network, source, target, addresses, nic, number)

    def _outward(self, source: str) -> Pair:
        """Choose the NIC: on the network that is named, or the first on which the target is."""
        check = self.check
        mine = self._networks(source)
        first = next(iter(mine), self.plan.networks[0].name)
        near = (name for name in mine if self._is_near(source, name, mine[name][0]))
        network = check.network or next(near, first)
        nic = mine.get(network, (0,))[0]
        addresses: _Addresses = ()
        if check.target == HOST:
            addresses = self.met.get((source, network), ())
        elif check.target == GATEWAY and source != HOST:
            addresses = self.nics[NicId(source, nic)].gateways
        elif check.target in self.plan.hosts:
            addresses = self.plan.hosts[check.target].at(network)
        elif is_address(check.target):
            addresses = (ip_address(check.target),)
        # A URL's or a DNS name's address is the resolver's business.
        asks_by_name = check.asked.what in {What.HTTP, What.DNS} and not addresses
        at = (None,) if asks_by_name else self._of_version(addresses)
        return self._pair(network, source, check.target or check.asked.text, at, nic, nic)

    def _is_near(self, source: str, network: str, nic: int) -> bool:
        """Return whether a target that is no VM is on a network, as far as the plan knows."""
        target, subnet = self.check.target, self.plan.network(network).subnet
        if target == HOST:
            return (source, network) in self.met
        if target == GATEWAY:
            return bool(self.nics[NicId(source, nic)].gateways)
        if target in self.plan.hosts:
            return bool(self.plan.hosts[target].on(subnet))
        return is_address(target) and any(ip_address(target) in one for one in subnet)

    def _networks(self, end: str) -> dict[str, list[int]]:
        """Return the networks of a VM, in the order of its NICs, with its NICs on each.

        Those of a machine are all that it is in; the host's are not known.
        """
        if end in self.plan.hosts:
            machine = self.plan.hosts[end]
            return {n.name: [0] for n in self.plan.networks if n.uplink and machine.on(n.subnet)}
        if end == HOST:
            return {}
        found: dict[str, list[int]] = {}
        for number, nic in enumerate(self.plan.vm(end).nics):
            found.setdefault(nic.network, []).append(number)
        return found

    def _shares(self, end: str, network: str) -> bool:
        """Return whether an end is a VM with several NICs on a network."""
        known = any(vm.name == end for vm in self.plan.vms)
        return known and len(self._networks(end).get(network, ())) > 1

    def _of_version(self, addresses: Iterable[Address | None]) -> tuple[Address, ...]:
        version = self.check.version
        return tuple(a for a in addresses if a and version in {0, a.version})

    def _pair(
        self, network: str, source: str, target: str, addresses: _Addresses, nic: int, own: int
    ) -> Pair:
        check = self.check
        return Pair(
            network,
            source,
            target,
            Expected.REACHES if check.reaches else Expected.ISOLATED,
            f'the plan\'s check "{check.text}"',
            addresses,
            nic,
            own,
            check.asked,
            check.within_s,
            check.version,
            check.or_refused,
            # Only a ping leaves by the NIC that it is about.
            source_shares=check.asked == PING and self._shares(source, network),
            target_shares=self._shares(target, network),
        )
