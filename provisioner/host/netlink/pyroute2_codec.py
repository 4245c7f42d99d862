"""pyroute2's messages, encoded and parsed by it, extended where vmnet needs more.

Import this late: pyroute2 takes longer to import than most commands take to run.
"""

import struct
from collections.abc import Iterator
from socket import AF_INET, AF_INET6
from typing import Any, Final

from provisioner.host.netlink.message import Message
from provisioner.host.netlink.pyroute2_parts import (
    NLM_F_ACK,
    NLM_F_CREATE,
    NLM_F_EXCL,
    NLM_F_REQUEST,
    NLMSG_NOOP,
    Marshal,
    ifaddrmsg,
    ifinfbase,
    ndmsg,
    nla,
    nla_slot,
    nlmsg,
    rtmsg,
    rtnl,
    tcmsg,
)

_READ_NAMES: Final = (
    *("ADDRESS", "IFNAME", "IFALIAS", "PROP_LIST", "MTU", "TXQLEN", "NUM_TX_QUEUES", "CARRIER"),
    *("LINK", "LINK_NETNSID", "LINKINFO", "MASTER", "GROUP", "AF_SPEC", "STATS64"),
)
_READ: Final = {
    number: (name, kind)
    for number, (name, kind) in enumerate(ifinfbase.nla_map)
    if name.removeprefix("IFLA_") in _READ_NAMES
}
_NLA_TYPE_MASK: Final = 0x3FFF


class _Ipv4Settings(nla):
    nla_map = ((19, "IPV4_DEVCONF_ARP_IGNORE", "uint32"),)  # linux/ip.h


class _Ipv4(nla):
    nla_map = ((1, "IFLA_INET_CONF", "settings"),)
    settings = _Ipv4Settings


class _Ipv6(nla):
    nla_map = (
        (2, "IFLA_INET6_CONF", "array(I)"),  # by DEVCONF_… of linux/ipv6.h
        (8, "IFLA_INET6_ADDR_GEN_MODE", "uint8"),
    )


class _AddressFamilies(nla):
    nla_map = ((AF_INET, "AF_INET", "ipv4"), (AF_INET6, "AF_INET6", "ipv6"))
    ipv4, ipv6 = _Ipv4, _Ipv6


class LinkMessage(ifinfbase, nlmsg):
    """A message about a link: pyroute2's, but for two things.

    IFLA_AF_SPEC can set arp_ignore of IPv4, which pyroute2 only reads. And the attributes that
    vmnet does not read are stepped over: the kernel sends some 45 for each link, and pyroute2 makes
    an object of each (docs/decisions.md, 21).
    """

    af_spec_inet = _AddressFamilies

    def decode_nlas(self, offset: int) -> None:
        """Take the attributes that vmnet reads; pyroute2 decodes each when it is looked at."""
        end = self.offset + self.length
        while offset + 4 <= end:
            length, number = struct.unpack_from("=HH", self.data, offset)
            if known := _READ.get(number & _NLA_TYPE_MASK):
                name, kind = known
                made = getattr(self, kind)
                made = made if isinstance(made, type) else made(self)  # it depends on the family
                value = made(data=self.data, offset=offset, length=length, parent=self)
                self["attrs"].append(nla_slot(name, value))
            offset += max(length + 3 & ~3, 4)


_MESSAGES: Final = {
    **dict.fromkeys(("LINK", "LINKPROP"), LinkMessage),
    "ADDR": ifaddrmsg,
    "ROUTE": rtmsg,
    "NEIGH": ndmsg,
    **dict.fromkeys(("QDISC", "TFILTER"), tcmsg),
}
_MARSHAL: Final = Marshal()
_MARSHAL.msg_map = {
    number: made
    for kind, made in _MESSAGES.items()
    for verb in ("NEW", "DEL", "GET")
    if (number := getattr(rtnl, f"RTM_{verb}{kind}", None)) is not None
}


def parse(data: bytes) -> Iterator[Any]:
    """Decode the messages that the kernel has sent in one piece."""
    yield from _MARSHAL.parse(data)


def encode_end(sequence: int) -> bytes:
    """Return a message that the kernel only acknowledges, after it has done those before it."""
    end = nlmsg()
    flags = NLM_F_REQUEST | NLM_F_ACK
    end["header"] = {"type": NLMSG_NOOP, "flags": flags, "sequence_number": sequence}
    end.encode()
    return bytes(end.data)


def encode(message: Message, sequence: int, flags: int = 0) -> bytes:
    """Return a message as it is sent. Raises ValueError for what pyroute2 would pass over."""
    number = getattr(rtnl, message.type)
    encoded = _MARSHAL.msg_map[number]()
    if unknown := set(message.fields) - {name for name, _ in encoded.fields}:
        raise ValueError(f"{message.type} has no field {unknown}")
    encoded.update(message.fields)
    flags |= NLM_F_REQUEST | (NLM_F_CREATE | NLM_F_EXCL if message.create else 0)
    encoded["header"] = {"type": number, "flags": flags, "sequence_number": sequence}
    encoded["attrs"] = list(message.attributes)
    encoded.encode()
    for name in _dropped(encoded):
        raise ValueError(f"pyroute2 cannot encode {name} in {message.type}")
    return bytes(encoded.data)


def _dropped(encoded: Any) -> Iterator[str]:
    """Name the attributes that were not encoded: pyroute2 leaves them as they were, unreported."""
    for attribute in encoded["attrs"]:
        if not isinstance(attribute, nla_slot):
            yield attribute[0]
        elif "attrs" in (nested := attribute.cell[1]):
            yield from _dropped(nested)
