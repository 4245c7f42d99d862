"""Look around the cells in every check: the state of the links, and who else is on the wires."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import field, replace
from functools import cached_property
from ipaddress import IPv4Address
from itertools import islice
from typing import TYPE_CHECKING

from provisioner import naming
from provisioner.check import surroundings
from provisioner.check.evidence import Uplink
from provisioner.check.readiness import GuestState
from provisioner.check.result import Finding
from provisioner.check.surroundings import AddressOwner, Reported, WireHeard
from provisioner.commands.check.diagnosis.evidence import EvidenceCollector
from provisioner.commands.check.endpoints import Endpoints
from provisioner.commands.check.readiness import Readiness
from provisioner.commands.target import Tell
from provisioner.dataclass import dataclass
from provisioner.errors import VmnetError
from provisioner.host.guest.commands import Guests
from provisioner.host.machine import MACHINE
from provisioner.host.netlink import links
from provisioner.host.probe import neighbours, wire_watch
from provisioner.host.probe.wire_watch import TruthfulAsker, Watch
from provisioner.network.addressing import met_at
from provisioner.network.devices import host_mac, uplink_of
from provisioner.network.facts import Chosen
from provisioner.network.overheard import Answered, Overheard
from provisioner.plan.nic_id import NicId
from provisioner.reachability import services
from provisioner.reachability.pairs import Pair

if TYPE_CHECKING:
    from provisioner.commands.session import Session
    from provisioner.host.system.worker import Call
    from provisioner.plan.ip import Address, Subnet
    from provisioner.plan.model import Network

_CLAIM_S = 1.0
_UNUSED, _DRAWS = 3, 32  # addresses that nobody should answer for
_IPV4 = 4


@dataclass
class Wired:
    """One uplink: what the plan says of those on it, and what to ask there."""

    ends: Endpoints
    readiness: Readiness
    uplink: str
    networks: "Sequence[Network]"

    @cached_property
    def keys(self) -> tuple[NicId, ...]:
        """The NICs on the uplink that guests were started with."""
        there = {network.name for network in self.networks}
        nics, plan = self.ends.nics, self.ends.plan
        return tuple(k for k in nics if plan.nic(k).network in there and k in self.ends.started)

    @cached_property
    def guests(self) -> "dict[Address, AddressOwner]":
        """The addresses of the guests that are up."""
        found = {}
        for key in self.keys:
            if self.readiness.state(key.vm).is_up:
                # A guest answers on each of its NICs for all of its addresses (arp_ignore).
                macs = frozenset(nic.mac for k, nic in self.ends.nics.items() if k.vm == key.vm)
                mine = AddressOwner(key.vm, macs, key.vm)
                found.update(dict.fromkeys(self.readiness.addresses(key), mine))
        return found

    @cached_property
    def others(self) -> "dict[Address, AddressOwner]":
        """The addresses of this host, of the gateways and of machines outside."""
        plan, facts = self.ends.plan, self.ends.facts
        # With several NICs on one LAN a host answers by each of them (arp_ignore is 0).
        own = {link.mac for link in facts.links if link.kind != "macvtap"}
        found: dict[Address, AddressOwner] = {}
        planned = {one.ip for config in self.ends.nics.values() for one in config.addresses}
        for network in self.networks:
            link = facts.link(self.uplink)
            at = network.switch_addresses or met_at(plan).get(network.name, ())
            at = (*at, *(one.ip for one in link.addresses)) if link else at
            host = AddressOwner("this host", frozenset({*own, host_mac(plan, network, facts)}))
            found.update(dict.fromkeys(at, host))
            gateways = dict.fromkeys(network.gateway, AddressOwner(surroundings.GATEWAY))
            found = {**gateways, **found}
            for name, machine in plan.hosts.items():
                found = {**dict.fromkeys(machine.on(network.subnet), AddressOwner(name)), **found}
        return {a: station for a, station in found.items() if a not in planned}

    @cached_property
    def unused(self) -> "tuple[Address, ...]":
        """Some addresses of the subnets that nobody has, as far as the plan knows."""
        taken = {one.ip for config in self.ends.nics.values() for one in config.addresses}
        taken |= {*self.guests, *self.others}
        found: list[Address] = []
        for network in self.networks:
            for subnet in network.subnet:
                free = (a for a in _drawn(self.ends.plan.name, subnet) if a not in taken)
                found += islice(free, _UNUSED)
        return tuple(dict.fromkeys(found))

    @property
    def watch(self) -> Watch:
        """What to ask there, and whom to look out for."""
        inside = all(network.switch for network in self.networks)
        served = any(network.serves_dhcp for network in self.networks)
        return Watch(
            self.uplink,
            asked=(*self.others, *self.unused),
            lan=tuple(self.guests),
            macs=frozenset(self.ends.nics[key].mac for key in self.keys),
            asker=self._of_host() if inside else self._of_guest(),
            servers=naming.mac(self.ends.plan.name, "vmnet check", 0) if served else "",
            inside=inside,
        )

    def early(self, fresh: Collection[str], asked: Collection[NicId]) -> Watch | None:
        """Return what can be asked and heard there while the guests in `fresh` still boot.

        None where that would not do: where guests alone are asked, where their addresses are not
        known yet, or where one takes an address that was not `asked` for before. A guest that is
        just taking its address must not hear a question from 0.0.0.0 for it, which would look like
        a rival's (RFC 5227): for it another guest asks, in its own name.
        """
        nics, link = self.ends.nics, self.ends.facts.link(self.uplink)
        unknown = any(not nics[k].static or (k.vm in fresh and k not in asked) for k in self.keys)
        if unknown or link is None or all(network.switch for network in self.networks):
            return None
        own = [one.network for one in link.addresses if one.version == _IPV4]
        asker = None if own else self._of_booting()
        if not own and not asker:
            return None
        of = {address: key for key in self.keys for address in nics[key].static}
        late = {a for a, key in of.items() if key.vm in fresh and a.version == _IPV4}
        harmless = tuple(a for a in of if a not in late or any(a in network for network in own))
        asked_truly = () if own else tuple(late)
        return replace(self.watch, lan=harmless, asker=asker, truly=asked_truly)

    def _of_booting(self) -> TruthfulAsker | None:
        """Return a guest to ask in the name of, which need not have taken its address yet."""
        for key in self.keys:
            tap = self.ends.facts.link(self.ends.link(key))
            for address in self.ends.nics[key].static:
                if tap and tap.up and isinstance(address, IPv4Address):
                    return TruthfulAsker(tap.name, self.ends.nics[key].mac, address)
        return None

    def _of_host(self) -> TruthfulAsker | None:
        """Return the host's own side of a switch: what it asks, guests may believe."""
        for network in self.networks:
            for address in network.switch_addresses:
                if isinstance(address, IPv4Address):
                    return TruthfulAsker("", host_mac(self.ends.plan, network), address)
        return None

    def _of_guest(self) -> TruthfulAsker | None:
        """Return a guest in whose name the LAN can be asked, where this host has no address."""
        link = self.ends.facts.link(self.uplink)
        if link and any(one.version == _IPV4 for one in link.addresses):
            return None
        for key in self.keys:
            address = next((a for a in self.readiness.addresses(key) if a.version == _IPV4), None)
            is_up = self.readiness.state(key.vm).is_up and self.ends.plan.nic(key).link == "up"
            if isinstance(address, IPv4Address) and is_up:
                return TruthfulAsker(self.ends.link(key), self.ends.nics[key].mac, address)
        return None

    def seen(self, heard: Overheard) -> WireHeard:
        """Return what was heard with all that the plan knows."""
        plan, nics = self.ends.plan, self.ends.nics
        served = [n for n in self.networks if n.serves_dhcp]
        own = frozenset(host_mac(plan, network) for network in served)
        return WireHeard(
            self.uplink,
            heard,
            stations={**self.guests, **self.others},
            unused=self.unused,
            guests={nics[key].mac: key.vm for key in self.keys},
            subnets=tuple(subnet for network in self.networks for subnet in network.subnet),
            routers=own if any(network.slaac for network in served) else frozenset(),
            listens=any(nics[key].ra for key in self.keys),
            serves=own,
        )


def _drawn(plan: str, subnet: "Subnet") -> "Iterator[Address]":
    """Return some addresses of a subnet, the same ones each time; fewer where it is small."""
    for number in range(_DRAWS):
        digest = int(naming.digest("unused", plan, str(subnet), str(number), size=16), 16)
        host = digest % subnet.num_addresses
        if 0 < host < subnet.num_addresses - 1:
            yield subnet[host]


@dataclass
class Surroundings:
    """What stands around the cells of one check; `notes` are what is only worth knowing."""

    ends: Endpoints
    readiness: Readiness
    tell: Tell
    notes: list[str] = field(default_factory=list)
    disputed: "dict[tuple[str, Address | None], Finding]" = field(default_factory=dict)
    """By network and address: who answers there is not known, and why."""
    aliens: "dict[Address, Finding]" = field(default_factory=dict)
    """By address: a guest has it, and it is outside of the plan's subnets."""
    begun: "dict[str, Call[Overheard]]" = field(default_factory=dict)
    """By uplink: what is asked there already."""

    def begin(self, fresh: Collection[str], asked: Collection[NicId]) -> None:
        """Ask already on the uplinks where nothing depends on a guest that still boots.

        `fresh` are the VMs that this command has started, `asked` the NICs for whose addresses the
        LAN was asked before.
        """
        for wire in self._wires():
            if watch := wire.early(fresh, asked):
                self.begun[wire.uplink] = self.ends.worker.call(wire_watch.look, watch)

    def of_wires(self) -> tuple[Finding, ...]:
        """Ask and listen on all uplinks at once for about a second; return who should not be there.

        Where that has begun, its end is waited for. Guests that have just begun to take their
        addresses must be over it: they would take the questions for a rival's.
        """
        asked = self._ask_agents()
        wires = list(self._wires())
        call = self.ends.worker.call
        pending = [
            (wire, self.begun.get(wire.uplink) or call(wire_watch.look, wire.watch))
            for wire in wires
        ]
        known = {k: self.readiness.addresses(k) for k in self.ends.nics if self._is_up(k)}
        answers = self.ends.who_has(known, _CLAIM_S)
        for what in answers.failed.values():
            self.tell(f"nobody could be asked for rivals: {what}")
        reported = list(self._reported(asked))
        self.aliens = surroundings.aliens(reported)
        found: list[Finding] = []
        for wire, look in pending:
            try:
                heard = look.result()
            except VmnetError as error:
                self.tell(f"{wire.uplink} could not be listened to: {error.what}")
                heard = Overheard()
            told = [
                Answered(address, mac, outside=False)
                for key in wire.keys
                for address, macs in answers.macs.get(key, {}).items()
                for mac in macs
            ]
            seen = wire.seen(replace(heard, answers=(*heard.answers, *told)))
            here = list(surroundings.of_wire(seen))
            there = [nic for nic in reported if nic.uplink == wire.uplink]
            here += surroundings.of_addresses(there, here)
            ways = ((n.name, a, f) for n in wire.networks for f in here for a in f.addresses)
            self.disputed |= {(name, address): finding for name, address, finding in ways}
            self.notes += surroundings.notes(seen)
            found += here
        return tuple(found)

    def _ask_agents(self) -> "dict[str, Call[dict[str, tuple[Address, ...]]]]":
        call, state = self.ends.worker.call, self.readiness.state
        vms = dict.fromkeys(key.vm for key in self.ends.started)
        ready = [vm for vm in vms if state(vm) is GuestState.READY]
        return {vm: call(MACHINE.guest, vm, Guests.addresses) for vm in ready}

    def _reported(
        self, asked: "Mapping[str, Call[dict[str, tuple[Address, ...]]]]"
    ) -> Iterator[Reported]:
        """Return what guests have said of their NICs, but for those whose agents are silent."""
        for vm, call in asked.items():
            try:
                said = call.result()
            except VmnetError:
                continue
            for key in self.ends.started:
                if key.vm == vm and key in self.ends.nics:
                    config = self.ends.nics[key]
                    planned = tuple(one.ip for one in config.addresses)
                    network = self.ends.plan.network_of(key)
                    uplink = uplink_of(self.ends.plan.name, network)
                    addresses = said.get(config.mac, ())
                    yield Reported(*key, uplink, addresses, planned, network.subnet, config.ra)

    def _is_up(self, key: NicId) -> bool:
        return self.readiness.state(key.vm).is_up

    def _wires(self) -> Iterator[Wired]:
        on: dict[str, list[Network]] = {}
        for network in self.ends.networks:
            if not network.granted:
                on.setdefault(uplink_of(self.ends.plan.name, network), []).append(network)
        return (Wired(self.ends, self.readiness, *one) for one in on.items())

    def of_links(self, told: Sequence[Finding]) -> tuple[Finding, ...]:
        """Return what is wrong with links now, but for macvtaps that `told` is about already."""
        return tuple(self._of_links(told))

    def _of_links(self, told: Sequence[Finding]) -> Iterator[Finding]:
        try:
            now = replace(self.ends.facts, links=tuple(self.ends.worker.do(links.every)))
        except VmnetError as error:
            self.tell(f"the links could not be looked at: {error.what}")
            return
        seen = EvidenceCollector(replace(self.ends, facts=now), self.readiness, {})
        plan = self.ends.plan
        ends = [
            seen.end(key, plan.network_of(key))
            for key in self.ends.started
            if key in self.ends.nics and plan.nic(key).link == "up"
        ]
        uplinks: dict[str, Uplink] = {}
        for network in self.ends.networks:
            if network.granted:
                continue  # what its devices stand on is root's
            link = now.link(network.uplink or "")
            uplink = seen.uplink(network, None)
            if network.vlan and link and not (link.up and link.carrier):
                uplink = Uplink(link.name, up=link.up, carrier=link.carrier)
            uplinks[uplink.name] = uplink
        yield from surroundings.of_links(uplinks.values(), ends, told)


def of_services(session: "Session", promised: Sequence[Pair]) -> list[Pair]:
    """Return what guests are to get of the host besides its answers: names, and a way out by NAT.

    Where nobody beyond this host answers it, a guest's way out cannot be measured: that is told.
    """
    plan = session.target.plan
    links_now = session.snapshot.facts.links
    ours = {link.index for link in links_now if naming.are_ours(link.name, link.kind)}
    outside: tuple[Address, ...] = ()
    if nat := [network for network in plan.networks if network.does_nat]:
        try:
            outside = session.worker.do(neighbours.routers, ours)
        except VmnetError as error:
            session.tell(f"nobody beyond this host could be asked: {error.what}")
        versions = {subnet.version for network in nat for subnet in network.subnet}
        session.chosen[f"NAT of {', '.join(n.name for n in nat)}"] = _asked(outside, versions)
    agents = {domain.vm for domain in session.domains if domain.image.agent}
    return list(services.pairs(plan, session.nics, promised, outside, agents))


def _asked(outside: "Sequence[Address]", versions: Collection[int]) -> Chosen:
    """Return by whom the way out is measured, and by which IP versions it cannot be."""
    silent = sorted({*versions} - {a.version for a in outside})
    lacks = "no router of this host's answers its ping"
    if not outside:
        return Chosen("not measured", lacks)
    found = f"asked of {', '.join(map(str, outside))}"
    why = "this host reaches it beyond its own networks"
    if not silent:
        return Chosen(found, why)
    by = " and ".join(f"IPv{version}" for version in silent)
    return Chosen(f"{found}, not measured by {by}", f"{why}; by {by} {lacks}")
