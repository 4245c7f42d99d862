"""The configuration of the dnsmasq that serves one switch: addresses, names, advertisements.

Nothing but checked words gets into it: dnsmasq's file knows quotes, comments and a directive that
runs a program.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Network, ip_address, ip_interface, ip_network
from typing import TYPE_CHECKING, Final

from provisioner import naming
from provisioner.network.resources import Dhcp
from provisioner.plan import pools
from provisioner.plan.ip import is_address
from provisioner.plan.mac import Mac, is_mac

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from provisioner.network.addressing import NicConfig
    from provisioner.plan.model import Network, Plan

_LEASE: Final = "12h"
_MOST_LEASES: Final = 100_000
_ADVERTISED_EVERY: Final = 60
"""Seconds between router advertisements; a guest that asks gets one at once."""

_RA_PREFIX: Final = 64  # dnsmasq advertises no other length; SLAAC has no other (RFC 4862, 5.5.3)
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_NETWORK = re.compile(r"[a-z0-9][a-z0-9_-]*")
_DEVICE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,14}")
_FILE = re.compile(r"(?P<network>[a-z0-9][a-z0-9_-]*)-(?P<digest>[0-9a-f]{10})\.conf")


@dataclass(frozen=True, slots=True)
class Wire:
    """The network that is served, and the host on it."""

    plan: str  # the domain of the names, too
    network: str
    device: str  # of the host, where the guests are
    sides: tuple[str, ...]  # the host's addresses there, ADDRESS/PREFIX
    nat: bool = False  # the host is the router, and asks its own resolvers for foreign names
    dns: tuple[str, ...] = ()  # the name servers that guests are told of; () means the host
    mtu: int | None = None  # bytes


@dataclass(frozen=True, slots=True)
class Range:
    """The IPv4 addresses of a subnet for those who have no entry; without ends there are none.

    In an IPv6 subnet, which has no ends, guests make their own addresses (SLAAC).
    """

    subnet: str
    first: str = ""
    last: str = ""


@dataclass(frozen=True, slots=True)
class Host:
    """One NIC of a VM: its MAC gets the IPv4 address, its name means all of them."""

    mac: str
    name: str
    addresses: tuple[str, ...]  # without prefixes


def config(wire: Wire, ranges: tuple[Range, ...], hosts: tuple[Host, ...], home: str) -> Dhcp:
    """Build the server of a network; its file in `home` is named after a digest of its content.

    Raises ValueError for text that is not the name, device, MAC or address it should be.
    """
    checked = _checked(_NETWORK, wire.network)
    lines = [*_of_wire(wire), *_of_ranges(wire, ranges), *_of_options(wire)]
    for host in sorted(hosts, key=lambda one: (one.name, one.mac)):
        lines += _of_host(wire.plan, host)
    text = "\n".join([*lines, ""])
    path = f"{home}/dhcp/{checked}-{naming.digest('dhcp', text)}.conf"
    return Dhcp(wire.network, wire.device, path, text)


def served(
    plan: Plan, network: Network, device: str, nics: Mapping[tuple[str, int], NicConfig], home: str
) -> Dhcp:
    """Build the server of a plan's switch, with an entry for each NIC whose address is known."""
    switch = network.switch
    wire = Wire(
        plan.name,
        network.name,
        device,
        tuple(str(one) for one in switch.host) if switch else (),
        nat=bool(switch and switch.nat),
        dns=tuple(str(one) for one in network.dns),
        mtu=network.mtu,
    )
    ends = {
        pool.subnet: tuple(str(ip_address(number)) for number in (pool.first, pool.last))
        for pool in pools.of(network)
    }
    ranges = tuple(
        Range(str(subnet), *ends.get(subnet, ()))
        if isinstance(subnet, IPv4Network)
        else Range(str(subnet))
        for subnet in network.subnet
        if isinstance(subnet, IPv4Network) or (network.slaac and subnet.prefixlen == _RA_PREFIX)
    )
    hosts = tuple(
        Host(nics[key].mac, key.vm, tuple(str(one.ip) for one in nics[key].addresses))
        for key, _ in plan.nics_on(network)
        if nics[key].addresses
    )
    return config(wire, ranges, hosts, home)


def network_of(file: str) -> str:
    """Give the network that a configuration's file name is about, "" when it is not one of ours."""
    found = _FILE.fullmatch(file)
    return found["network"] if found else ""


def device_of(text: str) -> str:
    """Give the device that a configuration is bound to, "" when it says none."""
    found = re.search(r"^interface=(\S+)$", text, re.MULTILINE)
    return found[1] if found else ""


def leased(text: str) -> dict[str, str]:
    """Read a lease file of dnsmasq: the IPv4 address that each MAC holds.

    A line is TIME MAC ADDRESS NAME CLIENT-ID; names and client-ids come from guests and are left
    out, and so is everything behind the line `duid`, which begins the leases of IPv6.
    """
    found = {}
    for line in text.splitlines():
        match line.split():
            case ["duid", *_]:
                break
            case [_, mac, address, *_] if is_mac(mac) and is_address(address):
                found[mac] = address
            case _:
                continue
    return found


def _of_wire(wire: Wire) -> Iterator[str]:
    plan = _checked(_LABEL, wire.plan)
    yield f"interface={_checked(_DEVICE, wire.device)}"
    yield "except-interface=lo"
    yield "bind-dynamic"  # only the addresses of that device, those that it gets later too
    yield "no-hosts"
    yield f"domain={plan}"
    yield f"local=/{plan}/"
    yield "domain-needed"
    yield "bogus-priv"
    if not wire.nat:
        yield "no-resolv"
    yield "dhcp-authoritative"
    yield "dhcp-ignore-names"  # a guest does not name itself after another one
    yield f"dhcp-lease-max={_MOST_LEASES}"
    yield "no-ping"
    yield from ("quiet-dhcp", "quiet-dhcp6", "quiet-ra")


def _of_ranges(wire: Wire, ranges: tuple[Range, ...]) -> Iterator[str]:
    advertised = False
    for one in ranges:
        subnet = ip_network(one.subnet)
        if isinstance(subnet, IPv4Network):
            ends = f"{subnet[0]},static"
            if one.first:
                ends = f"{ip_address(one.first)},{ip_address(one.last)}"
            yield f"dhcp-range={ends},{subnet.netmask},{_LEASE}"
        else:
            yield f"dhcp-range={subnet[0]},ra-stateless,ra-names,{subnet.prefixlen},{_LEASE}"
            advertised = True
    if advertised:
        router = "" if wire.nat else ",0"  # a router of lifetime 0 is not one (RFC 4861, 4.2)
        yield "enable-ra"
        yield f"ra-param={wire.device},{_ra_mtu(wire)}{_ADVERTISED_EVERY}{router}"


def _of_options(wire: Wire) -> Iterator[str]:
    four, six = _addresses(wire.dns or wire.sides)
    if not wire.nat:
        yield "dhcp-option=option:router"  # without a value: guests are told of none
    if wire.mtu is not None:
        yield f"dhcp-option=option:mtu,{wire.mtu:d}"
    if four:
        yield f"dhcp-option=option:dns-server,{','.join(four)}"
    if six:
        yield f"dhcp-option=option6:dns-server,{','.join(f'[{one}]' for one in six)}"


def _ra_mtu(wire: Wire) -> str:
    return f"mtu:{wire.mtu:d}," if wire.mtu is not None else ""


def _of_host(plan: str, host: Host) -> Iterator[str]:
    name = _checked(_LABEL, host.name)
    four, six = _addresses(host.addresses)
    for address in four[:1]:
        yield f"dhcp-host={Mac(host.mac)},{address},{name}"
    for address in (*four, *six):
        yield f"host-record={name},{name}.{plan},{address}"


def _addresses(texts: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """Sort addresses into IPv4 and IPv6, their prefixes taken off."""
    all_ = [ip_interface(text).ip for text in texts]
    return [str(a) for a in all_ if a.version == 4], [str(a) for a in all_ if a.version == 6]  # noqa: PLR2004


def _checked(form: re.Pattern[str], text: str) -> str:
    """Let only text of that form into the configuration."""
    if not form.fullmatch(text):
        raise ValueError(text)
    return text
