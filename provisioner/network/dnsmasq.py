"""The configuration of the dnsmasq that serves one switch: addresses, names, advertisements.

Nothing but checked words gets into it: dnsmasq's file knows quotes, comments and a directive that
runs a program.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address
from typing import TYPE_CHECKING, Final

from provisioner import naming
from provisioner.network.addressing import resolvers
from provisioner.network.nftables import DEVICE, checked
from provisioner.network.resources import Dhcp
from provisioner.pattern import pattern
from provisioner.plan import pools
from provisioner.plan.ip import ANY_DOMAIN, is_address, is_domain
from provisioner.plan.mac import is_mac

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from provisioner.network.addressing import NicConfig, Nics
    from provisioner.plan.ip import Address
    from provisioner.plan.model import Network, Plan

_LEASE: Final = "12h"
_MOST_LEASES: Final = 100_000
_ADVERTISED_EVERY: Final = 60
"""Seconds between router advertisements; a guest that asks gets one at once."""

_RA_PREFIX: Final = 64  # dnsmasq advertises no other length; SLAAC has no other (RFC 4862, 5.5.3)
_LABEL = pattern(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_UNREGISTERED: Final = (
    *("home.arpa", "internal", "local", "localdomain", "lan", "home", "corp", "private"),
    *("intranet", "localhost"),
)
"""Domains for private networks (RFC 8375, RFC 6762 appendix G, ICANN 2024): nobody can have a name
there that the world resolves, so none rebinds."""

_STOP_REBIND: Final = "stop-dns-rebind"
_OWN_DOMAINS: Final = 16  # of the host's, that are let through
_NETWORK = pattern(r"[a-z0-9][a-z0-9_-]*")
_FILE = pattern(r"(?P<network>[a-z0-9][a-z0-9_-]*)-(?P<digest>[0-9a-f]{10})\.conf")


def served(plan: Plan, network: Network, device: str, nics: Nics, home: str) -> Dhcp:
    """Return the server of a plan's switch, with an entry for each NIC whose address is known.

    `device` is the host's, where the guests are. The file in `home` is named after a digest of its
    content. Raises ValueError for text that is not the name or device it should be.
    """
    name = checked(_NETWORK, network.name)
    lines = [
        *_of_server(plan, network, device),
        *_of_ranges(network, device),
        *_of_options(network),
    ]
    guests = [(key.vm, nics[key]) for key, _ in plan.nics_on(network)]
    for vm, config in sorted(guests, key=lambda one: (one[0], one[1].mac)):
        lines += _of_guest(plan.name, vm, config)
    text = "\n".join([*lines, ""])
    path = f"{home}/dhcp/{name}-{naming.digest('dhcp', text)}.conf"
    return Dhcp(network.name, device, path, text)


def network_of(file: str) -> str:
    """Return the network that a configuration's file name is about, "" when it is not vmnet's."""
    found = _FILE.fullmatch(file)
    return found["network"] if found else ""


def own_domains(text: str, resolv_conf: str) -> list[str]:
    """Return the words that let the host's own domains through, where a configuration forwards.

    They are no part of it: a host that moves to another LAN needs no other plan. A domain without
    a dot would be a whole part of the world's.
    """
    if _STOP_REBIND not in text.splitlines():
        return []
    found: list[str] = []
    for line in resolv_conf.splitlines():
        match line.split():
            case ["search" | "domain", *names]:  # the last one counts (resolv.conf(5))
                found = [name.lower().removesuffix(".") for name in names]
            case _:
                continue
    own = [name for name in found if "." in name and is_domain(name)]
    return [f"--{_rebinding(own[:_OWN_DOMAINS])}"] if own else []


def device_of(text: str) -> str:
    """Return the device that a configuration is bound to, "" when it names none."""
    found = re.search(r"^interface=(\S+)$", text, re.MULTILINE)
    return found[1] if found else ""


def leased(text: str) -> dict[str, str]:
    """Parse a lease file of dnsmasq: return the IPv4 address that each MAC holds.

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


def _rebinding(names: Iterable[str]) -> str:
    every = tuple(names)
    if not all(map(is_domain, every)):
        raise ValueError(every)
    return f"rebind-domain-ok=/{'/'.join(every)}/"


def _of_server(plan: Plan, network: Network, device: str) -> Iterator[str]:
    domain = checked(_LABEL, plan.name)
    yield f"interface={checked(DEVICE, device)}"
    yield "except-interface=lo"
    yield "bind-dynamic"  # only the addresses of that device, those that it gets later too
    yield "no-hosts"
    yield f"domain={domain}"
    yield f"local=/{domain}/"
    yield "domain-needed"
    yield "bogus-priv"
    if _is_router(network):
        yield from _of_forwarding(network)
    else:
        yield "no-resolv"
    yield "dhcp-authoritative"
    yield "dhcp-ignore-names"  # a guest does not name itself after another one
    yield f"dhcp-lease-max={_MOST_LEASES}"
    yield "no-ping"
    yield from ("quiet-dhcp", "quiet-dhcp6", "quiet-ra")


def _of_forwarding(network: Network) -> Iterator[str]:
    """Keep names of strangers from leading guests to private addresses, the host's among them."""
    let = network.switch.rebind_domains if network.switch else ()
    if ANY_DOMAIN not in let:
        yield _STOP_REBIND
        yield _rebinding(dict.fromkeys((*_UNREGISTERED, *let)))


def _of_ranges(network: Network, device: str) -> Iterator[str]:
    """Return the IPv4 addresses for guests without an entry, and the IPv6 prefixes of SLAAC."""
    pool_of = {pool.subnet: pool for pool in pools.of(network)}
    advertised = False
    for subnet in network.subnet:
        if isinstance(subnet, IPv4Network):
            pool, ends = pool_of.get(subnet), f"{subnet[0]},static"
            if pool:
                ends = f"{IPv4Address(pool.first)},{IPv4Address(pool.last)}"
            yield f"dhcp-range={ends},{subnet.netmask},{_LEASE}"
        elif network.slaac and subnet.prefixlen == _RA_PREFIX:
            yield f"dhcp-range={subnet[0]},ra-stateless,ra-names,{subnet.prefixlen},{_LEASE}"
            advertised = True
    if advertised:
        mtu = "" if network.mtu is None else f"mtu:{network.mtu},"
        # A router of lifetime 0 is not one (RFC 4861, 4.2).
        lifetime = "" if _is_router(network) else ",0"
        yield "enable-ra"
        yield f"ra-param={device},{mtu}{_ADVERTISED_EVERY}{lifetime}"


def _of_options(network: Network) -> Iterator[str]:
    # Without a value guests get none; without the line, dnsmasq would name itself.
    four, six = _by_version(resolvers(network))
    if network.gateway or not _is_router(network):
        routers, _ = _by_version(network.gateway)
        yield f"dhcp-option=option:router{''.join(f',{one}' for one in routers)}"
    if network.mtu is not None:
        yield f"dhcp-option=option:mtu,{network.mtu}"
    if four or not six:
        yield f"dhcp-option=option:dns-server{''.join(f',{one}' for one in four)}"
    if six or not four:
        yield f"dhcp-option=option6:dns-server{''.join(f',[{one}]' for one in six)}"


def _of_guest(plan: str, vm: str, config: NicConfig) -> Iterator[str]:
    """Return the lease of the NIC's MAC, and the names of all its addresses."""
    name = checked(_LABEL, vm)
    four, six = _by_version(one.ip for one in config.addresses)
    for address in four[:1]:
        yield f"dhcp-host={config.mac},{address},{name}"
    for address in (*four, *six):
        yield f"host-record={name},{name}.{plan},{address}"


def _is_router(network: Network) -> bool:
    """Return whether the host is the guests' router, and asks its own resolvers for them."""
    return network.does_nat


def _by_version(addresses: Iterable[Address]) -> tuple[list[str], list[str]]:
    every = tuple(addresses)
    four, six = ([x for x in every if isinstance(x, kind)] for kind in (IPv4Address, IPv6Address))
    return list(map(str, four)), list(map(str, six))
