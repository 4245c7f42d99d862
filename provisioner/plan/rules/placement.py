"""What must hold among the VMs of a plan and the hosts that they are placed on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provisioner.plan.placing.carriers import (
    apart_groups,
    candidates,
    carriers,
    groups,
    is_placed,
    together,
)
from provisioner.plan.problem import Problem
from provisioner.plan.scalars import meant, quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from provisioner.plan.model import Plan
    from provisioner.plan.vm import Vm

_FEW = 2


def placement_problems(plan: Plan) -> Iterator[Problem]:
    """Check where VMs are to be placed; a plan that says nothing of hosts for VMs has none."""
    if not is_placed(plan):
        return
    yield from _groups(plan)
    yield from _uplinks(plan)
    wrong = [problem for vm in plan.vms for problem in _on(plan, vm)]
    yield from wrong
    if not carriers(plan):
        if plan.placement and not wrong:
            yield Problem(
                ("placement",),
                "there is no host to place VMs on: the plan names the NICs of none",
                "write hosts: {h1: {address: 10.0.0.5, uplinks: {lan: NIC}}}, or leave placement "
                "out",
            )
        return
    yield from _of_one_host(plan)
    yield from _apart(plan)
    yield from _together(plan)


def _groups(plan: Plan) -> Iterator[Problem]:
    for carrier, host in plan.hosts.items():
        for group in host.groups:
            if group in plan.hosts:
                yield Problem(
                    ("hosts", carrier, "groups"),
                    f"the group {group} has the name of a host",
                    "give one of them another name, since VMs could be on either",
                    ("hosts", group),
                )
        if host.groups and host.uplinks is None:
            yield Problem(
                ("hosts", carrier, "groups"),
                f"host {carrier} is in a group, and runs no VMs: the plan names none of its NICs",
                f"write hosts: {{{carrier}: {{address: 10.0.0.5, uplinks: {{lan: NIC}}}}}}, or "
                "leave groups out",
            )


def _uplinks(plan: Plan) -> Iterator[Problem]:
    networks = {network.name: network for network in plan.networks}
    for name, host in plan.hosts.items():
        for network, nic in host.uplinks or ():
            path = ("hosts", name, "uplinks", network)
            if network not in networks:
                yield Problem(
                    path,
                    f"there is no network {quoted(network)}",
                    f"{meant(network, networks)}networks of this plan: {', '.join(networks)}",
                )
            elif networks[network].uplink is None:
                yield Problem(
                    path,
                    f"network {network} stands on no NIC that could be called {nic} on {name}",
                    f"leave it out, or give network {network} an uplink",
                    ("networks", network),
                )


def _on(plan: Plan, vm: Vm) -> Iterator[Problem]:
    if vm.on is None or candidates(plan, vm):
        return
    path, carrier = ("vms", vm.name, "on"), vm.on
    if carrier in plan.hosts:
        yield Problem(
            path,
            f"host {vm.on} runs no VMs: the plan names none of its NICs",
            f"write hosts: {{{carrier}: {{address: 10.0.0.5, uplinks: {{lan: NIC}}}}}}",
            ("hosts", vm.on),
        )
    elif vm.on not in groups(plan):  # else its hosts have been complained of
        known = [*dict.fromkeys((*carriers(plan), *groups(plan)))]
        written = f"write hosts: {{{carrier}: {{address: 10.0.0.5, uplinks: {{lan: NIC}}}}}}"
        listed = f"hosts that run VMs, and groups of hosts: {', '.join(known)}"
        yield Problem(
            path,
            f"there is no host or group of hosts {quoted(vm.on)}",
            f"{meant(vm.on, known)}{listed}" if known else written,
        )


def _of_one_host(plan: Plan) -> Iterator[Problem]:
    """Refuse what there could be on one host alone, or what two hosts would have alike."""
    many = len(carriers(plan)) >= _FEW
    for network in plan.networks:
        if network.granted:
            yield Problem(
                ("networks", network.name, "granted"),
                f"network {network.name} is made of devices that root has made on one host",
                "use uplink: NIC where VMs are placed on hosts",
                ("hosts",),
            )
        elif network.host_access is not None and many:
            yield Problem(
                ("networks", network.name, "host_access"),
                f"each host would have the same MAC and address on network {network.name}",
                "leave host_access out where VMs are placed on several hosts",
                ("hosts",),
            )


def _apart(plan: Plan) -> Iterator[Problem]:
    rows = plan.placement.apart if plan.placement else ()
    names = [vm.name for vm in plan.vms]
    for at, (row, group) in enumerate(zip(rows, apart_groups(plan), strict=True)):
        above = ("placement", "apart", at) if len(rows) > 1 else ("placement", "apart")
        missing = [n for n, one in enumerate(row) if not _matches(names, one)]
        for number in missing:
            yield Problem(
                (*above, number),
                f"there is no VM named {quoted(row[number])}",
                f"{meant(row[number], names)}write a VM of the plan, or a pattern as web*",
            )
        if not missing:
            yield from _group(plan, above, group)


def _matches(names: list[str], pattern: str) -> bool:
    from fnmatch import fnmatchcase

    return any(fnmatchcase(name, pattern) for name in names)


def _group(plan: Plan, path: tuple[str | int, ...], group: tuple[str, ...]) -> Iterator[Problem]:
    """Check one list of VMs that share no host."""
    if len(group) < _FEW:
        what = "apart needs two VMs: one is never beside itself"
        yield Problem(path, what, "name another VM, or leave the list out")
        return
    hosts = {vm: candidates(plan, plan.vm(vm)) for vm in group}
    there = {host for each in hosts.values() for host in each}
    first: dict[tuple[str, ...], str] = {}
    for vm, each in hosts.items():
        other = first.setdefault(each, vm)
        if len(each) == 1 and other != vm:
            yield Problem(
                path,
                f"VM {vm} and VM {other} are to be apart, and both are on {each[0]}",
                "take one of them out of apart, or change its on:",
                ("vms", vm, "on"),
            )
            return
    if all(hosts.values()) and len(there) < len(group):
        yield Problem(
            path,
            f"{len(group)} VMs are to be apart, and there are {len(there)} hosts for them",
            "name more hosts, or fewer VMs",
            ("hosts",),
        )


def _together(plan: Plan) -> Iterator[Problem]:
    """Refuse VMs on one switch that cannot be on one host: a switch is one host's own."""
    apart = [set(group) for group in apart_groups(plan)]
    for unit in together(plan):
        if len(unit) < _FEW:
            continue
        names = ", ".join(_switches(plan, unit))
        hosts = [set(candidates(plan, plan.vm(vm))) for vm in unit]
        if all(hosts) and not set.intersection(*hosts):
            vm = next(n for n in unit[1:] if plan.vm(n).on != plan.vm(unit[0]).on)
            yield Problem(
                ("vms", vm, "on"),
                f"VM {vm} cannot be on the host of VM {unit[0]}, and a switch is one host's own: "
                f"{names}",
                "place both on one host, or use a network with an uplink",
                ("vms", unit[0], "on"),
            )
        for group in apart:
            if len(both := [vm for vm in unit if vm in group]) >= _FEW:
                yield Problem(
                    ("placement", "apart"),
                    f"VM {both[0]} and VM {both[1]} are to be apart, and a switch is one host's "
                    f"own: {names}",
                    "use a network with an uplink, or take one of them out of apart",
                    ("vms", both[1], "nics"),
                )


def _switches(plan: Plan, unit: tuple[str, ...]) -> Iterator[str]:
    """Return the networks with a switch that VMs are on."""
    on = {nic.network for vm in unit for nic in plan.vm(vm).nics}
    for network in plan.networks:
        if network.switch and network.name in on:
            yield f"network {network.name}"
