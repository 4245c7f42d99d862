"""Messages about addresses and routes, in the names of linux/if_addr.h and linux/rtnetlink.h."""

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv6Interface, ip_interface, ip_network
from socket import AF_INET, AF_INET6
from typing import Any, Final

from provisioner.host.netlink.message import Attribute, Message

_IFA_F_SECONDARY, _IFA_F_NODAD, _IFA_F_PERMANENT = 0x1, 0x2, 0x80
_RTPROT_KERNEL, _RTPROT_STATIC, _RTPROT_RA, _RTN_UNICAST = 2, 4, 9, 1
_RT_SCOPE_UNIVERSE, _RT_SCOPE_LINK, _RT_SCOPE_NOWHERE = 0, 253, 255
_RT_TABLE_MAIN: Final = 254
_IPV4: Final = 4

# Family 0 is every one.
DUMP_ADDRESSES: Final = Message("RTM_GETADDR", {"family": 0})
DUMP_ROUTES: Final = Message("RTM_GETROUTE", {"family": 0})
DUMP_NEIGHBOURS: Final = Message("RTM_GETNEIGH", {"family": 0})

Interface = IPv4Interface | IPv6Interface


@dataclass(frozen=True, slots=True)
class HostAddress:
    """An address of a device; the kernel removes secondary ones together with their primary."""

    index: int
    address: str  # ADDRESS/PREFIX
    secondary: bool
    link_local: bool  # of IPv6
    permanent: bool  # not learned from a router


@dataclass(frozen=True, slots=True)
class HostRoute:
    """A route of the main table out of a device."""

    index: int
    network: str  # ADDRESS/PREFIX; a default route is 0.0.0.0/0 or ::/0
    source: str  # the address that the host speaks from there; "" leaves it to the kernel
    gateway: str  # "" for none
    protocol: int  # who has set it: RTPROT_…
    is_plain: bool  # unicast, with one next hop

    @property
    def is_kernels(self) -> bool:
        """Whether the kernel has made it for an address of the device."""
        return self.protocol == _RTPROT_KERNEL

    def is_learned(self, own: Iterable[str]) -> bool:
        """Return whether it comes from a router advertisement, on one of vmnet's devices.

        `own` are the permanent addresses of the device. The kernel sets routes of its own for the
        prefixes that a router advertises, without any mark that rtnetlink shows (Linux 6.18).
        """
        to = ip_network(self.network, strict=False)
        if to.version == _IPV4 or self.protocol not in {_RTPROT_KERNEL, _RTPROT_RA}:
            return False
        of_the_device = to in {ip_interface(x).network for x in own}
        beside = to.is_link_local or to.is_multicast or of_the_device
        return self.protocol == _RTPROT_RA or not beside


def add_address(index: int, address: str) -> Message:
    """Return the request to give a device an address, without duplicate address detection.

    It takes a second, in which the address would not answer; who calls knows that nobody else has
    it.
    """
    interface = ip_interface(address)
    flags = 0 if interface.version == _IPV4 else _IFA_F_NODAD
    return _address("RTM_NEWADDR", index, interface, flags)


def delete_address(index: int, address: str) -> Message:
    """Return the request to take an address away from a device."""
    return _address("RTM_DELADDR", index, ip_interface(address))


def host_address(message: Any) -> HostAddress | None:
    """Return what the kernel says of one address; None when it is not one of IP."""
    if message["family"] not in {AF_INET, AF_INET6}:
        return None
    text = message.get_attr("IFA_LOCAL") or message.get_attr("IFA_ADDRESS")
    address = ip_interface(f"{text}/{message['prefixlen']}")
    flags, ipv6 = message["flags"], address.version != _IPV4
    return HostAddress(
        index=message["index"],
        address=str(address),
        secondary=bool(flags & _IFA_F_SECONDARY) and not ipv6,
        link_local=ipv6 and address.is_link_local,
        permanent=bool(flags & _IFA_F_PERMANENT),
    )


def neighbour(message: Any) -> tuple[str, str]:
    """Return the address and the MAC of a neighbour, "" where it is not known."""
    return message.get_attr("NDA_DST") or "", message.get_attr("NDA_LLADDR") or ""


def add_route(index: int, to: str, source: str) -> Message:
    """Return the request for a route straight out of a device; there must be none to `to` yet."""
    network = ip_interface(to)
    scope = _RT_SCOPE_LINK if network.version == _IPV4 else _RT_SCOPE_UNIVERSE
    fields = {"proto": _RTPROT_STATIC, "scope": scope, "type": _RTN_UNICAST}
    prefsrc = [("RTA_PREFSRC", source)] if source else []
    return _route("RTM_NEWROUTE", index, network, fields, prefsrc)


def delete_route(index: int, to: str) -> Message:
    """Return the request to take such a route away, whoever has set it."""
    return _route("RTM_DELROUTE", index, ip_interface(to), {"scope": _RT_SCOPE_NOWHERE})


def host_routes(message: Any) -> list[HostRoute]:
    """Return a route of the main table, once for each of its next hops."""
    if message["table"] != _RT_TABLE_MAIN:
        return []
    anywhere = "::" if message["family"] == AF_INET6 else "0.0.0.0"  # noqa: S104
    hops = [(hop["oif"], hop) for hop in message.get_attr("RTA_MULTIPATH") or ()]
    return [
        HostRoute(
            index=index,
            network=f"{message.get_attr('RTA_DST') or anywhere}/{message['dst_len']}",
            source=message.get_attr("RTA_PREFSRC") or "",
            gateway=hop.get_attr("RTA_GATEWAY") or "",
            protocol=message["proto"],
            is_plain=message["type"] == _RTN_UNICAST and not hops,
        )
        for index, hop in hops or [(message.get_attr("RTA_OIF") or 0, message)]
    ]


def _address(kind: str, index: int, address: Interface, flags: int = 0) -> Message:
    fields = {
        "family": _family(address),
        "prefixlen": address.network.prefixlen,
        "flags": flags,
        "index": index,
    }
    ip = str(address.ip)
    both = ("IFA_LOCAL", ip), ("IFA_ADDRESS", ip)
    return Message(kind, fields, both, create=kind == "RTM_NEWADDR")


def _route(
    kind: str, index: int, to: Interface, fields: dict[str, int], more: Iterable[Attribute] = ()
) -> Message:
    fields |= {
        "family": _family(to),
        "dst_len": to.network.prefixlen,
        "table": _RT_TABLE_MAIN,
    }
    attributes = ("RTA_DST", str(to.ip)), ("RTA_OIF", index), *more
    return Message(kind, fields, attributes, create=kind == "RTM_NEWROUTE")


def _family(address: Interface) -> int:
    return AF_INET if address.version == _IPV4 else AF_INET6
