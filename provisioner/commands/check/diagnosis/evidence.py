"""Look at everything around a check's pairs: macvtaps, guests from inside, wires, switches.

What takes time is asked side by side, once for all pairs.
"""

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import field, replace
from functools import cached_property
from typing import TYPE_CHECKING

from provisioner import naming
from provisioner.check.evidence import Endpoint, Inside, Uplink
from provisioner.check.readiness import GuestState
from provisioner.check.result import Finding, Result
from provisioner.commands.check.endpoints import Endpoints
from provisioner.commands.check.readiness import Readiness
from provisioner.dataclass import dataclass
from provisioner.errors import VmnetError
from provisioner.host.lab import switch_probe
from provisioner.host.machine import MACHINE
from provisioner.host.network import impairment, nftables, tap_node
from provisioner.network.devices import host_device, host_mac, uplink_of
from provisioner.network.nft_ruleset import DropChain
from provisioner.plan.checks import HOST
from provisioner.plan.ip import Address
from provisioner.plan.nic_id import NicId
from provisioner.plan.nic_settings import settings_on
from provisioner.reachability.pairs import Expected

if TYPE_CHECKING:
    from provisioner.plan.model import Network, Plan
    from provisioner.reachability.switch_probe import ForeignMac

_CLAIM_S = 1.0
_MOST_OUTSIDE = 4  # machines that are asked whether foreign MACs pass, all at once


@dataclass
class EvidenceCollector:
    """What was seen, put together per end and per uplink; `claims` are by network.

    `dropped_before` are the frames that guards had dropped before anything was measured.
    """

    ends: Endpoints
    readiness: Readiness
    dropped_before: Mapping[str, int]
    drift: "Sequence[Finding]" = ()  # what `up` would do
    aliens: "Mapping[Address, Finding]" = field(default_factory=dict)  # outside their subnets
    claims: dict[str, dict[Address, tuple[str, ...]]] = field(default_factory=dict)
    inside: dict[str, dict[str, Inside]] = field(default_factory=dict)  # by VM and MAC
    reflects: dict[str, bool | None] = field(default_factory=dict)  # by uplink
    foreign: "dict[tuple[str, Address], ForeignMac]" = field(default_factory=dict)

    @property
    def plan(self) -> "Plan":
        """The plan that is checked."""
        return self.ends.plan

    def gather(self, violated: Iterable[Result]) -> None:
        """Ask side by side what takes time: the guests, the wires, the switches."""
        pairs = [r.pair for r in violated]
        vms = {vm for p in pairs for vm in (p.source, p.target) if self.has_agent(vm)}
        networks = {p.network for p in pairs if not self.plan.network(p.network).granted}
        uplinks = {uplink_of(self.plan.name, self.plan.network(name)) for name in networks}
        with ThreadPoolExecutor(max_workers=16) as side_by_side:
            jobs = [side_by_side.submit(self._look_inside, vm) for vm in vms]
            jobs.append(side_by_side.submit(self._ask_wires, networks))
            outside = self._outside(violated)
            jobs += [side_by_side.submit(self._ask_outside, *x) for x in outside.items()]
            jobs += [side_by_side.submit(self._ask_switch, uplink) for uplink in uplinks]
        for job in jobs:
            job.result()

    def has_agent(self, vm: str) -> bool:
        """Return whether a VM can be asked from inside."""
        return self.readiness.state(vm) is GuestState.READY

    def _look_inside(self, vm: str) -> None:
        macs = [c.mac for key, c in sorted(self.ends.nics.items()) if key.vm == vm]
        try:
            self.inside[vm] = self.ends.worker.do(MACHINE.inside, vm, macs)
        except VmnetError:
            self.readiness.agent_failed(vm)

    def _ask_wires(self, networks: Collection[str]) -> None:
        wanted = {
            key: self.readiness.addresses(key)
            for key in self.ends.nics
            if self.plan.nic(key).network in networks
        }
        answers = self.ends.who_has(wanted, _CLAIM_S)
        for key, macs in answers.macs.items():
            self.claims.setdefault(self.plan.nic(key).network, {}).update(macs)

    def _ask_switch(self, uplink: str) -> None:
        try:
            self.reflects[uplink] = self.ends.worker.do(switch_probe.reflects, uplink)
        except VmnetError:
            self.reflects[uplink] = None

    def _outside(self, violated: Iterable[Result]) -> dict[str, set[Address]]:
        """List the machines outside that some guest could not reach, by uplink."""
        found: dict[str, set[Address]] = {}
        for pair, address in ((r.pair, r.address) for r in violated if r.reached is not None):
            network = self.plan.network(pair.network)
            if not network.uplink or not address or pair.expected is not Expected.REACHES:
                continue
            uplink, machine = uplink_of(self.plan.name, network), self.plan.hosts.get(pair.source)
            if machine:
                found.setdefault(uplink, set()).update(machine.on(network.subnet)[:1])
            elif pair.target != HOST and pair.target_key not in self.ends.nics:
                found.setdefault(uplink, set()).add(address)
        return found

    def _ask_outside(self, uplink: str, addresses: Collection[Address]) -> None:
        """Ask machines outside from the uplink's own MAC, and the first that answers from a new."""
        asked = sorted(addresses, key=lambda x: (x.version, x))[:_MOST_OUTSIDE]
        try:
            probe = self.ends.worker.do(switch_probe.prepare, uplink, str(asked[0]))
            told = self.ends.worker.do(switch_probe.passes_foreign, probe, asked)
        except VmnetError:
            return  # the uplink may be down: nobody can be asked
        if told:
            self.foreign |= dict.fromkeys(((uplink, one) for one in addresses), told)

    def own_address(self, key: NicId, version: int) -> Address | None:
        """Return a guest's first address of an IP version; None for the host and machines."""
        known = self.readiness.addresses(key) if key in self.ends.nics else ()
        return next((a for a in known if a.version == version), None)

    def uplink(self, network: "Network", address: Address | None) -> Uplink:
        """Return what is known of a network's uplink, and of its path to an address."""
        name = uplink_of(self.plan.name, network)
        link = self.ends.facts.link(name)
        own = network.switch is not None
        wanted = network.switch.hairpin if network.switch else None
        if link is None:
            return Uplink(name, exists=False, own_switch=own, wanted_reflects=wanted)
        foreign = self.foreign.get((name, address)) if address else None
        # What this host itself drops there says nothing of the network behind it.
        if foreign and not foreign.passes and self.drop_chains((name,)):
            foreign = None
        return Uplink(
            name,
            up=link.up,
            carrier=link.carrier,
            mtu=link.mtu,
            far=naming.switch_ends(self.plan.name, network.name)[1] if own else "",
            own_switch=own,
            broken=self._broken(network) if own else "",
            forward_drops=self.ends.facts.firewall.drops if own else (),
            serves_dhcp=network.serves_dhcp,
            reflects=self.reflects.get(name),
            wanted_reflects=wanted,
            passes_foreign=foreign.passes if foreign else None,
            control=str(foreign.peer) if foreign else "",
        )

    def _broken(self, network: "Network") -> str:
        """Return what of vmnet's own switch is down, gone or drops, besides its lower end."""
        peer, host_side = (
            naming.switch_ends(self.plan.name, network.name)[1],
            host_device(self.plan, network),
        )
        for name in dict.fromkeys((peer, host_side)):
            link = self.ends.facts.link(name)
            what = "its far end" if name == peer else "its bridge"
            if not (link and link.up):
                return f"{what} {name} {'is down' if link else 'is not there'}"
            if link.port_drops:
                return f"{what} {name} drops frames: {', '.join(link.port_drops)}"
        return ""

    def end(self, key: NicId, network: "Network") -> Endpoint:
        """Return what is known of one end of a pair."""
        if key not in self.ends.nics:
            return self._no_guest(key.vm, network)
        name = key.vm
        config = self.ends.nics[key]
        attached = settings_on(network, self.plan.nic(key))
        device = self.ends.link(key)
        link = self.ends.facts.link(device)
        known = self.readiness.addresses(key)
        claimed = self.claims.get(network.name)
        live = next((x for x in self.ends.facts.live if x.vm == name), None)
        end = Endpoint(
            *key,
            device,
            config.mac,
            known,
            planned=() if config.dhcp else config.addresses,
            exists=link is not None,
            wanted_mode=attached.mode,
            guard=attached.spoof_guard,
            state=live.state if live else "not there",
            dropped=self._dropped.get(device, 0) - self.dropped_before.get(device, 0),
            agent=self.has_agent(name),
            due=frozenset(self.readiness.due_versions(key)),
            inside=self.inside.get(name, {}).get(config.mac),
            impaired=self._impaired.get(device, ""),
            alive=None
            if claimed is None or not known
            else any(config.mac in claimed.get(a, ()) for a in known),
        )
        if link is None:
            return end
        return replace(
            end,
            up=link.up,
            link_mac=link.mac,
            mode=link.mode,
            all_multicast=link.all_multicast,
            node=self._nodes.get(link.name, "right"),
            holders=self._strangers.get(link.name, ()),
        )

    def can_ask(self, end: str) -> bool:
        """Return whether something can be asked from an end of a pair."""
        return end == HOST or end in self.plan.hosts or self.readiness.state(end).is_up

    def drop_chains(self, devices: Iterable[str]) -> tuple[DropChain, ...]:
        """Return the chains of others that drop frames at any of the devices."""
        wanted = set(devices)
        return tuple(x for x in self._drop_chains if x.device in wanted)

    def _no_guest(self, name: str, network: "Network") -> Endpoint:
        """Describe an end that is not a guest: the host, or a machine outside."""
        if name != HOST:
            machine = self.plan.hosts.get(name)
            return Endpoint(
                name, login=" ".join(machine.ssh.argv) if machine and machine.ssh else ""
            )
        device = host_device(self.plan, network)
        link = self.ends.facts.link(device)
        mac = host_mac(self.plan, network, self.ends.facts)
        if link is None:
            return Endpoint(HOST, link=device, mac=mac, exists=False)
        own = tuple(a.ip for a in link.addresses)
        planned = network.switch.host if network.switch else ()
        return Endpoint(HOST, 0, device, mac, own, planned, up=link.up)

    @cached_property
    def _indexes(self) -> dict[str, int]:
        found = (self.ends.facts.link(nic.link) for nic in self.ends.started.values())
        return {link.name: link.index for link in found if link}

    @cached_property
    def _nodes(self) -> dict[str, str]:
        try:
            return tap_node.states_of(self._indexes)
        except VmnetError:
            return {}  # no sysfs shows these links: nothing is known of their nodes

    @cached_property
    def _strangers(self) -> dict[str, tuple[str, ...]]:
        """Find who has taps open besides the VMs that they belong to."""
        own = {x.vm: x.pid for x in self.ends.facts.live}
        owner = {nic.link: own.get(key.vm, 0) for key, nic in self.ends.started.items()}
        try:
            held = tap_node.holders(self._indexes)
        except VmnetError:
            return {}
        return {
            name: tuple(f"{pid} ({tap_node.command(pid)})" for pid in pids if pid != owner[name])
            for name, pids in held.items()
        }

    @cached_property
    def _drop_chains(self) -> tuple[DropChain, ...]:
        return self.ends.worker.do(nftables.drop_chains)

    @cached_property
    def _dropped(self) -> dict[str, int]:
        return self.ends.worker.do(nftables.dropped)

    @cached_property
    def _impaired(self) -> dict[str, str]:
        if os.geteuid():
            return {}
        found = self.ends.worker.do(impairment.found_on, list(self._indexes))
        return {device: one.words for device, one in found.items() if one.words}
