"""Whether the signs of readiness hold: seen from the host where it may reach, else from inside."""

import time
from collections.abc import Collection, Mapping
from concurrent.futures import wait
from dataclasses import field
from typing import TYPE_CHECKING, Final

from provisioner.check import readiness
from provisioner.check.readiness import AgentSeen, Sign, SignKind, SignState, WireSeen
from provisioner.commands.check.endpoints import Endpoints
from provisioner.dataclass import dataclass
from provisioner.errors import VmnetError
from provisioner.guest.domain import Image
from provisioner.host.guest.commands import Guests
from provisioner.host.libvirt import qemu_process
from provisioner.host.machine import MACHINE
from provisioner.host.probe import tcp
from provisioner.reachability.ssh_route import Routes

if TYPE_CHECKING:
    from provisioner.image.traits import ImageTraits
    from provisioner.plan.ip import Address
    from provisioner.plan.nic_id import NicId

_CONNECT_S: Final = 2.0  # an emulated guest is slow to greet; whoever is late is asked again
_CLAIM_S: Final = 1.0
_LOOK_S: Final = 2.0  # for an answer to ARP or ND
_SLACK_S: Final = 1.0  # for libvirt, which counts in whole seconds
_MEANWHILE_S: Final = 1.0  # an agent that takes longer is doubted: the wire is asked too
_BOOTED_S: Final = 120.0  # so old is no guest that still boots


@dataclass(slots=True)
class ReadinessProbes:
    """The signs that a plan's VMs are waited for; `agents` are the VMs whose agent has come."""

    ends: Endpoints
    images: "Mapping[str, ImageTraits]"  # by VM; micro's if absent
    agents: set[str] = field(default_factory=set)
    learned: "dict[NicId, tuple[Address, ...]]" = field(default_factory=dict)

    def addresses(self, key: "NicId") -> "tuple[Address, ...]":
        """Return the addresses of a NIC: those of the plan, else those that were learned."""
        return self.ends.nics[key].static or self.learned.get(key, ())

    def asked_for(self, key: "NicId") -> "tuple[Address, ...]":
        """Return the addresses that a NIC is asked for on the wire."""
        return self.addresses(key) or self.ends.askable(key)

    def on_wire(self, vms: Collection[str], within_s: float = _LOOK_S) -> dict[str, WireSeen]:
        """Ask on the wire, behind their macvtaps, which of their addresses VMs answer for."""
        keys = [key for key in self.ends.nics if key.vm in vms]
        asked = {key: self.asked_for(key) for key in keys}
        answers = self.ends.who_has(asked, within_s)
        failed = (*answers.failed.values(), *answers.unreached.values())
        if any(self.ends.plan.network_of(key).granted for key in keys):
            failed += ("this user may send no frames there",)
        return {
            vm: WireSeen(
                tuple(a for key in answers.macs if key.vm == vm for a in asked[key]),
                tuple(a for key, each in answers.alive.items() if key.vm == vm for a in each),
                "; ".join(failed),
            )
            for vm in vms
        }

    def look_for_life(
        self, vm: str, within_s: float, *, boots: bool = False
    ) -> tuple[AgentSeen, WireSeen]:
        """Ask a VM's agent for a sign of life, and the VM on the wire if none comes.

        One that `boots` is not asked on the wire: it need not answer yet.
        """
        limited = self.ends.worker.within(within_s + _SLACK_S)
        asked = limited.call(MACHINE.agent_seen, vm, within_s)
        done, _ = wait([asked], _MEANWHILE_S)
        wire = None if done or boots else self.on_wire({vm})[vm]
        try:
            seen = asked.result()
        except VmnetError as error:
            pid = next((x.pid for x in self.ends.facts.live if x.vm == vm), 0)
            stopped = qemu_process.stopped(pid)  # libvirt may hang on it, and has said nothing
            seen = AgentSeen(answers=False, state="", stopped=stopped, error=error.what)
        boots = boots or (seen.is_awaited and seen.age_s <= _BOOTED_S)
        if wire is None:
            wire = WireSeen() if seen.answers or boots else self.on_wire({vm})[vm]
        return seen, wire

    def own(self, vms: Collection[str]) -> dict[str, tuple[Sign, ...]]:
        """Return the VMs that are not waited for by their agents alone, and the signs of each."""
        known = [vm for vm in self.ends.plan.vms if vm.name in vms]
        return {
            vm.name: readiness.signs(vm, image)
            for vm in known
            if not readiness.usual(vm, image := self.images.get(vm.name, Image()))
        }

    def left(self, vm: str, wanted: Mapping[Sign, SignState], end: float) -> dict[Sign, SignState]:
        """Look for each sign once; return those that do not hold yet."""
        found: dict[Sign, SignState] = {}
        for sign in wanted:
            state = self._look(vm, sign, end)
            if not state.ok:
                found[sign] = state
            if state.over:
                return {sign: state}
        return found

    def _look(self, vm: str, sign: Sign, end: float) -> SignState:
        match sign.kind:
            case SignKind.STARTED:
                return SignState(ok=True)
            case SignKind.ADDRESS:
                return self._address(vm)
            case SignKind.SSH | SignKind.TCP if addresses := self._reachable(vm):
                return _connected(sign, addresses)
            case _:
                pass  # only the guest itself knows
        if vm in self.agents:
            return self.ends.worker.do(MACHINE.sign, vm, sign, max(0.0, end - time.monotonic()))
        unreached = "" if readiness.needs_agent(sign) else "this host does not reach it, and "
        return SignState(ok=False, why=f"{unreached}its guest agent does not answer")

    def _reachable(self, vm: str) -> list[str]:
        ways = Routes(self.ends.plan, self.ends.nics, self.ends.facts).ways(vm)
        return [address for way in ways if way.sure for address in way.addresses]

    def _address(self, vm: str) -> SignState:
        """Ask the guest's uplinks for its addresses, or its agent which it has."""
        answers = self.ends.who_answers({vm}, _CLAIM_S)
        if answers.alive or (vm in self.agents and self._has_address(vm)):
            return SignState(ok=True)
        why = next(iter(answers.failed.values()), "it answers at none of its addresses")
        return SignState(ok=False, why=why)

    def _has_address(self, vm: str) -> bool:
        try:
            found = self.ends.worker.do(MACHINE.guest, vm, Guests.addresses)
        except VmnetError:
            return False
        return any(found.get(c.mac) for key, c in self.ends.nics.items() if key.vm == vm)


def _connected(sign: Sign, addresses: Collection[str]) -> SignState:
    try_it = tcp.speaks_ssh if sign.kind is SignKind.SSH else tcp.opens
    if any(try_it(address, sign.port, _CONNECT_S) for address in addresses):
        return SignState(ok=True)
    what = "no SSH server greets" if sign.kind is SignKind.SSH else "nobody answers"
    return SignState(ok=False, why=f"{what} at {', '.join(addresses)}")
