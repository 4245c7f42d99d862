"""The rules of a strict guard: what a guest may send, and nothing else.

ARP, IPv4 and IPv6 in plain Ethernet (and the EtherTypes that the plan opens), of the guest's own
addresses. What only routers, queriers and DHCP servers say is dropped, and so are the extension
headers of IPv6 behind which it could be hidden from these rules: a message is read as its receiver
reads it, or not at all.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING, Final

from provisioner.network.frames import link_local
from provisioner.network.spoofing.wire import has_unknown_lease

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from provisioner.network.addressing import NicConfig
    from provisioner.network.spoofing.wire import KnownWire

PROBE_MARK: Final = 0x766D6E74
"""The mark (SO_MARK) of frames that vmnet itself sends in a guest's place: its who-has in a check
names no sender, so that nobody stores it. What comes out of a tap has no mark."""

_NOBODY: Final = str(IPv4Address(0))
_TARGET: Final = "@th,64"
"""Where the target of a neighbour message begins (RFC 4861, 4.3 and 4.4), in bits; nft has a
keyword for it only since 1.0.8."""
_TARGET_END: Final = "@th,128,64"
_SOURCE_END: Final = "@nh,128,64"
"""The interface identifiers of a target and of an IPv6 source: the last 64 bits."""

_CLIENT: Final = "@th,288,48"
"""chaddr of a DHCP message (RFC 2131, 2), behind UDP's header: by it servers know a client."""

_CLAIMS: Final = ("icmpv6 type nd-neighbor-advert", "ip6 saddr :: icmpv6 type nd-neighbor-solicit")
"""Who answers for an address; and who claims it as new, which keeps others from getting it
(RFC 4862, 5.4.3)."""


def rules(config: NicConfig, wire: KnownWire) -> Iterator[str]:
    """Return the rules for a NIC, each of which drops; what meets none may pass."""
    types = ", ".join(dict.fromkeys(["ip", "arp", "ip6", *wire.ether_types]))
    yield f"ether type != {{ {types} }} counter drop"
    # Once each, in order: nft refuses a set whose members overlap.
    own = dict.fromkeys(address.ip for address in config.addresses)
    yield from _arp(config)
    if has_unknown_lease(config):
        yield from _all_but(wire)
    else:
        yield from _only([str(one) for one in own if isinstance(one, IPv4Address)])
    yield from _services(config)
    yield from _extension_headers()
    six = [one for one in own if isinstance(one, IPv6Address) and not one.is_link_local]
    yield from _ipv6(config, wire, six)


def _arp(config: NicConfig) -> Iterator[str]:
    yield "arp htype != 1 counter drop"
    yield "arp ptype != 0x0800 counter drop"
    yield "arp hlen != 6 counter drop"
    yield "arp plen != 4 counter drop"
    yield "arp operation != { request, reply } counter drop"
    yield f"arp saddr ether != {config.mac} counter drop"


def _only(own: list[str]) -> Iterator[str]:
    """Return the rules of IPv4 and ARP for a guest whose addresses are known."""
    yield f"arp saddr ip != {_any_of([_NOBODY, *own])} counter drop"
    # Who probes for an address of others keeps them from getting it (RFC 5227, 2.1.1).
    probed = f" arp daddr ip != {_any_of(own)}" if own else ""
    yield f"meta mark != {PROBE_MARK:#x} arp saddr ip {_NOBODY}{probed} counter drop"
    yield f"ip saddr != {_any_of([_NOBODY, *own])} counter drop"


def _all_but(wire: KnownWire) -> Iterator[str]:
    """Return the same for one whose lease nobody knows: it is nobody that the plan knows."""
    known = [str(one) for one in wire.others if isinstance(one, IPv4Address)]
    never = _any_of([*known, "127.0.0.0/8", "224.0.0.0/3"])
    yield f"arp saddr ip {never} counter drop"
    if known:
        probe = f"meta mark != {PROBE_MARK:#x} arp saddr ip {_NOBODY}"
        yield f"{probe} arp daddr ip {_any_of(known)} counter drop"
    yield f"ip saddr {never} counter drop"


def _services(config: NicConfig) -> Iterator[str]:
    """Return what no guest says: DHCP for others, and whatever comes from routers and queriers."""
    yield f"ip saddr {_NOBODY} udp dport != 67 counter drop"
    yield f"ip saddr {_NOBODY} meta l4proto != {{ udp, igmp }} counter drop"
    yield "udp sport { 67, 547 } counter drop"
    yield "ip frag-off & 0x3fff != 0x0 udp dport 67 counter drop"
    yield f"udp dport 67 {_CLIENT} != 0x{config.mac.packed.hex()} counter drop"
    yield "icmp type { redirect, router-advertisement } counter drop"
    reports = "membership-report-v1, membership-report-v2, membership-report-v3, leave-group"
    yield f"igmp type != {{ {reports} }} counter drop"
    yield "meta l4proto 112 counter drop"  # VRRP, CARP
    # MLD queries, router advertisements, redirects, renumbering, multicast routers (RFC 4286).
    yield "icmpv6 type { 130, 134, 137, 138, 151 } counter drop"


def _extension_headers() -> Iterator[str]:
    """Return the rules that leave no header between IPv6 and what these rules read.

    Left are hop-by-hop options before ICMPv6, which MLD needs, and fragments that begin with what
    they carry; of these no neighbour or router message (RFC 6980), whose target may be in the rest.
    """
    # Routing, AH, destination options, mobility, HIP, Shim6, and what is for experiments.
    yield "ip6 nexthdr { 43, 51, 60, 135, 139, 140, 253, 254 } counter drop"
    yield "hbh nexthdr != 58 counter drop"
    yield "frag nexthdr { 0, 43, 44, 51, 60, 135, 139, 140, 253, 254 } counter drop"
    yield "exthdr frag exists icmpv6 type 130-255 counter drop"


def _ipv6(config: NicConfig, wire: KnownWire, six: list[IPv6Address]) -> Iterator[str]:
    # Only duplicate address detection, MLD and the search for a router have this source.
    yield "ip6 saddr :: meta l4proto != ipv6-icmp counter drop"
    yield "ip6 saddr :: icmpv6 type != { 131, 132, 133, 135, 143 } counter drop"
    known = [one for one in wire.others if isinstance(one, IPv6Address)]
    own = link_local(config.mac)
    if config.ra and wire.eui64 and wire.advertised:
        end = f"{int(own) & (1 << 64) - 1:#018x}"
        yield f"ip6 saddr != {_any_of(['::', *map(str, six)])} {_SOURCE_END} != {end} counter drop"
        among = f"{_TARGET},128 != {_numbers(six)} " if six else ""
        yield from (f"{x} {among}{_TARGET_END} != {end} counter drop" for x in _CLAIMS)
    elif config.ra:
        yield f"ip6 saddr {_any_of(['::1', *map(str, known), 'ff00::/8'])} counter drop"
        yield from _no_claims(known)
        if wire.eui64:
            yield f"ip6 saddr fe80::/10 ip6 saddr != {own} counter drop"
            foreign = f"{_TARGET},10 0x3fa {_TARGET},128 != {int(own):#034x}"
            yield from (f"{x} {foreign} counter drop" for x in _CLAIMS)
    elif wire.eui64:
        yield f"ip6 saddr != {_any_of(['::', str(own), *map(str, six)])} counter drop"
        claimed = _numbers([own, *six])
        yield from (f"{x} {_TARGET},128 != {claimed} counter drop" for x in _CLAIMS)
    else:
        yield f"ip6 saddr != {_any_of(['::', 'fe80::/10', *map(str, six)])} counter drop"
        local = [one for one in known if one.is_link_local]
        if local:
            yield f"ip6 saddr {_any_of(map(str, local))} counter drop"
        among = f" {_TARGET},128 != {_numbers(six)}" if six else ""
        yield from (f"{x} {_TARGET},10 != 0x3fa{among} counter drop" for x in _CLAIMS)
        yield from _no_claims(local)


def _no_claims(known: list[IPv6Address]) -> Iterator[str]:
    if known:
        yield from (f"{x} {_TARGET},128 {_numbers(known)} counter drop" for x in _CLAIMS)


def _numbers(addresses: Iterable[IPv6Address]) -> str:
    return _any_of(f"{int(one):#034x}" for one in addresses)


def _any_of(members: Iterable[str]) -> str:
    return "{ " + ", ".join(members) + " }"
