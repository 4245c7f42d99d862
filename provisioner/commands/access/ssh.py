"""vmnet ssh and vmnet export: into a guest over a network on which this host reaches it.

Which network that is follows from the modes. No libvirt is asked: the plan's addresses and the
macvtaps in the kernel are enough, unless an address has to be found out.
"""

import os
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from provisioner import naming
from provisioner.commands.access import ip
from provisioner.commands.session import on_host, one
from provisioner.commands.target import CommandRun, PlanTarget
from provisioner.dataclass import dataclass
from provisioner.errors import Complaints, VmnetError, bad_input
from provisioner.guest import host_key, openssh
from provisioner.guest.openssh import Identity, SshLogin
from provisioner.host.guest import login_keys
from provisioner.host.inventory import processes
from provisioner.host.netlink import links
from provisioner.host.network import dnsmasq
from provisioner.host.probe import tcp
from provisioner.host.system import paths
from provisioner.inventory.gather import has_socket
from provisioner.network.facts import Facts
from provisioner.plan.checks import HOST
from provisioner.reachability.ssh_route import Routes, Way

if TYPE_CHECKING:
    from provisioner.network.addressing import Nics
    from provisioner.plan.model import Plan
    from provisioner.plan.nic_id import NicId

_CONNECT_S = 1.5
_SSH = 22
_ROOT = "root"  # micro's only user


@dataclass(frozen=True, slots=True)
class SshOptions:
    """How to log in: with a private key's file, through another VM; each "" when not named."""

    identity: str = ""
    jump: str = ""


class SshAccess:
    """How a plan's VMs are reached by ssh, from one look at the kernel's devices."""

    def __init__(self, target: PlanTarget, run: CommandRun) -> None:
        from provisioner.network.addressing import assign

        self.plan: Plan = target.plan
        self._target, self._run = target, run
        home = str(paths.home(self.plan.name))
        self.facts = Facts(links=tuple(links.every()), home=home, user=os.geteuid())
        self.nics: Nics = on_host(self.plan, assign(self.plan), self.facts)
        self._routes = Routes(self.plan, self.nics, self.facts)
        self._known_hosts = str(paths.known_hosts(self.plan.name))

    def is_up(self, vm: str) -> bool:
        """Return whether a VM's macvtaps are there, and its QEMU runs: a stopped VM keeps them."""
        alias = naming.alias(self.plan.name, vm, 0)
        there = any(link.alias == alias for link in self.facts.links)
        there |= any(self.plan.network(n.network).granted for n in self.plan.vm(vm).nics)
        return there and has_socket(naming.domain(self.plan.name, vm), processes.sockets())

    def reached(self) -> "dict[str, list[NicId]]":
        """Return the NICs at which this host surely reaches each VM."""
        return self._routes.reached()

    def login(self, vm: str, source: str = HOST) -> SshLogin:
        """Return how ssh gets from `source` to a VM. Raises VmnetError when no way leads there."""
        ways = self._routes.ways(vm, source)
        if not ways:
            raise self._routes.no_way(vm, source)
        if not self.is_up(vm):
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
            ways = self._routes.ways(vm.name)
            ways = [way for way in ways if way.sure or self.plan.network(way.network).granted]
            if not ways and (through := self._jump(vm.name)):
                ways = [way for way in self._routes.ways(vm.name, through) if way.sure]
            known = [a for way in ways for a in way.addresses or leases.get(way.nic, ())]
            if known:
                found.append((self._login(vm.name, known[0]), through))
            elif ways:
                left_out.append(f"{vm.name}: its address is not the plan's: vmnet ip {vm.name}")
            else:
                no = self._routes.no_way(vm.name, HOST)
                left_out.append(f"{no.what}: vmnet exec {vm.name}")
        return found, left_out

    def _jump(self, vm: str) -> str:
        """Return the first VM to go through whose address is planned, "" where there is none."""
        named = self._routes.jumps(vm)
        known = (one for one in named if any(w.addresses for w in self._routes.ways(one) if w.sure))
        return next(known, "")

    def _login(self, vm: str, address: str) -> SshLogin:
        user = self.plan.vm(vm).user or self._users.get(vm, _ROOT)
        return SshLogin(self.plan.name, vm, user, address, self._known_hosts)

    @cached_property
    def _users(self) -> dict[str, str]:
        """Return the user of each VM's image, as far as it is here."""
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

    def _address(self, ways: Sequence[Way], source: str) -> str:
        """Choose among what the guest may be reached at: the first that this host can connect to.

        Where nobody knows whether a way leads there, "" says that none does.
        """
        leases = self._leases()
        known = [a for way in ways for a in way.addresses or leases.get(way.nic, ())]
        if not known:
            known = self._found(ways)
        if source == HOST and (len(known) > 1 or not ways[0].sure):
            answering = (a for a in known if tcp.answers(a, _SSH, _CONNECT_S))
            return next(answering, known[0] if ways[0].sure else "")
        return known[0]

    def _leases(self) -> "dict[NicId, tuple[str, ...]]":
        by_mac = dnsmasq.leases(self.plan.name)
        return {key: (by_mac[nic.mac],) for key, nic in self.nics.items() if nic.mac in by_mac}

    def _found(self, ways: Sequence[Way]) -> list[str]:
        """Look for addresses that nobody has planned. Raises VmnetError when there are none."""
        vm = ways[0].nic.vm
        numbers = {way.nic.number for way in ways}
        seen = ip.find(self._target, self._run, vm)
        found = [known.address for one in seen if one.nic in numbers for known in one.addresses]
        usable = [address for address in found if not address.startswith("fe80:")]
        if not usable:
            raise VmnetError(
                f"no address of {vm} could be found out",
                fix=f"look what it says: vmnet logs {vm}; vmnet exec {vm} needs none",
            )
        return usable


def ssh(
    target: PlanTarget, run: CommandRun, vm: str, argv: Sequence[str], how: SshOptions
) -> list[str]:
    """Return the command line of ssh into a VM. Raises VmnetError when no network leads there."""
    login, jump = logins(SshAccess(target, run), one(target, vm), how)
    return openssh.ssh(login, argv, identity(target.name, how.identity), jump)


def ssh_config(target: PlanTarget, run: CommandRun, key: str) -> str:
    """Return a ssh_config for a plan's guests; `key` is a private key's file, "" for the usual."""
    return openssh.config(*SshAccess(target, run).logins(), identity(target.name, key))


def identity(plan: str, key: str) -> Identity:
    """Return the private keys for a plan's guests: the one that is named, or the caller's own.

    A key that vmnet has made for the plan is among those.
    """
    if key:
        return Identity((key,), alone=True)
    return Identity(login_keys.private_files(paths.home(plan)))


def logins(access: SshAccess, vm: str, how: SshOptions) -> tuple[SshLogin, SshLogin | None]:
    """Return how to log into a VM, and into the VM to go through, if any. Raises VmnetError."""
    if not how.jump:
        return access.login(vm), None
    others = [other.name for other in access.plan.vms if other.name != vm]
    if how.jump not in others:
        raise bad_input(
            f'"{how.jump}" is not another VM of the plan',
            f"its VMs: {', '.join(other.name for other in access.plan.vms)}",
        )
    jump = access.login(how.jump)
    return access.login(vm, how.jump), jump
