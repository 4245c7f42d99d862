"""The user's checks: judged against the plan, and turned into pairs that can be measured."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from provisioner.plan.checks import GATEWAY, HOST, Check, What
from provisioner.plan.ip import is_address
from provisioner.plan.problem import Problem
from provisioner.plan.scalars import meant, quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from provisioner.plan.model import Plan, Vm


def check_problems(plan: Plan) -> Iterator[Problem]:
    """List the lines that name nobody, and machines whose names are somebody else's."""
    known = [vm.name for vm in plan.vms]
    for name in plan.hosts:
        if name in {*known, HOST, GATEWAY}:
            what = f"{name} names a VM too" if name in known else f"{name} has a meaning of its own"
            yield Problem(("hosts",), f"hosts: {what}", f"give the machine {name} another name")
    yield from _remote(plan)
    for at, check in enumerate(plan.checks):
        if not isinstance(check, str):
            found = [*_sources(plan, check, known), *_targets(plan, check, known)]
            found += () if found else _ways(plan, check, known)
            yield from (Problem(("checks", at), what, fix) for what, fix in found)


def _remote(plan: Plan) -> Iterator[Problem]:
    """List NICs of guests elsewhere that are on no network of the plan."""
    known = [network.name for network in plan.networks]
    for name, host in plan.hosts.items():
        for nic in host.nics:
            if nic.network not in known:
                yield Problem(
                    ("hosts", name, "nics"),
                    f"there is no network {quoted(nic.network)}",
                    f"{meant(nic.network, known)}networks of this plan: {', '.join(known)}",
                )


def _sources(plan: Plan, check: Check, known: list[str]) -> Iterator[tuple[str, str]]:
    name = check.source
    if name in plan.hosts:
        if plan.hosts[name].ssh is None:
            what = f"nothing can be asked from {name}: the plan does not say how to log in to it"
            yield what, f"write hosts: {{{name}: {{address: …, ssh: USER@{name}}}}}"
        elif check.asked.what is not What.PING:
            what = f"{check.asked} is asked from a guest only: {name} can ping, no more"
            yield what, "leave it out, or name a VM as the source"
    elif name != HOST and not matching(known, name):
        others = [*known, *plan.hosts, HOST]
        fix = f"{meant(name, others)}write a VM, a pattern as web*, host, or a name of hosts:"
        yield f"there is no VM named {name}", fix


def _targets(plan: Plan, check: Check, known: list[str]) -> Iterator[tuple[str, str]]:
    if check.target and not (matching(known, check.target) or _is_outside(plan, check)):
        others = [*known, *plan.hosts, HOST, GATEWAY]
        fix = f"{meant(check.target, others)}write a VM, host, gateway, an address, or a host"
        yield f"there is no VM named {check.target}", fix
    networks = {network.name for network in plan.networks}
    if check.network and check.network not in networks:
        fix = f"{meant(check.network, networks)}networks: {', '.join(sorted(networks))}"
        yield f"there is no network {check.network}", fix
    if check.source == HOST and check.target in {HOST, GATEWAY}:
        yield "a check needs two different ends", "name a VM as the source"
    if check.source in plan.hosts and not matching(known, check.target):
        yield f"{check.source} can only check VMs", "name a VM as the target"


def _ways(plan: Plan, check: Check, known: list[str]) -> Iterator[tuple[str, str]]:
    """Refuse a line that would measure nothing at all, and so could never fail."""
    sources = matching(known, check.source) or [check.source]
    targets = matching(known, check.target) if check.target else []
    if sources == targets and len(targets) == 1:
        yield "a check needs two different ends", "name two VMs"
    elif check.network:
        there = {vm.name for vm in plan.vms if is_on(vm, check.network)}
        for side, names in ((check.source, sources), (check.target, targets)):
            vms = set(names) & set(known)
            if vms and not vms & there:
                yield f"{side} has no NIC on {check.network}", "name the network that both are on"


def is_on(vm: Vm, network: str) -> bool:
    """Return whether a VM has a NIC on a network."""
    return any(nic.network == network for nic in vm.nics)


def matching(names: Iterable[str], pattern: str) -> list[str]:
    """Return the names that a pattern means, as the shell matches file names: `web*`."""
    return [name for name in names if fnmatchcase(name, pattern)]


def _is_outside(plan: Plan, check: Check) -> bool:
    if check.target in {HOST, GATEWAY} or check.target in plan.hosts:
        return True
    return is_address(check.target) or check.asked.what is What.HTTP
