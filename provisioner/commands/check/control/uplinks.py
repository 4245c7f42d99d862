"""Choose what is put in at the uplinks of silent pairs as a control, and have it put in."""

import secrets
from dataclasses import field
from functools import cached_property
from ipaddress import IPv4Address, IPv6Address, ip_network
from typing import TYPE_CHECKING, Final

from provisioner.commands.check.endpoints import Endpoints
from provisioner.commands.check.readiness import Readiness
from provisioner.dataclass import dataclass
from provisioner.host.probe import control
from provisioner.host.probe.control import Beyond, ControlSeen, Enough, Injected
from provisioner.network import frames
from provisioner.network.addressing import gateways_of, source_macs
from provisioner.network.devices import host_device, host_mac, uplink_of
from provisioner.plan.checks import HOST
from provisioner.plan.choices import Mode
from provisioner.plan.nic_settings import settings_of
from provisioner.reachability.pairs import Pair

if TYPE_CHECKING:
    from collections.abc import Iterable

    from provisioner.host.system.worker import Call
    from provisioner.plan.ip import Address, Subnet
    from provisioner.plan.nic_id import NicId

_ANSWER_S: Final = 2.5  # a busy host stretches what an emulated guest does at once
_MOST_GUESTS: Final = 4  # that look for somebody beyond an uplink


@dataclass(slots=True)
class _Wanted:
    """What is to be put in at one uplink, and for whom somebody beyond it is looked for."""

    injected: dict[Injected, None] = field(default_factory=dict)
    guests: dict[tuple[str, str], None] = field(default_factory=dict)
    known: "dict[Address, None]" = field(default_factory=dict)
    asks_beyond: bool = True


class UplinkControls:
    """The pings for the ends of silent pairs: `add` every pair, `start`, then see `found`.

    An end that was asked for its MAC is alive when it answers who-has; one that has got a packet
    has to answer a ping.
    """

    def __init__(self, ends: Endpoints, readiness: Readiness) -> None:
        self._ends, self._plan, self._readiness = ends, ends.plan, readiness
        self._wanted: dict[str, _Wanted] = {}
        self._injected: dict[tuple[NicId, Address, Enough], Injected] = {}
        self._strangers: set[Address] = set()
        self._pending: dict[str, Call[ControlSeen]] = {}

    def add(self, pair: Pair, address: "Address", enough: Enough) -> None:
        """Have both ends of a pair asked; `enough` is about the target."""
        network = self._plan.network(pair.network)
        wanted = self._wanted.setdefault(self._uplink(pair), _Wanted())
        own = self.own_address(pair, address)
        for key, at, shows in (
            (pair.target_key, address, enough),
            (pair.source_key, own, Enough.WHO_HAS_ALONE),
        ):
            if key not in self._ends.nics:
                continue
            if at is not None and (one := self._put_in(key, at, shows)):
                wanted.injected[one] = None
            if settings_of(self._plan, self._plan.nic(key)).mode is not Mode.SOURCE:
                wanted.guests[self._ends.link(key), self._ends.nics[key].mac] = None
            wanted.known |= dict.fromkeys(self._ends.nics[key].gateways)
        if pair.target == HOST and (one := self._put_in_for_host(pair, address, enough)):
            wanted.injected[one] = None
        wanted.known |= dict.fromkeys((*gateways_of(network), *network.switch_addresses))
        for machine in self._plan.hosts.values():
            wanted.known |= dict.fromkeys(machine.on(network.subnet))
        if network.switch and not network.switch_addresses:
            wanted.asks_beyond = False  # vmnet's own, with nobody behind it

    def start(self) -> None:
        """Begin at all uplinks side by side."""
        for uplink, wanted in self._wanted.items():
            guests = tuple(g for g in wanted.guests if g[0])[:_MOST_GUESTS]
            beyond = Beyond(guests, tuple(wanted.known)) if wanted.asks_beyond else None
            call = self._ends.worker.call
            pings = tuple(wanted.injected)
            self._pending[uplink] = call(control.control, uplink, pings, beyond, _ANSWER_S)

    @cached_property
    def found(self) -> dict[str, ControlSeen]:
        """What came of it, by uplink; at most a few seconds after `start`."""
        return {uplink: call.result() for uplink, call in self._pending.items()}

    def injected(self, key: "NicId", address: "Address | None", enough: Enough) -> Injected | None:
        """Return what was put in for an end; None when no frame could be."""
        return self._injected.get((key, address, enough)) if address else None

    def own_address(self, pair: Pair, address: "Address") -> "Address | None":
        """Return the source's own address of the version that it asks with; None of no guest."""
        if pair.source_key not in self._ends.nics:
            return None
        known = self._readiness.addresses(pair.source_key)
        return next((a for a in known if a.version == address.version), None)

    def allowed_mac(self, key: "NicId") -> str | None:
        """Return a MAC that a guest's mode lets in: "" is the uplink's, None that there is none."""
        settings = settings_of(self._plan, self._plan.nic(key))
        if settings.mode is not Mode.SOURCE:
            return ""
        host = host_mac(self._plan, self._plan.network_of(key), self._ends.facts)
        macs = source_macs(settings.allow, self._ends.nics, host)
        return next((mac for mac in macs if mac), None)

    def _put_in(self, key: "NicId", address: "Address", enough: Enough) -> Injected | None:
        known = self._injected.get((key, address, enough))
        mac = self.allowed_mac(key)
        if known or mac is None:
            return known
        stranger = self.stranger(key, address)
        links = tuple(nic.link for k, nic in self._ends.started.items() if k.vm == key.vm)
        own = self._ends.nics[key].mac
        one = Injected(address, own, mac, stranger, links, enough)
        self._injected[key, address, enough] = one
        return one

    def _put_in_for_host(self, pair: Pair, address: "Address", enough: Enough) -> Injected | None:
        """Return the ping for the host's own stack on the uplink; None where none can reach it.

        A guest in mode passthru takes all that comes in.
        """
        network, uplink = self._plan.network(pair.network), self._uplink(pair)
        guest = settings_of(self._plan, self._plan.nic(pair.source_key))
        if host_device(self._plan, network) != uplink or guest.mode.takes_uplink_mac:
            return None
        known = self._injected.get((pair.target_key, address, enough))
        if known:
            return known
        mac = host_mac(self._plan, network, self._ends.facts)
        stranger = self._drawn(address, network.subnet)
        one = Injected(address, mac, "", stranger, (uplink,), enough)
        self._injected[pair.target_key, address, enough] = one
        return one

    def stranger(self, key: "NicId", address: "Address") -> "Address":
        """Choose an address beside that of a guest which nobody has, another one each time."""
        return self._drawn(address, self._subnets(key))

    def _drawn(self, address: "Address", subnets: "Iterable[Subnet]") -> "Address":
        """Choose an address that an end has a way to, that nobody has, and once only."""
        if isinstance(address, IPv6Address):
            mac = bytes([2, *secrets.token_bytes(5)]).hex(":")
            return frames.link_local(mac)
        near = next((x for x in subnets if address in x), None)
        subnet = near or ip_network(f"{address}/24", strict=False)
        first, last = int(subnet.network_address) + 1, int(subnet.broadcast_address) - 1
        free: Address = address
        for _ in range(64):
            free = IPv4Address(first + secrets.randbelow(max(1, last - first + 1)))
            if free not in self._used and free not in self._strangers:
                break
        self._strangers.add(free)
        return free

    @cached_property
    def _used(self) -> "set[Address]":
        """The addresses that the plan or this host knows somebody to have."""
        used = {a for key in self._ends.nics for a in self._readiness.addresses(key)}
        used |= {one.ip for link in self._ends.facts.links for one in link.addresses}
        for network in self._plan.networks:
            used |= {*gateways_of(network), *network.switch_addresses}
        for machine in self._plan.hosts.values():
            used |= set(machine.addresses)
        return used

    def _subnets(self, key: "NicId") -> "Iterable[Subnet]":
        nic = self._ends.nics[key]
        return (*(one.network for one in nic.addresses), *self._plan.network_of(key).subnet)

    def _uplink(self, pair: Pair) -> str:
        return uplink_of(self._plan.name, self._plan.network(pair.network))
