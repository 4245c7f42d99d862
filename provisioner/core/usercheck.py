"""The user's checks: judged against the plan, and turned into pairs that can be measured."""

from __future__ import annotations

from fnmatch import fnmatchcase
from ipaddress import ip_address
from typing import TYPE_CHECKING

from provisioner.core.checkwords import AUTO, Check, What
from provisioner.core.problems import Problem
from provisioner.core.reach import GATEWAY, HOST, Expected, Pair
from provisioner.core.values import meant

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from provisioner.core.model import Plan
    from provisioner.core.networks import Nics


def wants_matrix(plan: Plan) -> bool:
    """Tell whether the pairs that the modes imply are to be measured too."""
    return AUTO in plan.checks


def complaints(plan: Plan) -> Iterator[Problem]:
    """List the lines that name nobody."""
    known = [vm.name for vm in plan.vms]
    networks = {network.name for network in plan.networks}
    for at, check in enumerate(plan.checks):
        if isinstance(check, str):
            continue
        path = ("checks", at)
        if check.source != HOST and not _matching(known, check.source):
            fix = f"{meant(check.source, known)}write a VM, a pattern as web*, or host"
            yield Problem(path, f"no VM is called {check.source}", fix)
        if check.target and not (_matching(known, check.target) or _is_outside(plan, check)):
            others = [*known, *plan.hosts, HOST, GATEWAY]
            fix = f"{meant(check.target, others)}write a VM, host, gateway, an address, or a host"
            yield Problem(path, f"nobody is called {check.target}", fix)
        if check.network and check.network not in networks:
            fix = f"{meant(check.network, networks)}networks: {', '.join(sorted(networks))}"
            yield Problem(path, f"there is no network {check.network}", fix)
        if check.source == HOST and check.target in {HOST, GATEWAY}:
            yield Problem(path, "the host is asked about itself", "name a VM as the source")


def _matching(names: Iterable[str], pattern: str) -> list[str]:
    return [name for name in names if fnmatchcase(name, pattern)]


def _is_outside(plan: Plan, check: Check) -> bool:
    if check.target in {HOST, GATEWAY} or check.target in plan.hosts:
        return True
    return _is_address(check.target) or check.asked.what is What.HTTP


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def expand(plan: Plan, nics: Nics, promised: Iterable[Pair]) -> tuple[Pair, ...]:
    """Give the pairs that the user's lines mean; `promised` tells where the host is met."""
    met = {(p.source, p.network): p.addresses for p in promised if p.target == HOST}
    makers = [_Lines(plan, nics, met, check) for check in plan.checks if not isinstance(check, str)]
    return tuple(pair for maker in makers for pair in maker.pairs())


class _Lines:
    """One line, and all pairs that it means."""

    def __init__(
        self, plan: Plan, nics: Nics, met: dict[tuple[str, str], tuple[str, ...]], check: Check
    ) -> None:
        self._plan = plan
        self._nics = nics
        self._met = met
        self._check = check

    def pairs(self) -> Iterator[Pair]:
        known = [vm.name for vm in self._plan.vms]
        sources = [HOST] if self._check.source == HOST else _matching(known, self._check.source)
        targets = _matching(known, self._check.target) if self._check.target else []
        for source in sources:
            if not targets:
                yield from self._outward(source)
            for target in targets:
                if source != target:
                    yield self._between(source, target)

    def _between(self, source: str, target: str) -> Pair:
        """Choose the NICs: on the network that is named, or the first that both are on."""
        mine = self._networks(source) if source != HOST else {}
        there = self._networks(target)
        wanted = self._check.network
        shared = [name for name in there if wanted in {"", name} and (not mine or name in mine)]
        network = (shared or list(there))[0]
        nic = there[network]
        static = self._nics[target, nic].static
        addresses = self._of_version(static)
        return self._pair(network, source, target, addresses, nic, mine.get(network, 0))

    def _outward(self, source: str) -> Iterator[Pair]:
        check = self._check
        mine = self._networks(source) if source != HOST else {}
        network = check.network or next(iter(mine), self._plan.networks[0].name)
        nic = mine.get(network, 0)
        match check.target:
            case "host":
                addresses = self._met.get((source, network), ())
            case "gateway" if source != HOST:
                addresses = tuple(map(str, self._nics[source, nic].gateways))
            case name if name in self._plan.hosts:
                addresses = tuple(map(str, self._plan.hosts[name]))
            case text:
                addresses = (text,) if _is_address(text) else ()
        name = check.target or check.asked.text
        # A URL's or a DNS name's address is the resolver's business.
        asks_by_name = check.asked.what in {What.HTTP, What.DNS} and not addresses
        told = ("",) if asks_by_name else self._of_version(addresses)
        yield self._pair(network, source, name, told, nic, nic)

    def _networks(self, vm: str) -> dict[str, int]:
        """Give the networks of a VM, with its first NIC on each."""
        nics = self._plan.vm(vm).nics
        return {nic.network: i for i, nic in reversed(list(enumerate(nics)))}

    def _of_version(self, addresses: Iterable[str]) -> tuple[str, ...]:
        version = self._check.version
        return tuple(a for a in addresses if version in {0, ip_address(a).version})

    def _pair(
        self, network: str, source: str, target: str, addresses: tuple[str, ...], nic: int, own: int
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
            str(check.asked),
            check.within_s,
            check.version,
        )
