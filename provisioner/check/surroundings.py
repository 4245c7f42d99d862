"""What is wrong around the cells, judged from what was seen there, whatever was measured.

A table of green cells says nothing of a wire that may fail at any moment, or that others are on.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import field, replace
from ipaddress import IPv6Network
from typing import TYPE_CHECKING, Final

from provisioner.check.diagnosis import endpoint
from provisioner.check.diagnosis.path import uplink_state
from provisioner.check.evidence import Endpoint, Uplink
from provisioner.check.result import Finding, Result
from provisioner.dataclass import dataclass
from provisioner.network.overheard import Overheard, Router

if TYPE_CHECKING:
    from provisioner.plan.ip import Address, Subnet

_GLBP: Final = "00:07:b4:"
"""MACs of Cisco's GLBP: several of them are one router, which shares its load out so."""

_LEAST_PROBES: Final = 2  # one address may be a machine's that nobody knows
_IPV6: Final = 6
GATEWAY: Final = "the gateway"
_BY_WHOM: Final = "answered, but by whom?"
_TAKE: Final = "find that machine and take the address from it"


def of_links(
    uplinks: Iterable[Uplink], ends: Iterable[Endpoint], told: Iterable[Finding]
) -> Iterator[Finding]:
    """Return what is wrong with uplinks, and with the macvtaps of running guests.

    A macvtap that one of the findings in `told` is about already is not told of again.
    """
    for up in uplinks:
        if found := uplink_state(up):
            state = f"{'up' if up.up else 'down'}, {'carrier' if up.carrier else 'no carrier'}"
            yield _with(found, f"uplink {up.name}: {state if up.exists else 'not there'}")
    named = " ".join(finding.what for finding in told)
    for end in ends:
        state = f"mode {end.mode}, {'up' if end.up else 'down'}" if end.exists else "not there"
        found = endpoint.standing(end)
        if found and f"macvtap {end.link}" not in named:
            yield _with(found, f"macvtap of {end.vm}: {end.link}, {state}")
        if found := endpoint.impaired(end):
            yield _with(found, f"{end.link}: {end.impaired}")


def _with(finding: Finding, seen: str) -> Finding:
    return replace(finding, evidence=(*finding.evidence, seen))


@dataclass(frozen=True, slots=True)
class AddressOwner:
    """Whose an address is: a guest, this host, the gateway, a machine; its MACs, where known."""

    name: str
    macs: frozenset[str] = frozenset()
    vm: str = ""  # of a guest


@dataclass(frozen=True, slots=True)
class WireHeard:
    """What was heard on one uplink, and what the plan knows of those that are on it.

    Nobody has the addresses in `unused`, as far as anybody knows. `routers` are the MACs that may
    advertise themselves, empty where the plan does not say; `listens` is whether any guest takes
    addresses and routes of routers. `serves` is whether vmnet's own DHCP server is there.
    """

    uplink: str
    heard: Overheard
    stations: "Mapping[Address, AddressOwner]" = field(default_factory=dict)
    unused: "Collection[Address]" = ()
    guests: Mapping[str, str] = field(default_factory=dict)  # MAC to VM
    subnets: "tuple[Subnet, ...]" = ()
    routers: frozenset[str] = frozenset()
    listens: bool = False
    serves: frozenset[str] = (
        frozenset()
    )  # MACs of vmnet's own DHCP server, where it is the only one

    def answered(self, address: "Address") -> tuple[str, ...]:
        """Return the MACs that answered for an address, in order."""
        return tuple(dict.fromkeys(a.mac for a in self.heard.answers if a.address == address))

    def named(self, mac: str) -> str:
        """Return a MAC, with the guest that has it."""
        return f"{mac} ({self.guests[mac]})" if mac in self.guests else mac


def of_wire(seen: WireHeard) -> Iterator[Finding]:
    """Return who is on a wire and should not be, or not as who they say they are."""
    proxies = frozenset(_proxies(seen))
    yield from _proxied(seen, proxies)
    for address, station in seen.stations.items():
        yield from _twice(seen, address, station, proxies)
    yield from _strays(seen)
    yield from _offers(seen)
    yield from _routers(seen)


def notes(seen: WireHeard) -> Iterator[str]:
    """Return what is only worth knowing: who answers for everybody, and for no guest's address."""
    for mac in _proxies(seen):
        if not _taken(seen, mac):
            yield (
                f"{seen.named(mac)} behind {seen.uplink} answers for addresses that nobody has "
                "(proxy ARP)"
            )


def _proxies(seen: WireHeard) -> Iterator[str]:
    """Return the MACs that answer for each address that nobody has."""
    for version in (4, 6):
        unused = [a for a in seen.unused if a.version == version]
        if len(unused) >= _LEAST_PROBES:
            yield from sorted(
                frozenset.intersection(*(frozenset(seen.answered(a)) for a in unused))
            )


def _taken(seen: WireHeard, mac: str) -> "list[Address]":
    """Return the addresses of others that a MAC answers for."""
    return [
        address
        for address, station in seen.stations.items()
        if station.macs and mac not in station.macs and mac in seen.answered(address)
    ]


def _proxied(seen: WireHeard, proxies: Iterable[str]) -> Iterator[Finding]:
    for mac in proxies:
        taken = _taken(seen, mac)
        if not taken:
            continue
        whose = ", ".join(f"{a} of {seen.stations[a].name}" for a in taken)
        unused = [a for a in seen.unused if mac in seen.answered(a)]
        yield Finding(
            f"{seen.named(mac)} answers for addresses that are not its own (proxy ARP): {whose}",
            "switch it off at that machine: sysctl -w net.ipv4.conf.all.proxy_arp=0",
            tuple(_who_has(seen, address) for address in (*taken, *unused)),
            seen.stations[taken[0]].vm or seen.uplink,
            tuple(taken),
        )


def _twice(
    seen: WireHeard, address: "Address", station: AddressOwner, proxies: Collection[str]
) -> Iterator[Finding]:
    """Blame a second machine with an address; the right one need not have answered."""
    macs = [mac for mac in seen.answered(address) if mac not in proxies]
    others = [mac for mac in macs if mac not in station.macs]
    one_router = all(mac.startswith(_GLBP) for mac in macs)
    if not others or one_router or (not station.macs and len(macs) == 1):
        return
    too = f"{', '.join(map(seen.named, others))} answers for it too"
    both = f"{' and '.join(map(seen.named, macs))} answer for it"
    own = f"; {station.name} is {', '.join(sorted(station.macs))}" if station.vm else ""
    other = f"give {station.vm} another address, or {_TAKE}" if station.vm else _TAKE
    yield Finding(
        f"{address} of {station.name} is used twice: {too if station.macs else both}",
        other,
        (f"{_who_has(seen, address)}{own}",),
        station.vm or seen.uplink,
        (address,),
    )


def _who_has(seen: WireHeard, address: "Address") -> str:
    return f"asked who has {address}: {', '.join(seen.answered(address)) or 'nobody'} answered"


def _strays(seen: WireHeard) -> Iterator[Finding]:
    frames: dict[str, list[str]] = {}
    for mac, frame in seen.heard.strays:
        frames.setdefault(mac, []).append(frame)
    for mac, what in frames.items():
        vm = seen.guests.get(mac, "")
        yield Finding(
            f"the MAC {mac} of {vm} is used elsewhere too: frames from it come in by {seen.uplink}",
            "find that machine (the same plan on another host has the same MACs), or give the NIC "
            f"of {vm} another one in the plan",
            tuple(f"came in by {seen.uplink} from {mac}: {each}" for each in what),
            vm,
        )


def _offers(seen: WireHeard) -> Iterator[Finding]:
    """Blame DHCP servers besides vmnet's own, where the plan has that one."""
    for found in {offer.mac: offer for offer in seen.heard.offers}.values():
        if seen.serves and found.mac not in seen.serves:
            nothing = found.address.is_unspecified
            what = "refused a request" if nothing else f"offered {found.address}"
            yield Finding(
                f"another DHCP server is on {seen.uplink}: {seen.named(found.mac)}",
                _stop(seen, found.mac),
                (f"DHCP server {found.server} at {found.mac} {what}",),
                seen.guests.get(found.mac, seen.uplink),
            )


def _routers(seen: WireHeard) -> Iterator[Finding]:
    """Blame routers that guests listen to, and that are not the plan's or have other prefixes."""
    gateways = {a for a, station in seen.stations.items() if station.name == GATEWAY}
    right = seen.routers or {m for a in gateways if a.version == _IPV6 for m in seen.answered(a)}
    for router in seen.heard.routers if seen.listens else ():
        if router.mac in right or router.address in gateways:
            continue
        if right and (router.is_default or router.prefixes):
            yield _router(seen, router, "another router")
        elif not right and router.prefixes and not _fits(seen, router):
            yield _router(seen, router, "a router with prefixes outside the plan's subnets")


def _fits(seen: WireHeard, router: Router) -> bool:
    """Return whether one of a router's prefixes is the plan's; so is each where it names none."""
    known = [subnet for subnet in seen.subnets if isinstance(subnet, IPv6Network)]
    return not known or any(p.overlaps(subnet) for p in router.prefixes for subnet in known)


def _router(seen: WireHeard, router: Router, what: str) -> Finding:
    prefixes = ", ".join(map(str, router.prefixes)) or "no prefix"
    return Finding(
        f"{what} advertises itself on {seen.uplink}: {seen.named(router.mac)} with {prefixes}",
        _stop(seen, router.mac),
        (f"router advertisement from {router.mac} ({router.address}): {prefixes}",),
        seen.guests.get(router.mac, seen.uplink),
    )


def _stop(seen: WireHeard, mac: str) -> str:
    vm = seen.guests.get(mac)
    if vm:
        return f"stop it inside {vm}, or write spoof_guard: strict at its NIC, which drops that"
    return "find that machine, and stop it there"


def of_addresses(reported: "Iterable[Reported]", told: Iterable[Finding]) -> Iterator[Finding]:
    """Return the addresses that guests report to have and should not: alien ones, and others'.

    An address that one of the findings in `told` is about already is not told of again.
    """
    every = tuple(reported)
    named = [finding.what for finding in told]
    for nic in every:
        for address in nic.addresses:
            seen = (f"{nic.vm} says its NIC {nic.number} has {address}",)
            others = (x for x in every if x.vm != nic.vm and x.uplink == nic.uplink)
            whose = next((x.vm for x in others if address in x.planned), "")
            look = f"look inside: vmnet exec {nic.vm} -- ip addr"
            if whose and not any(what.startswith(f"{address} of {whose} ") for what in named):
                yield Finding(
                    f"{address} of {whose} is used twice: {nic.vm} has it too",
                    f"take it away there; {look}",
                    seen,
                    nic.vm,
                    (address,),
                )
            elif nic.is_alien(address):
                yield _alien(nic, address)


def aliens(reported: "Iterable[Reported]") -> "dict[Address, Finding]":
    """Return the same findings for addresses outside their subnets alone, by address.

    They are the reason, too, where such an address is not reached, or reaches nobody.
    """
    return {a: _alien(nic, a) for nic in reported for a in nic.addresses if nic.is_alien(a)}


def _alien(nic: "Reported", address: "Address") -> Finding:
    subnets = ", ".join(str(s) for s in nic.subnets if s.version == address.version)
    return Finding(
        f"{nic.vm} has the address {address}, which is outside the plan's subnet {subnets}",
        "take it away there, or write that subnet at its network; look inside: vmnet exec "
        f"{nic.vm} -- ip addr",
        (f"{nic.vm} says its NIC {nic.number} has {address}",),
        nic.vm,
    )


def judged(
    results: Iterable[Result], disputed: "Mapping[tuple[str, Address | None], Finding]"
) -> list[Result]:
    """Return the results again: who has answered where two have one address is not known.

    `disputed` is by network and address.
    """
    return [
        replace(r, wrong=_BY_WHOM, finding=found)
        if r.reached and (found := disputed.get((r.pair.network, r.address)))
        else r
        for r in results
    ]


@dataclass(frozen=True, slots=True)
class Reported:
    """The addresses that a guest says one of its NICs has, and what the plan says of that NIC.

    With `listens` routers may give it IPv6 addresses of their own.
    """

    vm: str
    number: int
    uplink: str
    addresses: "tuple[Address, ...]"
    planned: "tuple[Address, ...]"
    subnets: "tuple[Subnet, ...]"
    listens: bool = False

    def is_alien(self, address: "Address") -> bool:
        """Return whether an address is outside of all subnets of its version, if there are some."""
        known = [subnet for subnet in self.subnets if subnet.version == address.version]
        given = self.listens and address.version == _IPV6
        inside = address in self.planned or any(address in subnet for subnet in known)
        return bool(known) and not given and not inside
