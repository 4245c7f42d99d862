"""Addresses, routes and neighbours of this network namespace, read and written.

Names are those of linux/if_addr.h and linux/rtnetlink.h.
"""

import errno
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import replace
from ipaddress import IPv6Interface, IPv6Network, ip_address, ip_interface, ip_network
from socket import AF_INET, AF_INET6, if_indextoname
from typing import Any, Final

from provisioner.check.evidence import NOWHERE
from provisioner.dataclass import dataclass
from provisioner.host.netlink.message import Attribute, Message
from provisioner.host.netlink.rtnetlink import ask, dump
from provisioner.plan.ip import Address, Interface, Subnet

_IFA_F_SECONDARY, _IFA_F_NODAD, _IFA_F_PERMANENT = 0x1, 0x2, 0x80
_RTPROT_KERNEL, _RTPROT_STATIC, _RTPROT_RA, _RTN_UNICAST = 2, 4, 9, 1
_RTN_NOWHERE: Final = frozenset({6, 7, 8})  # blackhole, unreachable, prohibit
_RT_SCOPE_UNIVERSE, _RT_SCOPE_LINK, _RT_SCOPE_NOWHERE, _RT_TABLE_MAIN = 0, 253, 255, 254
_FAMILIES: Final = {4: AF_INET, 6: AF_INET6}
_EVERY_FAMILY: Final[Mapping[str, int]] = {"family": 0}
_IPV6_IS_OFF: Final = (
    "IPv6 is switched off here: sysctl net.ipv6.conf.all.disable_ipv6=0"
    " net.ipv6.conf.default.disable_ipv6=0, or give the host no IPv6 address in this network"
)
_FIXES: Final = dict.fromkeys((errno.EACCES, errno.EAFNOSUPPORT), _IPV6_IS_OFF)


@dataclass(frozen=True, slots=True)
class HostAddress:
    """An address of a device."""

    index: int
    address: Interface
    secondary: bool  # the kernel removes it together with its primary
    permanent: bool  # not learned from a router


@dataclass(frozen=True, slots=True)
class HostRoute:
    """A route of the main table out of a device."""

    index: int
    network: Subnet  # a default route is 0.0.0.0/0 or ::/0
    source: Address | None  # the address that the host sends from; None leaves it to the kernel
    gateway: str  # "" for none
    protocol: int  # who has set it: RTPROT_…
    is_plain: bool  # unicast, with one next hop

    @property
    def is_kernels(self) -> bool:
        """Whether the kernel has made it for an address of the device."""
        return self.protocol == _RTPROT_KERNEL

    def is_learned(self, own: Iterable[Interface]) -> bool:
        """Return whether it comes from a router advertisement, on one of vmnet's devices.

        `own` are the permanent addresses of the device. The kernel sets routes of its own for the
        prefixes that a router advertises, without any mark that rtnetlink shows (Linux 6.18).
        """
        to = self.network
        if to.version == 4 or self.protocol not in {_RTPROT_KERNEL, _RTPROT_RA}:  # noqa: PLR2004
            return False
        usual = to.is_link_local or to.is_multicast or to in {x.network for x in own}
        return self.protocol == _RTPROT_RA or not usual


def addresses(*indexes: int) -> list[HostAddress]:
    """Read the addresses of some devices, or of all; link-local ones of IPv6 are left out."""
    found = dump(Message("RTM_GETADDR", _EVERY_FAMILY), _host_address)
    return [x for x in found if x and (not indexes or x.index in indexes)]


def routes() -> list[HostRoute]:
    """Read the routes of the main table, each once for each of its next hops."""
    found = dump(Message("RTM_GETROUTE", _EVERY_FAMILY), _host_routes)
    return [route for several in found for route in several]


def way_to(address: Address) -> str:
    """Return the device by which the kernel would send to an address, NOWHERE when by none."""
    fields = {"family": _FAMILIES[address.version], "dst_len": address.max_prefixlen}
    (found,) = ask([Message("RTM_GETROUTE", fields, (("RTA_DST", str(address)),))])
    index = found.get_attr("RTA_OIF") if found else None
    return if_indextoname(index) if index and found["type"] not in _RTN_NOWHERE else NOWHERE


def neighbours() -> dict[str, str]:
    """Return the MACs of the host's neighbours, "" where one is not known, by address."""
    return dict(
        dump(
            Message("RTM_GETNEIGH", _EVERY_FAMILY),
            lambda x: (x.get_attr("NDA_DST") or "", x.get_attr("NDA_LLADDR") or ""),
        )
    )


def add_addresses(index: int, wanted: Iterable[Interface]) -> Iterator[Message]:
    """Return requests for addresses of a device; those that it has already stay as they are.

    All are asked for, since the kernel has removed the other addresses of a subnet with the first
    one of it (promote_secondaries is off by default). Duplicate address detection would take a
    second, in which an address does not answer; who calls knows that nobody else has it.
    """
    for address in wanted:
        flags = _IFA_F_NODAD if isinstance(address, IPv6Interface) else 0
        message = _address("RTM_NEWADDR", index, address, flags)
        yield replace(message, fixes=_FIXES, ignored=frozenset({errno.EEXIST}))


def remove_addresses(
    have: Iterable[HostAddress], index: int, wanted: Container[Interface]
) -> Iterator[Message]:
    """Return requests to remove all addresses but the `wanted` ones on the device `index`.

    Secondary ones first: else their primary takes them along.
    """
    wrong = [x for x in have if x.index != index or x.address not in wanted]
    for x in sorted(wrong, key=lambda x: not x.secondary):
        yield _address("RTM_DELADDR", x.index, x.address)


def add_route(index: int, to: Subnet, source: Address | None, fixes: Mapping[int, str]) -> Message:
    """Return the request for a route straight out of a device; there must be none to `to` yet."""
    scope = _RT_SCOPE_UNIVERSE if isinstance(to, IPv6Network) else _RT_SCOPE_LINK
    fields = {"proto": _RTPROT_STATIC, "scope": scope, "type": _RTN_UNICAST}
    prefsrc = [("RTA_PREFSRC", str(source))] if source else []
    return replace(_route("RTM_NEWROUTE", index, to, fields, *prefsrc), fixes=fixes)


def remove_route(index: int, to: Subnet) -> Message:
    """Return the request to remove a route straight out of a device, whoever has set it."""
    return _route("RTM_DELROUTE", index, to, {"scope": _RT_SCOPE_NOWHERE})


def remove_learned(index: int, own: Iterable[Interface]) -> Iterator[Message]:
    """Return requests to remove the routes that routers have advertised on a device.

    `own` are the addresses that the device keeps.
    """
    own = tuple(own)
    for x in routes():
        if x.index == index and x.is_plain and x.is_learned(own):
            gone = frozenset({errno.ESRCH})  # with the address that it was made for
            yield replace(remove_route(index, x.network), ignored=gone)


def _host_address(message: Any) -> HostAddress | None:
    if message["family"] not in {AF_INET, AF_INET6}:
        return None
    text = message.get_attr("IFA_LOCAL") or message.get_attr("IFA_ADDRESS")
    address = ip_interface(f"{text}/{message['prefixlen']}")
    ipv6, flags = message["family"] == AF_INET6, message["flags"]
    if ipv6 and address.is_link_local:
        return None
    return HostAddress(
        index=message["index"],
        address=address,
        secondary=bool(flags & _IFA_F_SECONDARY) and not ipv6,
        permanent=bool(flags & _IFA_F_PERMANENT),
    )


def _host_routes(message: Any) -> list[HostRoute]:
    if message["table"] != _RT_TABLE_MAIN:
        return []
    anywhere = "::" if message["family"] == AF_INET6 else "0.0.0.0"  # noqa: S104
    to = f"{message.get_attr('RTA_DST') or anywhere}/{message['dst_len']}"
    source = message.get_attr("RTA_PREFSRC")
    hops = [(hop["oif"], hop) for hop in message.get_attr("RTA_MULTIPATH") or ()]
    return [
        HostRoute(
            index=index,
            network=ip_network(to, strict=False),
            source=ip_address(source) if source else None,
            gateway=hop.get_attr("RTA_GATEWAY") or "",
            protocol=message["proto"],
            is_plain=message["type"] == _RTN_UNICAST and not hops,
        )
        for index, hop in hops or [(message.get_attr("RTA_OIF") or 0, message)]
    ]


def _address(kind: str, index: int, address: Interface, flags: int = 0) -> Message:
    family, length = _FAMILIES[address.version], address.network.prefixlen
    fields = {"family": family, "prefixlen": length, "flags": flags, "index": index}
    both = ("IFA_LOCAL", str(address.ip)), ("IFA_ADDRESS", str(address.ip))
    return Message(kind, fields, both, create=kind == "RTM_NEWADDR")


def _route(kind: str, index: int, to: Subnet, fields: dict[str, int], *more: Attribute) -> Message:
    fields |= {"family": _FAMILIES[to.version], "dst_len": to.prefixlen, "table": _RT_TABLE_MAIN}
    attributes = ("RTA_DST", str(to.network_address)), ("RTA_OIF", index), *more
    return Message(kind, fields, attributes, create=kind == "RTM_NEWROUTE")
