"""Messages about addresses and routes as the kernel's rtnetlink speaks them.

Numbers are those of linux/rtnetlink.h and linux/if_addr.h.
"""

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv6Interface, ip_address, ip_interface, ip_network
from typing import Final

from provisioner.host.netlink.link_codec import (
    CREATE,
    DUMP,
    EXCL,
    Message,
    attribute,
    attributes,
    number,
)

Interface = IPv4Interface | IPv6Interface

_NEWADDR, _DELADDR, _GETADDR = 20, 21, 22
_NEWROUTE, _DELROUTE, _GETROUTE = 24, 25, 26
_IFADDR: Final = struct.Struct("=BBBBI")  # family, prefix length, flags, scope, ifindex
_RTMSG: Final = struct.Struct("=BBBBBBBBI")
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_SECONDARY, _NODAD = 0x1, 0x2
_RTA_DST, _RTA_OIF, _RTA_PREFSRC = 1, 4, 7
_MAIN, _KERNEL, _STATIC, _RA, _UNICAST = 254, 2, 4, 9, 1
_UNIVERSE, _LINK, _NOWHERE = 0, 253, 255
_AF_INET, _AF_INET6 = 2, 10
_FAMILIES: Final = {4: _AF_INET, 6: _AF_INET6}


@dataclass(frozen=True, slots=True)
class Held:
    """An address that a device has; the kernel takes secondary ones away with their primary."""

    index: int
    address: str  # ADDRESS/PREFIX
    secondary: bool
    link_local: bool


@dataclass(frozen=True, slots=True)
class Path:
    """A unicast route of the main table out of a device."""

    index: int
    network: str  # ADDRESS/PREFIX; a default route is 0.0.0.0/0 or ::/0
    source: str  # the address that the host speaks from there; "" leaves it to the kernel
    protocol: int  # who has set it: RTPROT_…

    @property
    def is_kernels(self) -> bool:
        """Whether the kernel has made it for an address of the device."""
        return self.protocol == _KERNEL


def hold(index: int, address: Interface) -> Message:
    """Ask to give a device an address; without duplicate address detection, which takes a second.

    Meanwhile a tentative address would not answer; who calls knows that nobody else has it.
    """
    return _address(_NEWADDR, index, address, _NODAD if address.version == 6 else 0, CREATE | EXCL)  # noqa: PLR2004


def let_go(index: int, address: Interface) -> Message:
    """Ask to take an address away from a device."""
    return _address(_DELADDR, index, address, 0, 0)


def all_addresses() -> Message:
    """Ask for every address of the namespace."""
    return Message(_GETADDR, _IFADDR.pack(0, 0, 0, 0, 0), DUMP)


def held(body: bytes) -> Held:
    """Read what the kernel says of one address."""
    _, prefix, flags, _, index = _IFADDR.unpack_from(body)
    found = dict(attributes(body[_IFADDR.size :]))
    address = ip_address(found.get(_IFA_LOCAL) or found[_IFA_ADDRESS])
    secondary = bool(flags & _SECONDARY) and address.version == 4  # noqa: PLR2004
    local = address.version == 6 and address.is_link_local  # noqa: PLR2004
    return Held(index, f"{address}/{prefix}", secondary, local)


def lead(index: int, to: Interface, source: str) -> Message:
    """Ask for a route straight out of a device, to be refused when there is one already."""
    attrs = attribute(_RTA_PREFSRC, ip_address(source).packed) if source else b""
    scope = _LINK if to.version == 4 else _UNIVERSE  # noqa: PLR2004
    return _route(_NEWROUTE, index, to, scope, attrs)


def lead_no_more(index: int, to: Interface) -> Message:
    """Ask to take such a route away."""
    return _route(_DELROUTE, index, to, _NOWHERE, b"")


def all_routes() -> Message:
    """Ask for every route of the namespace."""
    return Message(_GETROUTE, _RTMSG.pack(0, 0, 0, 0, 0, 0, 0, 0, 0), DUMP)


def path(body: bytes) -> Path | None:
    """Read what the kernel says of one route; None when it is not such a one."""
    family, length, _, _, table, protocol, _, kind, _ = _RTMSG.unpack_from(body)
    found = dict(attributes(body[_RTMSG.size :]))
    if (table, kind) != (_MAIN, _UNICAST) or _RTA_OIF not in found:
        return None
    (index,) = struct.unpack("=I", found[_RTA_OIF])
    to, source = found.get(_RTA_DST), found.get(_RTA_PREFSRC)
    anywhere = "::/0" if family == _AF_INET6 else "0.0.0.0/0"
    network = f"{ip_address(to)}/{length}" if to else anywhere
    return Path(index, network, str(ip_address(source)) if source else "", protocol)


def is_learned(network: str, protocol: int, own: Iterable[str]) -> bool:
    """Tell whether a route of one of vmnet's devices comes from a router advertisement.

    `own` are the permanent addresses of the device. The kernel sets routes of its own for the
    prefixes that a router advertises, without any mark that rtnetlink shows (Linux 6.18).
    """
    to = ip_network(network, strict=False)
    if to.version == 4 or protocol not in {_KERNEL, _RA}:  # noqa: PLR2004
        return False
    beside = to.is_link_local or to.is_multicast or to in {ip_interface(x).network for x in own}
    return protocol == _RA or not beside


def _address(kind: int, index: int, address: Interface, marks: int, flags: int) -> Message:
    head = _IFADDR.pack(_FAMILIES[address.version], address.network.prefixlen, marks, 0, index)
    packed = address.ip.packed
    return Message(
        kind, head + attribute(_IFA_LOCAL, packed) + attribute(_IFA_ADDRESS, packed), flags
    )


def _route(kind: int, index: int, to: Interface, scope: int, attrs: bytes) -> Message:
    family, length = _FAMILIES[to.version], to.network.prefixlen
    # Whoever set it, and as what: it may go.
    protocol, meaning = (_STATIC, _UNICAST) if kind == _NEWROUTE else (0, 0)
    head = _RTMSG.pack(family, length, 0, 0, _MAIN, protocol, scope, meaning, 0)
    body = head + attribute(_RTA_DST, to.ip.packed) + number(_RTA_OIF, index) + attrs
    return Message(kind, body, CREATE | EXCL if kind == _NEWROUTE else 0)
