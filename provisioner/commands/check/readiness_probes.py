"""Whether the signs of readiness hold: seen from the host where it may reach, else from inside."""

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from provisioner.check import readiness
from provisioner.check.readiness import Sign, SignKind, SignState
from provisioner.commands.check.endpoints import Endpoints
from provisioner.errors import VmnetError
from provisioner.guest.domain import Image
from provisioner.host.guest.commands import Guests
from provisioner.host.machine import MACHINE
from provisioner.host.probe import tcp
from provisioner.reachability.ssh_route import Routes

if TYPE_CHECKING:
    from provisioner.image.traits import ImageTraits

_CONNECT_S: Final = 2.0  # an emulated guest is slow to greet; whoever is late is asked again
_CLAIM_S: Final = 1.0


@dataclass(slots=True)
class ReadinessProbes:
    """The signs that a plan's VMs are waited for; `agents` are the VMs whose agent has come."""

    ends: Endpoints
    images: "Mapping[str, ImageTraits]"  # by VM; micro's if absent
    agents: set[str] = field(default_factory=set)

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
