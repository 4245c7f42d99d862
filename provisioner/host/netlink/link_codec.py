"""Messages about links: values to rtnetlink's attributes, and what the kernel lists to a `Link`.

Attributes have the names of linux/if_link.h, as pyroute2 takes them.
"""

import errno
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from provisioner.host.netlink.message import Attribute, Message, nested
from provisioner.network.facts import Link
from provisioner.plan.choices import Mode

IFF_UP, IFF_NOARP, IFF_ALLMULTI = 0x1, 0x80, 0x200
_RTEXT_FILTER_SKIP_STATS: Final = 8
_ARPHRD_ETHER: Final = 1
_IN6_ADDR_GEN_MODE_NONE: Final = 1
_COUNTERS: Final = ("packets", "bytes", "errors", "dropped")
_NOPROMISC: Final = frozenset({"nopromisc", 3})  # alone, and with MACVLAN_FLAG_NODST
_DEVCONF_LEARNING: Final = (3, 4, 5)  # ACCEPT_RA, ACCEPT_REDIRECTS, AUTOCONF (linux/ipv6.h)
_DEVCONF_DISABLE_IPV6: Final = 26
_PORT: Final = {  # of a bridge: what ip-link(8) calls it, and how it drops nothing
    "LEARNING": ("learning", 1),  # what has not been learned has to be flooded
    "UNICAST_FLOOD": ("flood", 1),
    "MCAST_FLOOD": ("mcast_flood", 1),
    "BCAST_FLOOD": ("bcast_flood", 1),
    "NEIGH_SUPPRESS": ("neigh_suppress", 0),
    "ISOLATED": ("isolated", 0),
    "LOCKED": ("locked", 0),
}


def new(
    *attributes: Attribute,
    index: int = 0,
    on: int = 0,
    off: int = 0,
    create: bool = False,
    fixes: Mapping[int, str] | None = None,
) -> Message:
    """Return the request to make a link or to set something on one.

    The ifindex names it, or IFLA_IFNAME among the attributes. `on` and `off` are the
    flags of the link that are to be set and cleared; the kernel does so before it looks at
    IFLA_AF_SPEC.
    """
    fields = {"index": index, "flags": on, "change": on | off}
    return Message("RTM_NEWLINK", fields, attributes, create, fixes or {})


def downed(index: int) -> list[Message]:
    """Return the requests to set a link down that leave nothing behind on the link below it.

    The kernel counts ALLMULTI on the uplink of a passthru macvtap when it is set or cleared while
    the macvtap is up, and forgets it when that comes up or goes down with it (macvlan_open,
    macvlan_stop, Linux 6.18). So nothing that is down has it set; a request that sets it together
    with UP sets UP first (__dev_change_flags).
    """
    return [new(index=index, off=IFF_ALLMULTI), new(index=index, off=IFF_UP)]


def silence(*which: Attribute, index: int = 0) -> Message:
    """Return the request that the host makes no IPv6 address for itself on a link.

    It must be so before the device is up, or neighbour discovery goes out from there.
    """
    mode = ("IFLA_INET6_ADDR_GEN_MODE", _IN6_ADDR_GEN_MODE_NONE)
    spec = ("IFLA_AF_SPEC", nested(("AF_INET6", nested(mode))))
    # A kernel without IPv6 is silent.
    return replace(new(*which, spec, index=index), ignored=frozenset({errno.EAFNOSUPPORT}))


def get(index: int = 0) -> Message:
    """Return the request for one link, or, sent as a dump, for all."""
    quicker = ("IFLA_EXT_MASK", _RTEXT_FILTER_SKIP_STATS)  # of address families
    return Message("RTM_GETLINK", {"index": index}, (quicker,))


def delete(*attributes: Attribute, index: int = 0) -> Message:
    """Return the request to delete a link, or every link of the IFLA_GROUP in the attributes."""
    return Message("RTM_DELLINK", {"index": index}, attributes)


def altname(kind: str, name: str, *which: Attribute, index: int = 0) -> Message:
    """Return the request to add a name of a link (RTM_NEWLINKPROP) or to remove one (…DEL…)."""
    raw = name.encode("utf-8", "surrogateescape")
    listed = ("IFLA_PROP_LIST", nested(("IFLA_ALT_IFNAME", raw)))
    return Message(kind, {"index": index}, (*which, listed))


def linkinfo(kind: str, *data: Attribute) -> Attribute:
    """Return what is special to one kind of link; the kernel checks that the link is of it."""
    info = nested(("IFLA_INFO_KIND", kind), ("IFLA_INFO_DATA", nested(*data)))
    return ("IFLA_LINKINFO", info)


def macvlan(
    kind: str, mode: Mode, *, nopromisc: bool = False, sources: Iterable[str] | None = None
) -> Attribute:
    """Return the mode of a macvlan or macvtap; `sources` replaces the MACs of mode source."""
    prefix = f"IFLA_{kind.upper()}_"
    data: list[Attribute] = [(f"{prefix}MODE", mode), (f"{prefix}FLAGS", int(nopromisc))]
    if sources is not None:
        macs = [("IFLA_MACVLAN_MACADDR", mac) for mac in sources]
        data += [(f"{prefix}MACADDR_MODE", "set"), (f"{prefix}MACADDR_DATA", nested(*macs))]
    return linkinfo(kind, *data)


def veth(peer: Iterable[Attribute], peer_index: int = 0) -> Attribute:
    """Return the other end of a veth pair; a chosen ifindex names it in the same call."""
    return linkinfo("veth", ("VETH_INFO_PEER", {"index": peer_index} | nested(*peer)))


def bridge() -> Attribute:
    """Return the settings of a bridge that forwards at once and passes all multicast.

    Without a querier, snooping would in time keep neighbour discovery from the guests.
    """
    names = ("FORWARD_DELAY", "STP_STATE", "MCAST_SNOOPING")
    return linkinfo("bridge", *((f"IFLA_BR_{name}", 0) for name in names))


def hairpin(*, on: bool = True) -> Attribute:
    """Return whether the port of a bridge sends frames back; none of its settings drops any."""
    others = [(f"IFLA_BRPORT_{name}", value) for name, (_, value) in _PORT.items()]
    port = nested(("IFLA_BRPORT_MODE", int(on)), *others)
    info = nested(("IFLA_INFO_SLAVE_KIND", "bridge"), ("IFLA_INFO_SLAVE_DATA", port))
    return ("IFLA_LINKINFO", info)


def link(message: Any) -> Link:
    """Return the link that a message of the kernel describes (RTM_NEWLINK)."""
    ethernet = message["ifi_type"] == _ARPHRD_ETHER
    found = _values(message, "IFLA_STATS64", "" if ethernet else "IFLA_ADDRESS")
    info = _values(found.get("IFLA_LINKINFO"))
    kind = info.get("IFLA_INFO_KIND", "")
    data = _values(info.get("IFLA_INFO_DATA")) if kind in {"macvtap", "macvlan", "vlan"} else {}
    prefix = f"IFLA_{kind.upper()}_"
    settings = _ipv6(found, "IFLA_INET6_CONF")
    ipv6 = bool(settings) and not settings[_DEVCONF_DISABLE_IPV6]
    return Link(
        name=_text(found.get("IFLA_IFNAME")),
        index=message["index"],
        kind=kind,
        mac=found.get("IFLA_ADDRESS", ""),
        mtu=found.get("IFLA_MTU", 0),
        ethernet=ethernet,
        up=bool(message["flags"] & IFF_UP),
        carrier=bool(found.get("IFLA_CARRIER")),
        group=found.get("IFLA_GROUP", 0),
        # With a namespace's number beside it, it is an ifindex of that other namespace.
        lower=0 if "IFLA_LINK_NETNSID" in found else found.get("IFLA_LINK", 0),
        master=found.get("IFLA_MASTER", 0),
        hairpin=_is_hairpin(info),
        port_drops=tuple(_port_drops(info)),
        vid=data.get("IFLA_VLAN_ID", 0),
        alias=_text(found.get("IFLA_IFALIAS")),
        altname=_text(next(iter(_listed(found.get("IFLA_PROP_LIST"))), "")),
        mode=data.get(f"{prefix}MODE", ""),
        nopromisc=data.get(f"{prefix}FLAGS") in _NOPROMISC,
        sources=tuple(sorted(_listed(data.get(f"{prefix}MACADDR_DATA")))),
        queues=found.get("IFLA_NUM_TX_QUEUES", 1),
        txqueuelen=found.get("IFLA_TXQLEN", 0),
        quiet=not _unset(message["flags"], found),
        all_multicast=bool(message["flags"] & IFF_ALLMULTI),
        ipv6=ipv6,
        learns=ipv6 and any(settings[at] for at in _DEVCONF_LEARNING),
    )


def counters(message: Any) -> tuple[int, ...]:
    """Return frames received and sent, bytes of both, errors of both, drops of both."""
    found = message.get_attr("IFLA_STATS64") or {}
    return tuple(found.get(f"{way}_{what}", 0) for what in _COUNTERS for way in ("rx", "tx"))


def unset(message: Any) -> list[str]:
    """Return what still lets the host send through a link, or keeps multicast from its guest."""
    return _unset(message["flags"], {"IFLA_AF_SPEC": message.get_attr("IFLA_AF_SPEC")})


def _unset(flags: int, found: Mapping[str, Any]) -> list[str]:
    addr_gen_mode = _ipv6(found, "IFLA_INET6_ADDR_GEN_MODE")
    wanted = {
        "NOARP": flags & IFF_NOARP,
        "ALLMULTI": flags & IFF_ALLMULTI or not flags & IFF_UP,  # see downed
        # None in a kernel without IPv6.
        "addr_gen_mode": addr_gen_mode in {None, _IN6_ADDR_GEN_MODE_NONE},
    }
    return [name for name, kept in wanted.items() if not kept]


def _ipv6(found: Mapping[str, Any], name: str) -> Any:
    """Return an attribute of the host's IPv6 on a link; None in a kernel without IPv6."""
    families = found.get("IFLA_AF_SPEC")
    ipv6 = families and families.get_attr("AF_INET6")
    return ipv6 and ipv6.get_attr(name)


def _is_hairpin(info: Mapping[str, Any]) -> bool:
    """Return whether a link is the port of a bridge that sends frames back where they came from."""
    if info.get("IFLA_INFO_SLAVE_KIND") != "bridge":
        return False
    return bool(info["IFLA_INFO_SLAVE_DATA"].get_attr("IFLA_BRPORT_MODE"))


def _port_drops(info: Mapping[str, Any]) -> Iterator[str]:
    """Return what of the port of a bridge is set so that it drops frames, as ip-link(8) has it."""
    if info.get("IFLA_INFO_SLAVE_KIND") == "bridge":
        for name, (word, wanted) in _PORT.items():
            value = info["IFLA_INFO_SLAVE_DATA"].get_attr(f"IFLA_BRPORT_{name}")
            if value not in {None, wanted}:  # None in a kernel that does not know it
                yield f"{word} {'on' if value else 'off'}"


def _values(message: Any, *but: str) -> dict[str, Any]:
    """Decode the attributes of a message or of another attribute, all but some."""
    attributes = message["attrs"] if message else ()
    return {one.name: one.value for one in attributes if one.name not in but}


def _listed(attribute: Any) -> list[Any]:
    return [one.value for one in attribute["attrs"]] if attribute else []


def _text(value: str | bytes | None) -> str:
    """Return a text of the kernel's, which need not be UTF-8."""
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else value or ""
