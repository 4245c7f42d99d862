"""The checks that a plan asks for, as pairs with an expectation."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING

from provisioner.plan.checks import AUTO, HOST, Check, What
from provisioner.plan.ip import is_address
from provisioner.plan.nic_id import NicId
from provisioner.plan.rules.checks import _is_on, _matching
from provisioner.reachability.pairs import Expected, Pair

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from provisioner.network.addressing import Nics
    from provisioner.plan.ip import Address
    from provisioner.plan.model import Plan

    _Addresses = tuple[Address | None, ...]


def wants_matrix(plan: Plan) -> bool:
    """Tell whether the pairs that the modes imply are to be measured too."""
    return AUTO in plan.checks


def expand(plan: Plan, nics: Nics, promised: Iterable[Pair]) -> tuple[Pair, ...]:
    """Give the pairs that the user's lines mean; `promised` tells where the host is met."""
    met = {(p.source, p.network): p.addresses for p in promised if p.target == HOST}
    makers = [_Lines(plan, nics, met, check) for check in plan.checks if not isinstance(check, str)]
    return tuple(pair for maker in makers for pair in maker.pairs())


class _Lines:
    """One line, and all pairs that it means."""

    def __init__(
        self,
        plan: Plan,
        nics: Nics,
        met: dict[tuple[str, str], _Addresses],
        check: Check,
    ) -> None:
        self._plan = plan
        self._nics = nics
        self._met = met
        self._check = check

    def pairs(self) -> Iterator[Pair]:
        known = [vm.name for vm in self._plan.vms]
        check = self._check
        outside = check.source == HOST or check.source in self._plan.hosts
        sources = [check.source] if outside else self._there(_matching(known, check.source))
        targets = _matching(known, check.target) if check.target else []
        for source in sources:
            if not targets:
                yield from self._outward(source)
            for target in self._there(targets):
                if source != target:
                    yield self._between(source, target)

    def _there(self, vms: list[str]) -> list[str]:
        """Leave out those of a pattern's VMs that are not on the network that is named."""
        wanted = self._check.network
        return [vm for vm in vms if not wanted or _is_on(self._plan.vm(vm), wanted)]

    def _between(self, source: str, target: str) -> Pair:
        """Choose the NICs: on the network that is named, or the first that both are on."""
        mine = self._networks(source)
        there = self._networks(target)
        wanted = self._check.network
        shared = [name for name in there if wanted in {"", name} and (not mine or name in mine)]
        network = (shared or list(there))[0]
        nic = there[network]
        static = self._nics[NicId(target, nic)].static
        addresses = self._of_version(static)
        return self._pair(network, source, target, addresses, nic, mine.get(network, 0))

    def _outward(self, source: str) -> Iterator[Pair]:
        check = self._check
        mine = self._networks(source)
        network = check.network or next(iter(mine), self._plan.networks[0].name)
        nic = mine.get(network, 0)
        match check.target:
            case "host":
                addresses = self._met.get((source, network), ())
            case "gateway" if source != HOST:
                addresses = self._nics[NicId(source, nic)].gateways
            case name if name in self._plan.hosts:
                addresses = self._plan.hosts[name].addresses
            case text:
                addresses = (ip_address(text),) if is_address(text) else ()
        name = check.target or check.asked.text
        # A URL's or a DNS name's address is the resolver's business.
        asks_by_name = check.asked.what in {What.HTTP, What.DNS} and not addresses
        at = (None,) if asks_by_name else self._of_version(addresses)
        yield self._pair(network, source, name, at, nic, nic)

    def _networks(self, end: str) -> dict[str, int]:
        """Give the networks of a VM, with its first NIC on each; those that a machine lies in."""
        if end in self._plan.hosts:
            machine = self._plan.hosts[end]
            return {n.name: 0 for n in self._plan.networks if n.uplink and machine.on(n.subnet)}
        if end == HOST:
            return {}
        nics = self._plan.vm(end).nics
        return {nic.network: i for i, nic in reversed(list(enumerate(nics)))}

    def _of_version(self, addresses: Iterable[Address | None]) -> tuple[Address, ...]:
        version = self._check.version
        return tuple(a for a in addresses if a and version in {0, a.version})

    def _pair(
        self,
        network: str,
        source: str,
        target: str,
        addresses: _Addresses,
        nic: int,
        own: int,
    ) -> Pair:
        check = self._check
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
        )
