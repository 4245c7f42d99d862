"""The user's checks: judged against the plan, and turned into pairs that can be measured."""

from __future__ import annotations

from fnmatch import fnmatchcase
from ipaddress import ip_address
from typing import TYPE_CHECKING

from provisioner.plan.checks import AUTO, Check, What
from provisioner.plan.problem import Problem
from provisioner.plan.scalars import meant
from provisioner.reachability.pairs import GATEWAY, HOST, Expected, Pair

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from provisioner.network.devices import Nics
    from provisioner.plan.model import Plan, Vm


def wants_matrix(plan: Plan) -> bool:
    """Tell whether the pairs that the modes imply are to be measured too."""
    return AUTO in plan.checks


def complaints(plan: Plan) -> Iterator[Problem]:
    """List the lines that name nobody, and machines whose names are somebody else's."""
    known = [vm.name for vm in plan.vms]
    for name in plan.hosts:
        if name in {*known, HOST, GATEWAY}:
            what = f"{name} names a VM too" if name in known else f"{name} has a meaning of its own"
            yield Problem(("hosts",), f"hosts: {what}", f"give the machine {name} another name")
    for at, check in enumerate(plan.checks):
        if not isinstance(check, str):
            found = [*_sources(plan, check, known), *_targets(plan, check, known)]
            found += () if found else _ways(plan, check, known)
            yield from (Problem(("checks", at), what, fix) for what, fix in found)


def _sources(plan: Plan, check: Check, known: list[str]) -> Iterator[tuple[str, str]]:
    name = check.source
    if name in plan.hosts:
        if plan.hosts[name].ssh is None:
            what = f"nothing can be asked from {name}: the plan does not say how to log in to it"
            yield what, f"write hosts: {{{name}: {{address: …, ssh: USER@{name}}}}}"
        elif check.asked.what is not What.PING:
            what = f"{check.asked} is asked from a guest only: {name} can ping, no more"
            yield what, "leave it out, or name a VM as the source"
    elif name != HOST and not _matching(known, name):
        others = [*known, *plan.hosts, HOST]
        fix = f"{meant(name, others)}write a VM, a pattern as web*, host, or a name of hosts:"
        yield f"no VM is called {name}", fix


def _targets(plan: Plan, check: Check, known: list[str]) -> Iterator[tuple[str, str]]:
    if check.target and not (_matching(known, check.target) or _is_outside(plan, check)):
        others = [*known, *plan.hosts, HOST, GATEWAY]
        fix = f"{meant(check.target, others)}write a VM, host, gateway, an address, or a host"
        yield f"nobody is called {check.target}", fix
    networks = {network.name for network in plan.networks}
    if check.network and check.network not in networks:
        fix = f"{meant(check.network, networks)}networks: {', '.join(sorted(networks))}"
        yield f"there is no network {check.network}", fix
    if check.source == HOST and check.target in {HOST, GATEWAY}:
        yield "the host is asked about itself", "name a VM as the source"
    if check.source in plan.hosts and not _matching(known, check.target):
        yield f"{check.source} is asked about no VM", "name a VM as the target"


def _ways(plan: Plan, check: Check, known: list[str]) -> Iterator[tuple[str, str]]:
    """Refuse a line that would measure nothing at all, and so could never fail."""
    sources = _matching(known, check.source) or [check.source]
    targets = _matching(known, check.target) if check.target else []
    if sources == targets and len(targets) == 1:
        yield f"{check.source} is asked about itself", "name two VMs"
    elif check.network:
        there = {vm.name for vm in plan.vms if _is_on(vm, check.network)}
        for side, names in ((check.source, sources), (check.target, targets)):
            vms = set(names) & set(known)
            if vms and not vms & there:
                yield f"{side} has no NIC on {check.network}", "name the network that both are on"


def _is_on(vm: Vm, network: str) -> bool:
    return any(nic.network == network for nic in vm.nics)


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
        static = self._nics[target, nic].static
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
                addresses = tuple(map(str, self._nics[source, nic].gateways))
            case name if name in self._plan.hosts:
                addresses = tuple(map(str, self._plan.hosts[name].addresses))
            case text:
                addresses = (text,) if _is_address(text) else ()
        name = check.target or check.asked.text
        # A URL's or a DNS name's address is the resolver's business.
        asks_by_name = check.asked.what in {What.HTTP, What.DNS} and not addresses
        told = ("",) if asks_by_name else self._of_version(addresses)
        yield self._pair(network, source, name, told, nic, nic)

    def _networks(self, end: str) -> dict[str, int]:
        """Give the networks of a VM, with its first NIC on each; those that a machine lies in."""
        if end in self._plan.hosts:
            machine = self._plan.hosts[end]
            return {n.name: 0 for n in self._plan.networks if n.uplink and machine.on(n.subnet)}
        if end == HOST:
            return {}
        nics = self._plan.vm(end).nics
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
