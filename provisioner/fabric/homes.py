"""What is decided of a plan's VMs by the hosts that have them already, before any is placed."""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING, Final

from provisioner.dataclass import dataclass
from provisioner.fabric.facts import Silent
from provisioner.fabric.placing import Assigned, Fleet, Held, Homes, listed
from provisioner.plan.placing.carriers import candidates, carriers, together
from provisioner.plan.problem import Problem

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from provisioner.plan.model import Plan
    from provisioner.plan.vm import Vm

_NOT_ASKED: Final = Silent("it has not been asked")


@dataclass(slots=True)
class Settled:
    """VMs that stay, that wait, that are refused; what can go to one host, and to any."""

    stays: list[Assigned] = field(default_factory=list)
    held: list[Held] = field(default_factory=list)
    refused: list[Problem] = field(default_factory=list)
    bound: list[tuple[tuple[Vm, ...], str]] = field(default_factory=list)
    free: list[tuple[Vm, ...]] = field(default_factory=list)


def silent(plan: Plan, fleet: Fleet) -> dict[str, Silent]:
    """Return the hosts that have not answered; one of the plan that is not in `fleet` has not."""
    asked = {host: fleet.get(host, _NOT_ASKED) for host in carriers(plan)}
    asked |= {host: fleet[host] for host in sorted(fleet.keys() - asked.keys())}
    return {host: said for host, said in asked.items() if isinstance(said, Silent)}


def settle(plan: Plan, fleet: Fleet, now: Homes, moving: Collection[str] = frozenset()) -> Settled:
    """Decide on each unit of VMs that go together as far as the hosts do that have them.

    Of those in `moving` it is known where they are, though they are not in `now`.
    """
    settled = Settled()
    quiet = silent(plan, fleet)
    unknown = {host: said for host, said in quiet.items() if not said.is_dead}
    for names in together(plan):
        unit = tuple(map(plan.vm, names))
        homes = {vm: _hosts(now, vm.name, quiet) for vm in unit}
        hosts = list(dict.fromkeys(host for each in homes.values() for host in each))
        if len(hosts) > 1:
            settled.refused.append(_torn(homes))
        elif waits := _waits(homes, hosts, unknown, moving):
            settled.held += [Held(name, waits) for name in names]
        elif not hosts:
            settled.free.append(unit)
        else:
            _stay(plan, unit, hosts[0], now, settled)
    return settled


def _hosts(now: Homes, vm: str, quiet: Mapping[str, Silent]) -> tuple[str, ...]:
    """Return the hosts that have a VM and are not dead: where it runs, else where its disks are."""
    dead = {host for host, said in quiet.items() if said.is_dead}
    homes = [home for home in now.get(vm, ()) if home.host not in dead]
    running = [home.host for home in homes if home.runs]
    return tuple(dict.fromkeys(running or [home.host for home in homes]))


def _torn(homes: Mapping[Vm, Sequence[str]]) -> Problem:
    """Return the complaint that there are two hosts where there can be one."""
    for vm, hosts in homes.items():
        if len(hosts) > 1:
            return Problem(
                ("vms", vm.name),
                f"VM {vm.name} is on {listed(hosts)}, and can be on one host only",
                f"keep one of the two: on the other host, vmnet down {vm.name} --disks",
            )
    (vm, (host, *_)), (other, (elsewhere, *_)) = [(v, h) for v, h in homes.items() if h][:2]
    return Problem(
        ("vms", other.name),
        f"VM {vm.name} is on {host} and VM {other.name} on {elsewhere}, and they share a switch, "
        "which is one host's own",
        f"take one of them away: on its host, vmnet down {other.name} --disks",
        ("vms", vm.name),
    )


def _waits(
    homes: Mapping[Vm, Sequence[str]],
    hosts: Sequence[str],
    unknown: Mapping[str, Silent],
    moving: Collection[str],
) -> str:
    """Return why nothing can be decided of VMs while hosts do not answer, else ""."""
    if hosts and hosts[0] in unknown:
        return f"it is on {hosts[0]}, which does not answer ({unknown[hosts[0]].why})"
    # Which hosts a VM may be on by the plan says nothing: the plan may have been another.
    if unknown and not all(at or vm.name in moving for vm, at in homes.items()):
        verb = "does" if len(unknown) == 1 else "do"
        return f"it may run on {listed(unknown)}, which {verb} not answer"
    return ""


def _stay(plan: Plan, unit: Sequence[Vm], host: str, now: Homes, settled: Settled) -> None:
    """Leave VMs where they run; the rest of the unit can only go there."""
    rest = []
    for vm in unit:
        if any(home.runs and home.host == host for home in now.get(vm.name, ())):
            why = _why(plan, vm, host)
            settled.stays.append(Assigned(vm.name, host, why, stays=True))
        else:
            rest.append(vm)
    elsewhere = next((vm for vm in rest if host not in candidates(plan, vm)), None)
    if elsewhere:
        settled.refused.append(_unwanted(elsewhere, host, has_it=bool(now.get(elsewhere.name))))
    elif rest:
        settled.bound.append((tuple(rest), host))


def _why(plan: Plan, vm: Vm, host: str) -> str:
    if host in candidates(plan, vm):
        return "it runs there"
    if vm.on:
        return f"it runs there, though the plan wants it on {vm.on}"
    return "it runs there, though the plan places no VMs there"


def _unwanted(vm: Vm, host: str, *, has_it: bool) -> Problem:
    what = f"its disks are on {host}" if has_it else f"what it shares a switch with is on {host}"
    return Problem(
        ("vms", vm.name, "on"),
        f"VM {vm.name} cannot be on {vm.on or 'a host of the plan'}: {what}",
        f"place it there, or take away what is there: on that host, vmnet down {vm.name} --disks",
    )
