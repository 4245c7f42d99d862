"""What a host still has while VMs are placed on it, and what keeps a VM from it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from provisioner.dataclass import dataclass
from provisioner.guest.qemu.memory import wanted_mib
from provisioner.plan.choices import Accel, Mode, SpoofGuard, Vhost
from provisioner.plan.nic_settings import settings_on
from provisioner.plan.placing.carriers import uplink_on

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from provisioner.fabric.facts import HostFacts
    from provisioner.plan.model import Network, Nic, Plan
    from provisioner.plan.vm import Vm

POOL_MIB: Final = 8
"""What the files of a guest take that has written nothing: seeds, empty disks, its console."""

_GIB: Final = 1024
Wire = tuple[str, int | None]
"""A NIC of a host, and the VLAN of it or None."""


@dataclass(slots=True)
class Capacity:
    """One host with what has been placed on it so far; changed by `take` alone."""

    host: str
    plan: Plan
    facts: HostFacts
    apart: Sequence[Collection[str]]  # VMs that share no host
    memory_mib: int
    pool_mib: int
    wires: dict[Wire, tuple[tuple[str, str], ...]]  # the modes on it, and whose each is
    vms: tuple[str, ...] = ()  # of the plan

    @classmethod
    def of(
        cls, host: str, plan: Plan, facts: HostFacts, apart: Sequence[Collection[str]]
    ) -> Capacity:
        """Return what a host has before anything is placed: devices of others are on its NICs."""
        wires: dict[Wire, tuple[tuple[str, str], ...]] = {}
        for uplink in facts.uplinks:
            others = [tap for tap in uplink.taps if tap.plan != plan.name]
            whose = ((tap.mode, f"plan {tap.plan}" if tap.plan else tap.name) for tap in others)
            wires[uplink.name, None] = tuple(whose)
        memory_mib, pool_mib = facts.free_memory_mib, facts.free_pool_mib
        return cls(host, plan, facts, apart, memory_mib, pool_mib, wires)

    def copy(self) -> Capacity:
        """Return one that can be filled while this one stays as it is."""
        return replace(self, wires=dict(self.wires))

    @property
    def room(self) -> str:
        """What is left of its memory, for people."""
        free, whole = self.memory_mib / _GIB, self.facts.memory_mib / _GIB
        return f"{free:.1f} of {whole:.1f} GiB free"

    def without_carrier(self, unit: Sequence[Vm]) -> int:
        """Return how many NICs of VMs would be on a NIC of this host that has no carrier."""
        found = [self.facts.uplink(nic) for vm in unit for _, _, nic in self._nics(vm)]
        return sum(1 for uplink in found if uplink and not uplink.carrier)

    def take(self, vm: Vm, *, runs: bool = False) -> None:
        """Place a VM here; one that `runs` has its memory and its files already."""
        if not runs:
            self.memory_mib -= wanted_mib(vm)
            self.pool_mib -= POOL_MIB
        self.vms = (*self.vms, vm.name)
        for wire, mode in self._wires(vm):
            self.wires[wire] = (*self.wires.get(wire, ()), (mode, vm.name))

    def refusals(self, unit: Sequence[Vm]) -> Iterator[str]:
        """List why VMs that belong together cannot be here: what follows the host's name."""
        yield from self._short(unit)
        for vm in unit:
            yield from self._beside(vm)
            for network, nic, name in self._nics(vm):
                yield from self._cannot_carry(network, nic, name)
        yield from self._exclusive(unit)
        yield from self._lacks(unit)

    def _short(self, unit: Sequence[Vm]) -> Iterator[str]:
        wanted = sum(map(wanted_mib, unit))
        if wanted > self.memory_mib and not self.plan.overcommit:
            least = wanted / _GIB
            full = self.memory_mib < min(map(wanted_mib, unit))
            yield "is full" if full else f"has {self.room}, and {least:.1f} are wanted"
        if POOL_MIB * len(unit) > self.pool_mib:
            yield f"has {self.pool_mib} MiB free for guests' files"

    def _beside(self, vm: Vm) -> Iterator[str]:
        for group in self.apart:
            there = [other for other in self.vms if other in group and other != vm.name]
            if vm.name in group and there:
                yield f"has {there[0]} already, which {vm.name} is to be apart from"

    def _cannot_carry(self, network: Network, nic: Nic, name: str) -> Iterator[str]:
        uplink = self.facts.uplink(name)
        mtu = nic.mtu or network.mtu or 0
        mode = settings_on(network, nic).mode
        if uplink is None:
            yield f"has no NIC {name} for network {network.name}"
        elif uplink.mtu < mtu:
            yield f"has an MTU of {uplink.mtu} on {name}, and {mtu} are wanted"
        elif mode.is_exclusive and uplink.carries_default and not network.take_over:
            yield f"has its own way out through {name}, which mode passthru would take"

    def _exclusive(self, unit: Sequence[Vm]) -> Iterator[str]:
        """List NICs that one guest has, or would have, for itself alone."""
        taken = dict(self.wires)
        for vm in unit:
            for wire, mode in self._wires(vm):
                there = taken.get(wire, ())
                alone = [who for other, who in there if other == Mode.PASSTHRU]
                if alone:
                    yield f"has given {wire[0]} to {alone[0]} alone (passthru)"
                elif mode == Mode.PASSTHRU and there:
                    yield f"has {there[0][1]} on {wire[0]}, which {vm.name} wants alone (passthru)"
                taken[wire] = (*there, (mode, vm.name))

    def _lacks(self, unit: Sequence[Vm]) -> Iterator[str]:
        wanted = {one for vm in unit for one in self._features(vm)}
        for feature in sorted(wanted - set(self.facts.features)):
            yield f"has no {feature}"

    def _features(self, vm: Vm) -> Iterator[str]:
        yield "macvtap"
        if self.plan.accel is Accel.KVM:
            yield "kvm"
        for nic in vm.nics:
            network = self.plan.network(nic.network)
            how = settings_on(network, nic)
            wants = {
                "vlan": network.vlan is not None,
                "nat": network.does_nat,
                "vhost": how.vhost is Vhost.ON,
                "guard": how.spoof_guard is SpoofGuard.STRICT or bool(how.isolate),
            }
            yield from (feature for feature, wanted in wants.items() if wanted)

    def _nics(self, vm: Vm) -> Iterator[tuple[Network, Nic, str]]:
        """Return the NICs of a VM that stand on one of this host, with what that is called."""
        for nic in vm.nics:
            network = self.plan.network(nic.network)
            if name := uplink_on(self.plan, self.host, network):
                yield network, nic, name

    def _wires(self, vm: Vm) -> Iterator[tuple[Wire, str]]:
        for network, nic, name in self._nics(vm):
            yield (name, network.vlan), str(settings_on(network, nic).mode)
