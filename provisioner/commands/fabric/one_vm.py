"""A VM of a plan of several hosts: the host that has it is found, and asked for what is wanted."""

import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from provisioner.commands.fabric.roll_call import login_of
from provisioner.commands.session import one
from provisioner.commands.target import PlanTarget
from provisioner.dataclass import dataclass
from provisioner.errors import Exit, VmnetError
from provisioner.fabric.document import answered
from provisioner.fabric.facts import HostFacts, Silent
from provisioner.fabric.parts.part import fleet_nics, part_of
from provisioner.fabric.placing import Fleet, found_in
from provisioner.fabric.remote.shell import HostShell, shell_of
from provisioner.fabric.residence import residence
from provisioner.host.fabric import ssh_run
from provisioner.plan.placing.carriers import candidates, carriers

if TYPE_CHECKING:
    from provisioner.host.fabric.where import SoughtHost
    from provisioner.plan.hosts import Login

Seek = Callable[[Mapping[str, "Login"]], Mapping[str, "SoughtHost"]]
"""Asks hosts what they have, and Ansible how it logs in to them."""


@dataclass(frozen=True, slots=True)
class HostedVm:
    """A VM, the host that has it, and the shell of that host."""

    vm: str
    host: str
    shell: HostShell
    fleet: Fleet  # the hosts that were asked

    def vmnet(self, *words: str) -> str:
        """Return the line that runs a vmnet command on that host."""
        return self.shell.vmnet(words)


def find(target: PlanTarget, vm: str, seek: Seek) -> HostedVm:
    """Find a VM of the plan: on the host that the plan names for it, if it does, else on any.

    Raises VmnetError when it is on none, and when that is not known.
    """
    plan, vm = target.plan, one(target, vm)
    every, first = carriers(plan), candidates(plan, target.plan.vm(vm))
    if len(first) != 1:
        first = every
    sought = dict(_sought(target, first, seek))
    fleet = {host: _facts(one, host) for host, one in sought.items()}
    if first != every and not found_in(plan.name, fleet).get(vm):
        rest = _sought(target, [host for host in every if host not in sought], seek)
        sought |= rest
        fleet |= {host: _facts(one, host) for host, one in rest.items()}
    host = residence(plan.name, vm, fleet)
    return HostedVm(vm, host, shell_of(host, sought[host].login), fleet)


def ssh_line(target: PlanTarget, found: HostedVm, words: Sequence[str]) -> str:
    """Return the line that logs in to the VM, run on its host: vmnet there knows the way.

    Raises VmnetError with what that host says when it knows none.
    """
    said = on_part(target, found, ("ssh", "--print", *words))
    if said.status:
        what, _, fix = said.stderr.strip().partition("\n  fix: ")
        raise VmnetError(
            f"{found.host}: {what or f'vmnet ssh has ended there with {said.status}'}",
            fix=f"on {found.host}: {fix}" if fix else None,
            status=Exit(said.status) if said.status in {*Exit} else Exit.HOST_CANNOT,
        )
    try:
        argv = shlex.split(said.stdout)
    except ValueError:
        argv = []
    if argv[:1] != ["ssh"]:
        raise VmnetError(
            f"the answer of {found.host} is no command line of ssh",
            fix="install the same version of vmnet on both hosts",
        )
    return found.shell.line(argv)


def on_part(target: PlanTarget, found: HostedVm, words: Sequence[str]) -> ssh_run.ShortAnswer:
    """Run a vmnet command on the VM's host, with what that host has of the plan."""
    plan, fleet = target.plan, found.fleet
    homes = {name: each[0].host for name, each in found_in(plan.name, fleet).items()}
    nics = fleet_nics(plan, fleet, homes)
    part = part_of(plan, target.positions, found.host, homes, nics)
    command, *rest = words
    line = found.vmnet(command, "--file", "-", *rest)
    return ssh_run.ask(found.host, found.shell, line, part.text.encode())


def _sought(target: PlanTarget, hosts: Sequence[str], seek: Seek) -> "Mapping[str, SoughtHost]":
    return seek({host: login_of(target.plan, host) for host in hosts}) if hosts else {}


def _facts(one: "SoughtHost", host: str) -> HostFacts | Silent:
    return one.said if isinstance(one.said, Silent) else answered(one.said.stdout, host)
