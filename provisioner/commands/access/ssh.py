"""ssh, cp and export ssh-config: into a guest over a network that leads there.

Which network does is what the modes promise. No libvirt is asked: the plan's addresses and the
macvtaps in the kernel are enough, unless an address has to be found out.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

from provisioner import naming
from provisioner.commands.access import ip
from provisioner.commands.session import begun, domain, on_host, one
from provisioner.commands.target import Options, Target, Tell
from provisioner.errors import Complaints, Exit, VmnetError
from provisioner.guest import host_key, openssh
from provisioner.guest.openssh import CopySpec, SshLogin
from provisioner.host.guest import copy as copying
from provisioner.host.guest.commands import Guests
from provisioner.host.machine import MACHINE
from provisioner.host.netlink import links
from provisioner.host.network import dnsmasq
from provisioner.host.probe import tcp
from provisioner.host.system import paths
from provisioner.host.system.worker import Worker
from provisioner.network.facts import Facts
from provisioner.plan.checks import HOST
from provisioner.reachability.ssh_route import Routes, Way

if TYPE_CHECKING:
    from provisioner.network.devices import Nics
    from provisioner.plan.model import Plan

P = ParamSpec("P")
R = TypeVar("R")

_KNOCK_S = 1.5
_SSH = 22
_ROOT = "root"  # micro's only user


@dataclass(frozen=True, slots=True)
class Asked:
    """What a command line says of how to get in: a private key's file, a VM to go through."""

    identity: str = ""
    jump: str = ""


class Entrance:
    """What is known of a plan's ways in, from one look at the kernel's devices."""

    def __init__(self, target: Target, options: Options, worker: Worker | None, tell: Tell) -> None:
        from provisioner.network.addressing import assign

        self.plan: Plan = target.plan
        self._target, self._options, self._worker, self._tell = target, options, worker, tell
        home = str(paths.home(self.plan.name))
        self.facts = Facts(links=tuple(links.every()), home=home, user=os.geteuid())
        self.nics: Nics = on_host(self.plan, assign(self.plan), self.facts)
        self._routes = Routes(self.plan, self.nics, self.facts)
        self._known_hosts = str(paths.known_hosts(self.plan.name))

    def ways(self, vm: str, source: str = HOST) -> list[Way]:
        """List the ways to a VM, the surest first."""
        return self._routes.ways(vm, source)

    def up(self, vm: str) -> bool:
        """Tell whether a VM's macvtaps are there."""
        alias = naming.alias(self.plan.name, vm, 0)
        there = any(link.alias == alias for link in self.facts.links)
        return there or any(self.plan.network(n.network).granted for n in self.plan.vm(vm).nics)

    def login(self, vm: str, source: str = HOST) -> SshLogin:
        """Say how ssh gets from `source` to a VM. Raises VmnetError when no way leads there."""
        ways = self.ways(vm, source)
        if not ways:
            raise self._routes.no_way(vm, source)
        if not self.up(vm):
            raise VmnetError(f'VM "{vm}" is not up', fix="bring the plan up: vmnet up")
        address = self._address(ways, source)
        if not address:
            raise self._routes.no_way(vm, source)
        self._prove_known(vm)
        return self._login(vm, address)

    def logins(self) -> tuple[list[tuple[SshLogin, str]], list[str]]:
        """List the logins of all VMs, each with the VM it goes through; and why others have none.

        What was never given an address is not asked for one: a file outlives an answer.
        """
        found: list[tuple[SshLogin, str]] = []
        left_out = []
        leases = self._leases()
        for vm in self.plan.vms:
            through = ""
            ways = [way for way in self.ways(vm.name) if way.sure or self._granted(way)]
            if not ways and (through := self._jump(vm.name)):
                ways = [way for way in self.ways(vm.name, through) if way.sure]
            known = [a for way in ways for a in way.addresses or leases.get((way.vm, way.nic), ())]
            if known:
                found.append((self._login(vm.name, known[0]), through))
            elif ways:
                left_out.append(f"{vm.name}: its address is not the plan's: vmnet ip {vm.name}")
            else:
                no = self._routes.no_way(vm.name, HOST)
                left_out.append(f"{no.what}: vmnet exec {vm.name}")
        return found, left_out

    def _jump(self, vm: str) -> str:
        """Name the first VM to go through whose address is planned, "" where there is none."""
        named = self._routes.jumps(vm)
        known = (one for one in named if any(w.addresses for w in self.ways(one) if w.sure))
        return next(known, "")

    def _login(self, vm: str, address: str) -> SshLogin:
        user = self.plan.vm(vm).user or self._users.get(vm, _ROOT)
        return SshLogin(self.plan.name, vm, user, address, self._known_hosts)

    @cached_property
    def _users(self) -> dict[str, str]:
        """Say who logs in to images, as far as they are here."""
        from provisioner.commands import defaults

        try:
            chosen = defaults.images(self._target, {}, None)
        except Complaints:
            return {}
        return {vm: image.user for vm, image in chosen.items()}

    def _prove_known(self, vm: str) -> None:
        try:
            text = paths.known_hosts(self.plan.name).read_text(encoding="utf-8", errors="replace")
        except OSError:
            text = ""
        if not openssh.knows(text, host_key.alias(self.plan.name, vm)):
            raise VmnetError(
                f"the host key of {vm} is not known: it was not vmnet that gave it one",
                fix=f"vmnet exec {vm} needs no key; vmnet up --recreate gives {vm} one",
            )

    def _granted(self, way: Way) -> bool:
        return bool(self.plan.network(way.network).granted)

    def _address(self, ways: Sequence[Way], source: str) -> str:
        """Choose among what the guest may be reached at: the first that answers the host's knock.

        Where nobody knows whether a way leads there, "" says that none does.
        """
        leases = self._leases()
        known = [a for way in ways for a in way.addresses or leases.get((way.vm, way.nic), ())]
        if not known:
            known = self._found(ways)
        if source == HOST and (len(known) > 1 or not ways[0].sure):
            answering = (a for a in known if tcp.answers(a, _SSH, _KNOCK_S))
            return next(answering, known[0] if ways[0].sure else "")
        return known[0]

    def _leases(self) -> "dict[tuple[str, int], tuple[str, ...]]":
        by_mac = dnsmasq.leases(self.plan.name)
        return {key: (by_mac[nic.mac],) for key, nic in self.nics.items() if nic.mac in by_mac}

    def _found(self, ways: Sequence[Way]) -> list[str]:
        """Look for addresses that nobody has planned. Raises VmnetError when there are none."""
        if self._worker is None:
            return []
        vm = ways[0].vm
        numbers = {way.nic for way in ways}
        seen = ip.find(self._target, self._options, self._worker, self._tell, vm)
        found = [known.address for one in seen if one.nic in numbers for known in one.addresses]
        usable = [address for address in found if not address.startswith("fe80:")]
        if not usable:
            raise VmnetError(
                f"no address of {vm} could be found out",
                fix=f"look what it says: vmnet logs {vm}; vmnet exec {vm} needs none",
            )
        return usable


def ssh(  # noqa: PLR0913  (what the command line says, word by word)
    target: Target,
    options: Options,
    worker: Worker,
    tell: Tell,
    vm: str,
    command: Sequence[str],
    *,
    asked: Asked,
) -> list[str]:
    """Give the command line of ssh into a VM. Raises VmnetError when no way leads there."""
    to, jump = _logins(Entrance(target, options, worker, tell), one(target, vm), asked)
    return openssh.ssh(to, command, asked.identity, jump)


def copy(  # noqa: PLR0913  (what the command line says, word by word)
    target: Target,
    options: Options,
    worker: Worker,
    tell: Tell,
    words: tuple[str, str],
    *,
    asked: Asked,
    way: str = "auto",
    folders: bool = False,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> list[str]:
    """Copy a file by the guest agent, or give the command line of the scp that does it.

    `way` is "ssh", "agent", or "auto": ssh where the host reaches the guest and knows its key.
    Raises VmnetError when it cannot.
    """
    asked_for = openssh.copied(*words, [vm.name for vm in target.plan.vms])
    if way != "agent":
        try:
            entrance = Entrance(target, options, worker, tell)
            to, jump = _logins(entrance, asked_for.vm, asked)
        except VmnetError as error:
            if way == "ssh" or asked.jump:
                raise
            tell(f"not by ssh: {error.what}")
        else:
            tell(f"by ssh, to {to.user}@{to.address}{f' through {jump.vm}' if jump else ''}")
            return openssh.scp(to, asked_for, asked.identity, jump, folders=folders)
    if folders:
        raise VmnetError(
            "the guest agent copies files one by one, no folders",
            fix=f"pack it: tar -c FOLDER | vmnet exec {asked_for.vm} -- tar -x; or use --way ssh",
            status=Exit.BAD_INPUT if way == "agent" else Exit.HOST_CANNOT,
        )
    tell("by the guest agent, which needs no network")
    _by_agent(target, options, worker, asked_for, progress)
    return []


def config(target: Target, options: Options, tell: Tell, identity: str) -> str:
    """Write a ssh_config for a plan's guests."""
    return openssh.config(*Entrance(target, options, None, tell).logins(), identity)


def _by_agent(
    target: Target,
    options: Options,
    worker: Worker,
    asked: CopySpec,
    progress: Callable[[int, int], None],
) -> None:
    with begun(target, options, worker, lambda _: None) as session:
        domain(session.snapshot.resources.values(), asked.vm)
        session.await_agent(asked.vm, options.timeout_s)

        def guest(
            method: Callable[Concatenate[Guests, P], R], /, *args: P.args, **kwargs: P.kwargs
        ) -> R:
            return worker.do(MACHINE.guest, asked.vm, method, *args, **kwargs)

        if asked.to_guest:
            copying.put(guest, asked.here, asked.there, progress)
        else:
            copying.get(guest, asked.there, asked.here, progress)


def _logins(entrance: Entrance, vm: str, asked: Asked) -> tuple[SshLogin, SshLogin | None]:
    if not asked.jump:
        return entrance.login(vm), None
    if asked.jump not in {one.name for one in entrance.plan.vms} - {vm}:
        raise VmnetError(
            f'"{asked.jump}" is not another VM of the plan',
            fix=f"its VMs: {', '.join(one.name for one in entrance.plan.vms)}",
            status=Exit.BAD_INPUT,
        )
    jump = entrance.login(asked.jump)
    return entrance.login(vm, asked.jump), jump
