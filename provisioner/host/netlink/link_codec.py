"""Messages about links as the kernel's rtnetlink speaks them: values to bytes and back.

Written by hand, since a library that encodes one macvtap in 0.8 ms takes longer than the kernel
that makes it, and drops words that it does not know without a word. Numbers are those of
linux/if_link.h and linux/rtnetlink.h; every value is in the host's byte order.
"""

import struct
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from provisioner.network.facts import Link

UP, NOARP, ALLMULTI = 0x1, 0x80, 0x200
ADDR_GEN_NONE = 1
NOPROMISC = 1
MODES: Final = {"private": 1, "vepa": 2, "bridge": 4, "passthru": 8, "source": 16}

RTM_NEWLINK, RTM_DELLINK, RTM_GETLINK, RTM_NEWLINKPROP, RTM_DELLINKPROP = 16, 17, 18, 108, 109
CREATE, EXCL, DUMP = 0x400, 0x200, 0x300

ADDRESS, IFNAME, MTU, LINK, MASTER, TXQLEN, LINKINFO = 1, 3, 4, 5, 10, 13, 18
IFALIAS, STATS64, AF_SPEC, GROUP, EXT_MASK = 20, 23, 26, 27, 29
NUM_TX_QUEUES, NUM_RX_QUEUES, CARRIER, LINK_NETNSID, PROP_LIST, ALT_IFNAME = 31, 32, 33, 37, 52, 53
INFO_KIND, INFO_DATA, INFO_SLAVE_KIND, INFO_SLAVE_DATA = 1, 2, 4, 5
BRPORT_MODE, VLAN_ID = 4, 1
MACVLAN_MODE, MACVLAN_FLAGS, MACADDR_MODE, MACADDR, MACADDR_DATA = 1, 2, 3, 4, 5
MACADDR_ADD, MACADDR_DEL, MACADDR_SET = 0, 1, 3

_SKIP_STATS = 8  # RTEXT_FILTER_SKIP_STATS
_NESTED = 0x8000
_TYPE = 0x3FFF  # what is left of an attribute's type without NLA_F_NESTED, NLA_F_NET_BYTEORDER
_ETHER = 1  # ARPHRD_ETHER
_AF_INET6, _INET6_CONF, _INET6_ADDR_GEN_MODE = 10, 2, 8
_ACCEPT_RA, _ACCEPT_REDIRECTS, _AUTOCONF, _DISABLE_IPV6 = 3, 4, 5, 26  # DEVCONF_… (linux/ipv6.h)
_ATTRIBUTE: Final = struct.Struct("=HH")
_IFINFO: Final = struct.Struct("=BxHiII")  # family, type, ifindex, flags, change
_COUNTERS: Final = struct.Struct("=8Q")  # the beginning of rtnl_link_stats64
_MODE_NAMES: Final = {number: mode for mode, number in MODES.items()}


@dataclass(frozen=True, slots=True)
class Message:
    """One request about a link, without the header that numbers it."""

    kind: int
    body: bytes
    flags: int = field(default=0)


def attribute(kind: int, data: bytes) -> bytes:
    """Frame one attribute, padded to four bytes."""
    size = 4 + len(data)
    return _ATTRIBUTE.pack(size, kind) + data + b"\0" * (-size & 3)


def nest(kind: int, *parts: bytes) -> bytes:
    """Frame attributes within an attribute."""
    return attribute(kind | _NESTED, b"".join(parts))


def number(kind: int, value: int) -> bytes:
    """Frame an unsigned number of 32 bits."""
    return attribute(kind, value.to_bytes(4, sys.byteorder))


def text(kind: int, value: str) -> bytes:
    """Frame a text, with the NUL that ends it."""
    return attribute(kind, value.encode("utf-8", "surrogateescape") + b"\0")


def mac(kind: int, value: str) -> bytes:
    """Frame a MAC that is written with colons."""
    return attribute(kind, bytes.fromhex(value.replace(":", "")))


def info(kind: str, *data: bytes) -> bytes:
    """Frame what is special to one kind of link; the kernel checks that the link is of it."""
    return nest(LINKINFO, text(INFO_KIND, kind), nest(INFO_DATA, *data))


def flags16(value: int) -> bytes:
    """Frame a macvlan's own flags."""
    return attribute(MACVLAN_FLAGS, struct.pack("=H", value))


def silent() -> bytes:
    """Frame "the host's IPv6 says nothing through this link" (addr_gen_mode none)."""
    mode = attribute(_INET6_ADDR_GEN_MODE, bytes([ADDR_GEN_NONE]))
    return nest(AF_SPEC, nest(_AF_INET6, mode))


def new(*attributes: bytes, index: int = 0, on: int = 0, off: int = 0, flags: int = 0) -> Message:
    """Ask to make a link (flags CREATE and EXCL) or to set something on one.

    Which one is told by its ifindex, or by IFNAME among the attributes. `on` and `off` are the
    flags of the link that are to be set and cleared; the kernel does so before it looks at AF_SPEC.
    """
    head = _IFINFO.pack(0, 0, index, on, on | off)
    return Message(RTM_NEWLINK, head + b"".join(attributes), flags)


def get(index: int, *, counted: bool = False) -> Message:
    """Ask for one link, with or without its counters."""
    mask = number(EXT_MASK, 0 if counted else _SKIP_STATS)
    return Message(RTM_GETLINK, _IFINFO.pack(0, 0, index, 0, 0) + mask)


def get_all() -> Message:
    """Ask for every link of the namespace, without their counters."""
    return Message(RTM_GETLINK, _IFINFO.pack(0, 0, 0, 0, 0) + number(EXT_MASK, _SKIP_STATS), DUMP)


def delete(*attributes: bytes, index: int = 0) -> Message:
    """Ask to delete the link with an ifindex, or every link of the GROUP among the attributes."""
    return Message(RTM_DELLINK, _IFINFO.pack(0, 0, index, 0, 0) + b"".join(attributes))


def altname(name: str, *, link: str = "", index: int = 0, away: bool = False) -> Message:
    """Ask to give a link another name, or to take it away."""
    kind = RTM_DELLINKPROP if away else RTM_NEWLINKPROP
    which = text(IFNAME, link) if link else b""
    return Message(
        kind, _IFINFO.pack(0, 0, index, 0, 0) + which + nest(PROP_LIST, text(ALT_IFNAME, name))
    )


def attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Take attributes apart: the type of each, and its data."""
    at = 0
    while at + 4 <= len(data):
        size, kind = _ATTRIBUTE.unpack_from(data, at)
        if size < 4:  # noqa: PLR2004  (its own header)
            return
        yield kind & _TYPE, data[at + 4 : at + size]
        at += (size + 3) & ~3


def link(body: bytes, addresses: tuple[str, ...] = ()) -> Link:
    """Read what the kernel says of one link (RTM_NEWLINK)."""
    _, hardware, index, flags, _ = _IFINFO.unpack_from(body)
    found = dict(attributes(body[_IFINFO.size :]))
    about = dict(attributes(found.get(LINKINFO, b"")))
    kind = _text(about.get(INFO_KIND))
    own = dict(attributes(about.get(INFO_DATA, b""))) if kind in {"macvtap", "macvlan"} else {}
    names = (one for what, one in attributes(found.get(PROP_LIST, b"")) if what == ALT_IFNAME)
    return Link(
        name=_text(found.get(IFNAME)),
        index=index,
        kind=kind,
        mac=found.get(ADDRESS, b"").hex(":"),
        mtu=_number(found.get(MTU)),
        ethernet=hardware == _ETHER,
        up=bool(flags & UP),
        carrier=bool(_number(found.get(CARRIER))),
        group=_number(found.get(GROUP)),
        # With a namespace's number beside it, it is an ifindex of that other namespace.
        lower=0 if LINK_NETNSID in found else _number(found.get(LINK)),
        master=_number(found.get(MASTER)),
        hairpin=_reflects(about),
        vid=_vid(about),
        alias=_text(found.get(IFALIAS)),
        altname=_text(next(names, None)),
        mode=_MODE_NAMES.get(_number(own.get(MACVLAN_MODE)), ""),
        nopromisc=bool(_number(own.get(MACVLAN_FLAGS)) & NOPROMISC),
        sources=tuple(sorted(_macs(own.get(MACADDR_DATA, b"")))),
        queues=_number(found.get(NUM_TX_QUEUES)) or 1,
        txqueuelen=_number(found.get(TXQLEN)),
        quiet=not _heard(flags, found.get(AF_SPEC, b"")),
        all_multicast=bool(flags & ALLMULTI),
        ipv6=_has_ipv6(found.get(AF_SPEC, b"")),
        learns=_learns(found.get(AF_SPEC, b"")),
        addresses=addresses,
    )


def counters(body: bytes) -> tuple[int, ...]:
    """Read frames received and sent, bytes of both, errors of both, drops of both."""
    found = dict(attributes(body[_IFINFO.size :])).get(STATS64, bytes(_COUNTERS.size))
    return _COUNTERS.unpack_from(found)


def heard(body: bytes) -> list[str]:
    """Name what still lets the host speak through a link, or keeps multicast from its guest."""
    flags = _IFINFO.unpack_from(body)[3]
    return _heard(flags, dict(attributes(body[_IFINFO.size :])).get(AF_SPEC, b""))


def _heard(flags: int, af_spec: bytes) -> list[str]:
    wanted = {
        "NOARP": bool(flags & NOARP),
        "ALLMULTI": bool(flags & ALLMULTI),
        "addr_gen_mode": _addr_gen(af_spec) in {None, ADDR_GEN_NONE},
    }
    return [name for name, kept in wanted.items() if not kept]


def _reflects(about: dict[int, bytes]) -> bool:
    """Tell whether a link is the port of a bridge that sends frames back to where they came from.

    What belongs to a port stands beside the link's own kind.
    """
    bridged = _text(about.get(INFO_SLAVE_KIND)) == "bridge"
    port = dict(attributes(about.get(INFO_SLAVE_DATA, b""))) if bridged else {}
    return bool(_number(port.get(BRPORT_MODE)))


def _vid(about: dict[int, bytes]) -> int:
    own = about.get(INFO_DATA, b"") if _text(about.get(INFO_KIND)) == "vlan" else b""
    return _number(dict(attributes(own)).get(VLAN_ID))


def _macs(data: bytes) -> Iterable[str]:
    return (one.hex(":") for kind, one in attributes(data) if kind == MACADDR)


def _six(data: bytes) -> dict[int, bytes]:
    """Read what is said of the host's IPv6 on a link; nothing in a kernel without IPv6."""
    return dict(attributes(dict(attributes(data)).get(_AF_INET6, b"")))


def _addr_gen(data: bytes) -> int | None:
    """Find the way the host makes IPv6 addresses on a link; None in a kernel without IPv6."""
    mode = _six(data).get(_INET6_ADDR_GEN_MODE)
    return _number(mode) if mode else None


def _has_ipv6(data: bytes) -> bool:
    """Tell whether the host's IPv6 is switched on at a link."""
    conf = _six(data).get(_INET6_CONF, b"")
    return bool(conf) and not _setting(conf, _DISABLE_IPV6)


def _learns(data: bytes) -> bool:
    """Tell whether the host takes routes or addresses from routers at a link."""
    conf = _six(data).get(_INET6_CONF, b"")
    kinds = (_ACCEPT_RA, _ACCEPT_REDIRECTS, _AUTOCONF)
    return _has_ipv6(data) and any(_setting(conf, kind) for kind in kinds)


def _setting(conf: bytes, which: int) -> int:
    return _number(conf[4 * which : 4 * which + 4])


def _number(data: bytes | None) -> int:
    return int.from_bytes(data, sys.byteorder) if data else 0


def _text(data: bytes | None) -> str:
    return data.rstrip(b"\0").decode("utf-8", "surrogateescape") if data else ""
