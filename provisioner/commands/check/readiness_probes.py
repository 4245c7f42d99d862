"""Whether the signs of readiness hold: seen from the host where it may reach, else from inside."""

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final

from provisioner.check import readiness
from provisioner.check.readiness import Held, Kind, Sign, Traits
from provisioner.errors import VmnetError
from provisioner.host.guest.commands import Guests
from provisioner.host.machine import MACHINE
from provisioner.host.probe import address_claims, tcp
from provisioner.host.system.worker import Worker
from provisioner.network.devices import Nics, uplink_of
from provisioner.reachability.ssh_route import Routes

if TYPE_CHECKING:
    from provisioner.network.facts import Facts
    from provisioner.plan.ip import Address
    from provisioner.plan.model import Plan

_KNOCK_S: Final = 2.0  # an emulated guest is slow to greet; whoever is late is asked again
_CLAIM_S: Final = 1.0


@dataclass(slots=True)
class Signs:
    """The signs that a plan's VMs are waited for; `agents` are the VMs whose agent has come."""

    plan: "Plan"
    nics: Nics
    facts: "Facts"
    worker: Worker
    traits: Mapping[str, Traits] = field(default_factory=dict)  # by VM; micro's unless told
    agents: set[str] = field(default_factory=set)

    def own(self, vms: Collection[str]) -> dict[str, tuple[Sign, ...]]:
        """Give the VMs that are not waited for as ever, and the signs of each."""
        known = [vm for vm in self.plan.vms if vm.name in vms]
        return {
            vm.name: readiness.signs(vm, traits)
            for vm in known
            if not readiness.usual(vm, traits := self.traits.get(vm.name, readiness.MICRO))
        }

    def left(self, vm: str, wanted: Mapping[Sign, Held], end: float) -> dict[Sign, Held]:
        """Look for each sign once; give those that do not hold yet."""
        found: dict[Sign, Held] = {}
        for sign in wanted:
            held = self._look(vm, sign, end)
            if not held.ok:
                found[sign] = held
            if held.over:
                return {sign: held}
        return found

    def _look(self, vm: str, sign: Sign, end: float) -> Held:
        match sign.kind:
            case Kind.STARTED:
                return Held(ok=True)
            case Kind.ADDRESS:
                return self._address(vm)
            case Kind.SSH | Kind.TCP if addresses := self._reachable(vm):
                return _knocked(sign, addresses)
            case _:
                pass  # only the guest itself can say
        if vm in self.agents:
            return self.worker.do(MACHINE.sign, vm, sign, max(0.0, end - time.monotonic()))
        unreached = "" if readiness.needs_agent(sign) else "this host does not reach it, and "
        return Held(ok=False, why=f"{unreached}its guest agent does not answer")

    def _reachable(self, vm: str) -> list[str]:
        ways = Routes(self.plan, self.nics, self.facts).ways(vm)
        return [address for way in ways if way.sure for address in way.addresses]

    def _address(self, vm: str) -> Held:
        """Ask the guest's wires for its addresses, or its agent which it has."""
        why = "it answers at none of its addresses"
        for number, nic in enumerate(self.plan.vm(vm).nics):
            config, network = self.nics[vm, number], self.plan.network(nic.network)
            wanted: dict[Address, str] = {ip_address(a): config.mac for a in config.static}
            if network.granted or not wanted:
                continue
            try:
                uplink = uplink_of(self.plan.name, network)
                claims = self.worker.do(address_claims.claims, uplink, wanted, _CLAIM_S)
            except VmnetError as error:
                why = error.what
                continue
            if any(config.mac in macs for macs in claims.macs.values()):
                return Held(ok=True)
        if vm in self.agents and self._told(vm):
            return Held(ok=True)
        return Held(ok=False, why=why)

    def _told(self, vm: str) -> bool:
        try:
            told = self.worker.do(MACHINE.guest, vm, Guests.addresses)
        except VmnetError:
            return False
        macs = {self.nics[vm, i].mac for i in range(len(self.plan.vm(vm).nics))}
        return any(told.get(mac) for mac in macs)


def _knocked(sign: Sign, addresses: Collection[str]) -> Held:
    knock = tcp.speaks_ssh if sign.kind is Kind.SSH else tcp.opens
    if any(knock(address, sign.port, _KNOCK_S) for address in addresses):
        return Held(ok=True)
    what = "no SSH server greets" if sign.kind is Kind.SSH else "nobody answers"
    return Held(ok=False, why=f"{what} at {', '.join(addresses)}")
