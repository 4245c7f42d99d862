"""What a check works on: a plan's NICs, what is behind them, and the worker."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import field, replace
from typing import TYPE_CHECKING

from provisioner.dataclass import dataclass
from provisioner.errors import VmnetError
from provisioner.guest.domain import DomainNic
from provisioner.guest.network_config import told_mtus
from provisioner.host.probe import address_claims, mesh
from provisioner.network.addressing import Nics
from provisioner.network.devices import host_device, uplink_of
from provisioner.network.frames import link_local
from provisioner.plan.checks import HOST
from provisioner.plan.nic_id import NicId, numbered
from provisioner.plan.nic_settings import DEFAULT_MTU
from provisioner.reachability.pairs import Pair

if TYPE_CHECKING:
    from provisioner.commands.session import Session
    from provisioner.host.system.worker import Worker
    from provisioner.network.facts import Facts
    from provisioner.plan.ip import Address
    from provisioner.plan.model import Network, Plan


@dataclass(frozen=True, slots=True)
class Answers:
    """For each NIC the MACs that answered for its addresses; silent addresses are absent.

    `alive` are the NICs whose own MAC answered by the synthetic wire, each with the addresses that
    it answered for: who answers there is behind this host's macvtaps. `failed` has for each uplink
    on which nobody could be asked the reason; its NICs are not in `macs`. `unreached` likewise for
    the synthetic wire alone.
    """

    macs: "dict[NicId, Mapping[Address, tuple[str, ...]]]" = field(default_factory=dict)
    alive: "dict[NicId, tuple[Address, ...]]" = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    unreached: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Endpoints:
    """A plan's NICs: how they are configured, and the macvtaps behind them; the worker to ask."""

    plan: "Plan"
    nics: Nics
    started: Mapping[NicId, DomainNic]  # of the running VMs, with the MTU that they know of
    facts: "Facts"
    worker: "Worker"

    @property
    def networks(self) -> "list[Network]":
        """The networks of the plan, but for switches that are not there and that nobody is on."""
        used = {self.plan.nic(key).network for key in self.started if key in self.nics}
        return [
            network
            for network in self.plan.networks
            if network.name in used
            or not network.switch
            or self.facts.link(uplink_of(self.plan.name, network))
        ]

    def who_has(self, addresses: "Mapping[NicId, Collection[Address]]", within_s: float) -> Answers:
        """Ask for the addresses of NICs, on all uplinks at once, by the LAN and a synthetic wire.

        NICs without addresses and those on granted networks, where this user may send no frames,
        are left out.
        """
        on: dict[str, list[NicId]] = {}
        for key, wanted in addresses.items():
            network = self.plan.network_of(key)
            if wanted and not network.granted:
                on.setdefault(uplink_of(self.plan.name, network), []).append(key)
        pending = {
            uplink: self.worker.call(
                address_claims.claims,
                uplink,
                {address: self.nics[key].mac for key in keys for address in addresses[key]},
                within_s,
            )
            for uplink, keys in on.items()
        }
        answers = Answers()
        for uplink, call in pending.items():
            try:
                found = call.result()
            except VmnetError as error:
                answers.failed[uplink] = error.what
                continue
            if found.unreached:
                answers.unreached[uplink] = found.unreached
            for key in on[uplink]:
                claimed = {a: self.rivals(key, found.macs.get(a, ())) for a in addresses[key]}
                answers.macs[key] = {address: macs for address, macs in claimed.items() if macs}
                mac = self.nics[key].mac
                if shown := tuple(a for a in addresses[key] if mac in found.here.get(a, ())):
                    answers.alive[key] = shown
        return answers

    def rivals(self, key: NicId, macs: Iterable[str]) -> tuple[str, ...]:
        """Return who answers for a NIC, without the other NICs of its own guest.

        A guest answers on each of its NICs for all of its addresses, as the kernel does by default
        (arp_ignore in Documentation/networking/ip-sysctl.rst).
        """
        own = numbered(key.vm, self.plan.vm(key.vm).nics)
        siblings = {self.nics[other].mac for other, _ in own if other != key}
        return tuple(mac for mac in macs if mac not in siblings)

    def who_answers(self, vms: Collection[str], within_s: float) -> Answers:
        """Ask for the static addresses of VMs."""
        static = {key: config.static for key, config in self.nics.items() if key.vm in vms}
        return self.who_has(static, within_s)

    def askable(self, key: NicId) -> "tuple[Address, ...]":
        """Return what a guest can be asked for on the wire, as far as the plan knows it.

        That is the address made from its MAC for one that DHCP of others gives an address.
        """
        config = self.nics[key]
        return tuple(one.ip for one in config.addresses) or (link_local(config.mac),)

    def link(self, key: NicId) -> str:
        """Return the name of the macvtap behind a guest's NIC, "" when there is none."""
        nic = self.started.get(key)
        return nic.link if nic else ""

    def mtu(self, key: NicId) -> int:
        """Return the size of the largest IP packet that a guest may send, in bytes."""
        nic = self.started.get(key)
        return self.nics[key].mtu or (nic.mtu if nic else 0) or DEFAULT_MTU

    def is_near(self, pair: Pair, address: "Address") -> bool:
        """Return whether an address is on the wire itself, where ARP and ND ask for it."""
        gateways = self.nics[pair.source_key].gateways if pair.source_key in self.nics else ()
        subnets = self.plan.network(pair.network).subnet
        return address in gateways or any(address in subnet for subnet in subnets)

    def packet(self, pair: Pair, address: "Address") -> int:
        """Return the size in bytes of the largest IP packet that has to pass; 0 if none is known.

        On one wire all ends have to take what a guest may send; behind a router less may pass.
        """
        mtus = [self.mtu(key) for key in (pair.source_key, pair.target_key) if key in self.nics]
        if HOST in {pair.source, pair.target}:
            device = self.facts.link(host_device(self.plan, self.plan.network(pair.network)))
            mtus.append(device.mtu if device else 0)
        elif pair.target_key not in self.nics and not self.is_near(pair, address):
            return 0
        return min(mtus, default=0)

    def ask(self, pair: Pair, address: "Address") -> mesh.Ask:
        """Return a pair's question as it is asked at the source's macvtap, in the guest's place."""
        source, target = pair.source_key, pair.target_key
        peer = self.nics.get(target)  # None for the host and machines outside
        return mesh.Ask(
            self.link(source),
            self.nics[source].mac,
            address,
            peer.mac if peer else "",
            self.link(target) if peer else "",
        )


def endpoints(session: "Session") -> Endpoints:
    """Return the NICs of a session's plan, and the macvtaps of those VMs that run."""
    started: dict[NicId, DomainNic] = {}
    for d in session.domains:
        told = told_mtus(d.network)
        started |= {
            key: replace(nic, mtu=told.get(nic.mac, nic.mtu)) for key, nic in numbered(d.vm, d.nics)
        }
    return Endpoints(
        session.target.plan, session.nics, started, session.snapshot.facts, session.worker
    )
