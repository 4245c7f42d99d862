"""Finds out why promises were not kept: gathers what can be seen, and lets core judge it.

What concerns an end (its macvtap, its guest's own view, who answers for its address) is looked at
once; frames are followed for a few pairs only, since most red cells of one plan share a cause.
"""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cached_property
from ipaddress import ip_address
from typing import TYPE_CHECKING

from provisioner.core import attachments
from provisioner.core.diagnosis import diagnose
from provisioner.core.diagnosis_ends import standing
from provisioner.core.evidence import End, Evidence, Finding, Inside, Point, Uplink
from provisioner.core.exchange import Exchange
from provisioner.core.networks import host_device, host_mac, uplink_of
from provisioner.core.reach import HOST, Expected, Pair, Result
from provisioner.errors import VmnetError
from provisioner.flow.measure import Ends
from provisioner.flow.readiness import Readiness
from provisioner.host import mesh, taps
from provisioner.host.trace import Trace
from provisioner.host.worker import Worker

if TYPE_CHECKING:
    from provisioner.core.facts import Link
    from provisioner.core.frames import Address
    from provisioner.core.impairment import Found
    from provisioner.core.model import Network
    from provisioner.core.switchverdict import Findings
    from provisioner.host.addresscheck import Claims

_FOLLOWED = 8  # pairs whose frames are followed
_CLAIM_S = 1.0
_MESH_S = 1.0
_MOST_MACS = 8

Key = tuple[str, int]


class Diagnosis:
    """One look at everything around the promises that were not kept."""

    def __init__(
        self, ends: Ends, readiness: Readiness, worker: Worker, dropped_before: Mapping[str, int]
    ) -> None:
        self._ends = ends
        self._readiness = readiness
        self._worker = worker
        self._before = dropped_before
        self._plan = ends.plan
        self._claims: dict[str, Mapping[Address, tuple[str, ...]]] = {}
        self._inside: dict[str, dict[str, Inside]] = {}
        self._reflects: dict[str, bool | None] = {}
        self._foreign: dict[tuple[str, str], Findings] = {}

    def standing(self) -> tuple[Finding, ...]:
        """Tell what is wrong with macvtaps whatever was measured: it may fail at any moment."""
        ends = [
            self._end(vm, nic, self._plan.network(self._plan.vm(vm).nics[nic].network))
            for vm, nic in self._ends.cards
            if (vm, nic) in self._ends.nics and self._plan.vm(vm).nics[nic].link == "up"
        ]
        return tuple(found for end in ends if (found := standing(end)))

    def explained(self, results: Sequence[Result]) -> list[Result]:
        """Give the results again, each that broke its promise with the reason that was found."""
        broken = [r for r in results if not r.kept]
        if not broken:
            return list(results)
        self._gather(broken)
        worked = {(r.pair.source, r.pair.target, _version(r)) for r in results if r.reached}
        reasons: dict[int, Finding] = {}
        for number, result in enumerate(broken):
            evidence = self._evidence(result, worked)
            if number < _FOLLOWED:
                evidence = self._followed(result, evidence)
            reasons[id(result)] = diagnose(evidence)
        return [replace(r, finding=reasons.get(id(r))) for r in results]

    def _gather(self, broken: Iterable[Result]) -> None:
        """Ask side by side what takes time: the guests, the wires, the switches."""
        pairs = [r.pair for r in broken]
        vms = {vm for p in pairs for vm in (p.source, p.target) if self._has_agent(vm)}
        networks = {p.network for p in pairs if not self._plan.network(p.network).granted}
        with ThreadPoolExecutor(max_workers=16) as side_by_side:
            jobs: list[Callable[[], None]] = [lambda vm=vm: self._look_inside(vm) for vm in vms]  # type: ignore[misc]
            jobs += [lambda name=name: self._ask_wire(name) for name in networks]  # type: ignore[misc]
            jobs += [lambda one=one: self._ask_outside(*one) for one in self._outside(broken)]  # type: ignore[misc]
            list(side_by_side.map(lambda job: job(), jobs))

    def _has_agent(self, vm: str) -> bool:
        return vm in self._readiness.ready and vm not in self._readiness.mute

    def _look_inside(self, vm: str) -> None:
        macs = [c.mac for (name, _), c in sorted(self._ends.nics.items()) if name == vm]
        try:
            self._inside[vm] = self._worker.do("inside", vm, macs)
        except VmnetError:
            self._readiness.mute.setdefault(vm, "its guest agent has stopped answering")

    def _ask_wire(self, name: str) -> None:
        network = self._plan.network(name)
        uplink = uplink_of(self._plan.name, network)
        wanted = {ip_address(a): mac for a, mac in self._addresses_on(name)}
        try:
            claims: Claims = self._worker.do("claims", uplink, wanted, _CLAIM_S)
            self._claims[name] = claims.macs
        except VmnetError:
            pass  # nobody can be heard there: the diagnosis says why
        try:
            self._reflects[name] = self._worker.do("reflects", uplink)
        except VmnetError:
            self._reflects[name] = None

    def _outside(self, broken: Iterable[Result]) -> set[tuple[str, str]]:
        """List the machines outside that some guest could not reach, each with its uplink."""
        return {
            (uplink_of(self._plan.name, self._plan.network(r.pair.network)), r.address)
            for r in broken
            if r.address
            and r.pair.expected is Expected.REACHES
            and r.pair.target != HOST
            and (r.pair.target, r.pair.nic) not in self._ends.nics
            and self._plan.network(r.pair.network).uplink
        }

    def _ask_outside(self, uplink: str, address: str) -> None:
        """Ask a machine outside from the uplink's own MAC and from a new one."""
        try:
            question = self._worker.do("question", uplink, address)
            self._foreign[uplink, address] = self._worker.do("ask", question)
        except VmnetError:
            pass  # the uplink is down, say: nobody can be asked

    def _addresses_on(self, network: str) -> Iterable[tuple[str, str]]:
        for (vm, number), config in self._ends.nics.items():
            if self._plan.vm(vm).nics[number].network == network:
                for address in self._known(vm, number):
                    yield address, config.mac

    def _known(self, vm: str, nic: int) -> tuple[str, ...]:
        return self._ends.nics[vm, nic].static or self._readiness.learned.get((vm, nic), ())

    def _evidence(self, result: Result, worked: set[tuple[str, str, int]]) -> Evidence:
        pair, seen = result.pair, result.seen
        network = self._plan.network(pair.network)
        address = result.address
        claimed = self._claims.get(pair.network, {})
        other = (pair.source, pair.target, 10 - _version(result)) in worked
        small = result.reached and result.wrong
        return Evidence(
            network=pair.network,
            source=self._end(pair.source, pair.source_nic, network),
            target=self._end(pair.target, pair.nic, network),
            address=address,
            asked=pair.asked,
            expected=pair.expected is not Expected.ISOLATED,
            uplink=self._uplink(network, address),
            owners=claimed.get(ip_address(address), ()) if address else (),
            sent=seen.sent if seen else 0,
            answered=seen.answered if seen else 0,
            largest=seen.largest if seen else 0,
            packet=self._ends.packet(pair) if small else 0,
            other_family=other if address and result.reached is False else None,
            refused=bool(seen and seen.refused),
            note=result.note,
        )

    def _uplink(self, network: "Network", address: str) -> Uplink:
        name = uplink_of(self._plan.name, network)
        link = self._ends.facts.link(name)
        own = network.switch is not None
        wanted = network.switch.hairpin if network.switch else None
        reflects = self._reflects.get(network.name)
        foreign = self._foreign.get((name, address))
        if link is None:
            return Uplink(name, exists=False, own_switch=own, wanted_reflects=wanted)
        return Uplink(
            name,
            up=link.up,
            carrier=link.carrier,
            mtu=link.mtu,
            own_switch=own,
            reflects=reflects,
            wanted_reflects=wanted,
            passes_foreign=foreign.passes_foreign if foreign else None,
            control=address if foreign else "",
        )

    def _end(self, name: str, nic: int, network: "Network") -> End:
        if (name, nic) not in self._ends.nics:
            return self._no_guest(name, network)
        config = self._ends.nics[name, nic]
        planned = self._plan.vm(name).nics[nic]
        attached = attachments.of(network, planned)
        device = self._ends.link(name, nic)
        link = self._ends.facts.link(device)
        known = self._known(name, nic)
        claimed = self._claims.get(network.name)
        agent = self._has_agent(name)
        live = next((x for x in self._ends.facts.live if x.vm == name), None)
        end = End(
            name,
            nic,
            device,
            config.mac,
            known,
            exists=link is not None,
            wanted_mode=str(attached.mode),
            guard=str(attached.spoof_guard),
            state=live.state if live else "not there",
            dropped=self._dropped.get(device, 0) - self._before.get(device, 0),
            agent=agent,
            inside=self._inside.get(name, {}).get(config.mac),
            impaired=self._impaired.get(device, ""),
            alive=None
            if claimed is None or not known
            else any(config.mac in claimed.get(ip_address(a), ()) for a in known),
        )
        return self._with_link(end, link) if link else end

    def _with_link(self, end: End, link: "Link") -> End:
        return replace(
            end,
            up=link.up,
            carrier=link.carrier,
            mode=link.mode,
            all_multicast=link.all_multicast,
            node=self._nodes.get(link.name, "right"),
            holders=self._strangers.get(link.name, ()),
        )

    def _no_guest(self, name: str, network: "Network") -> End:
        """Describe an end that is no guest: the host, or a machine outside."""
        if name != HOST:
            return End(name)
        device = host_device(self._plan, network)
        link = self._ends.facts.link(device)
        mac = host_mac(self._plan, network, self._ends.facts)
        if link is None:
            return End(HOST, link=device, mac=mac, exists=False)
        own = tuple(a.partition("/")[0] for a in link.addresses)
        return End(HOST, 0, device, mac, own, up=link.up, carrier=link.carrier)

    @cached_property
    def _indexes(self) -> dict[str, int]:
        found = (self._ends.facts.link(card.link) for card in self._ends.cards.values())
        return {link.name: link.index for link in found if link}

    @cached_property
    def _nodes(self) -> dict[str, str]:
        try:
            return taps.states_of(self._indexes)
        except VmnetError:
            return {}  # no sysfs shows these links: nothing can be said of their nodes

    @cached_property
    def _strangers(self) -> dict[str, tuple[str, ...]]:
        """Find who has taps open besides the VMs that they belong to."""
        own = {x.vm: x.pid for x in self._ends.facts.live}
        owner = {card.link: own.get(vm, 0) for (vm, _), card in self._ends.cards.items()}
        try:
            numbers = {n: name for name, n in taps.numbers_of(self._indexes).items()}
        except VmnetError:
            return {}
        return {
            name: tuple(f"{pid} ({taps.command(pid)})" for pid in pids if pid != owner[name])
            for name, pids in taps.holders(numbers).items()
        }

    @cached_property
    def _dropped(self) -> dict[str, int]:
        found: dict[str, int] = self._worker.do("dropped")
        return found

    @cached_property
    def _impaired(self) -> dict[str, str]:
        if os.geteuid():
            return {}
        found: dict[str, Found] = self._worker.do("impaired", list(self._indexes))
        return {device: one.words for device, one in found.items() if one.words}

    def _followed(self, result: Result, evidence: Evidence) -> Evidence:
        """Do it again for one pair, and watch where its frames go."""
        pair = result.pair
        if not result.address or os.geteuid() or not self._is_up(pair.source):
            return evidence
        devices = {
            Point.SOURCE: evidence.source.link,
            Point.UPLINK: evidence.uplink.name,
            Point.TARGET: evidence.target.link,
        }
        there = {point: name for point, name in devices.items() if self._open_to_listen(name, pair)}
        try:
            with Trace(there, Exchange(evidence.source.mac, result.address)) as trace:
                self._repeat(result)
            evidence = replace(
                evidence,
                sightings=trace.sightings,
                listened=frozenset(there),
                gone_by=trace.gone_by,
            )
        except VmnetError:
            pass  # a device went away meanwhile: what is known has to do
        return replace(evidence, owners=self._owners(result, evidence))

    def _open_to_listen(self, name: str, pair: Pair) -> bool:
        link = self._ends.facts.link(name)
        return bool(pair.network and link and link.up)

    def _is_up(self, end: str) -> bool:
        return end == HOST or end in self._readiness.ready

    def _repeat(self, result: Result) -> None:
        """Send a ping or two once more, from where it was measured."""
        pair = result.pair
        if pair.source == HOST:
            from provisioner.host import probe

            device = host_device(self._plan, self._plan.network(pair.network))
            probe.ping([ip_address(result.address)], device=device, deadline_s=1.0, tries=2)
        elif self._has_agent(pair.source):
            size = self._ends.packet(pair) if result.wrong else 0
            address = result.address
            self._worker.do("guest", pair.source, "ping", {address: 2}, {address: size})
        else:
            mesh.answered([self._ends.ask(pair, result.address)], _MESH_S)

    def _owners(self, result: Result, evidence: Evidence) -> tuple[str, ...]:
        """Ask at the source's macvtap too who has the address: what is answered there counts."""
        pair = result.pair
        if (pair.source, pair.source_nic) not in self._ends.nics or not evidence.source.up:
            return evidence.owners
        # Asked of everybody: whoever answers for the address is to be known.
        ask = replace(self._ends.ask(pair, result.address), target_mac="", target_device="")
        try:
            seen = mesh.answered([ask], _MESH_S).seen
        except VmnetError:
            return evidence.owners
        heard = seen[ask].macs if ask in seen else ()
        return tuple(dict.fromkeys((*evidence.owners, *heard)))[:_MOST_MACS]


def _version(result: Result) -> int:
    return ip_address(result.address).version if result.address else 0
