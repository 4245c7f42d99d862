"""The kernel's links, through pyroute2; the only room that speaks netlink.

The order of a macvtap's birth is measured, not chosen: group, name, MAC and ifindex go into the
creating message, since alias and altname are silently ignored there (Linux 6.18, rtnetlink.c);
addr_gen_mode must be "none" before UP, or the host sends neighbour discovery with the guest's MAC.
"""

import errno
import os
import socket
import struct
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from provisioner.core.facts import Link, Route
from provisioner.core.resources import Macvtap, Switch
from provisioner.errors import Exit, VmnetError

_UP, _NOARP, _ALLMULTI = 0x1, 0x80, 0x200
_ADDR_GEN_NONE = 1
_ETHER = 1  # ARPHRD_ETHER
_SILENT = {"attrs": [("AF_INET6", {"attrs": [("IFLA_INET6_ADDR_GEN_MODE", _ADDR_GEN_NONE)]})]}
_IN6_ADDR_NODAD = 0x02

_MENDS = {
    errno.EPERM: "run vmnet as root: making network devices needs CAP_NET_ADMIN",
    errno.EEXIST: "look at it with: ip -d link show",
    errno.EADDRINUSE: "another device on this uplink has the same MAC: give this NIC another one",
    errno.EBUSY: "the uplink is a port of a bridge or bond: use that bridge as the uplink",
    errno.EINVAL: "the kernel refuses this combination: look at what else sits on the uplink",
    errno.EOPNOTSUPP: "the kernel has no macvtap driver: load it with modprobe macvtap",
    errno.ENODEV: "the uplink went away meanwhile: look for it with: ip link",
}


def warm_up() -> None:
    """Import what takes long, while there is time."""
    import pyroute2.iproute.linux  # noqa: F401


def observe() -> tuple[tuple[Link, ...], tuple[Route, ...]]:
    """Read every link and the main table's routes of this network namespace."""
    with _iproute() as ipr:
        raw = list(ipr.get_links())
        addresses: dict[int, list[str]] = {}
        for a in ipr.get_addr():
            text = a.get_attr("IFA_LOCAL") or a.get_attr("IFA_ADDRESS")
            if text and not text.startswith("fe80:"):
                addresses.setdefault(a["index"], []).append(f"{text}/{a['prefixlen']}")
        names = {link["index"]: link.get_attr("IFLA_IFNAME") for link in raw}
        routes = tuple(_routes(ipr.get_routes(table=254), names))
    links = tuple(_link(x, tuple(sorted(addresses.get(x["index"], ())))) for x in raw)
    return links, routes


def create_switch(switch: Switch) -> None:
    """Make the veth pair of a switch and put the host's addresses on its far end.

    Raises VmnetError when the kernel refuses.
    """

    def messages(b: Any) -> None:
        peer = {"ifname": switch.far, "mtu": switch.mtu, "group": switch.group}
        b.link(
            "add",
            ifname=switch.name,
            kind="veth",
            peer=peer,
            mtu=switch.mtu,
            group=switch.group,
        )
        _dress_switch(b, switch)

    _send(messages, f'making the switch "{switch.name}"', undo=switch.name)
    update_switch(switch)


def update_switch(switch: Switch) -> None:
    """Bring what can be set on a switch to what it should be."""
    _send(lambda b: _dress_switch(b, switch), f'setting up the switch "{switch.name}"')
    want = set(switch.addresses)
    with _iproute() as ipr:
        far = socket.if_nametoindex(switch.far)
        for address in sorted(_addresses(ipr, far) - want):
            ip, prefix = address.split("/")
            ipr.addr("del", index=far, address=ip, prefixlen=int(prefix))
        # Read again: the kernel takes the other addresses of a subnet away with the first one of it
        # (promote_secondaries is off by default).
        for address in sorted(want - _addresses(ipr, far)):
            ip, prefix = address.split("/")
            # No duplicate address detection: nobody else is on the wire yet, and a tentative
            # address would not answer for a second.
            flags = {"flags": _IN6_ADDR_NODAD} if ":" in ip else {}
            ipr.addr("add", index=far, address=ip, prefixlen=int(prefix), **flags)


def _addresses(ipr: Any, index: int) -> set[str]:
    found = {f"{a.get_attr('IFA_ADDRESS')}/{a['prefixlen']}" for a in ipr.get_addr(index=index)}
    return {a for a in found if not a.startswith("fe80:")}


def _dress_switch(b: Any, switch: Switch) -> None:
    b.link("set", index=0, ifname=switch.name, af_spec=_SILENT, ifalias=switch.alias)
    b.link("set", index=0, ifname=switch.far, af_spec=_SILENT, ifalias=switch.alias)
    for end in (switch.name, switch.far):
        b.link("set", index=0, ifname=end, mtu=switch.mtu, flags=_UP, change=_UP)


def create_macvtap(tap: Macvtap, index: int) -> None:
    """Make a macvtap with the given ifindex, whole or not at all.

    Raises VmnetError when the kernel refuses; FileExistsError when the ifindex is taken.
    """
    uplink = _index(tap.uplink)

    def messages(b: Any) -> None:
        b.link(
            "add",
            index=index,
            ifname=tap.name,
            kind="macvtap",
            link=uplink,
            macvtap_mode=tap.mode,
            address=tap.mac,
            mtu=tap.mtu,
            group=tap.group,
        )
        _dress_macvtap(b, tap, altname=True)

    _send(messages, f'making the macvtap "{tap.name}" on "{tap.uplink}"', undo=tap.name)


def update_macvtap(tap: Macvtap, have: Link) -> None:
    """Bring what can be set on a living macvtap to what it should be."""

    def messages(b: Any) -> None:
        if have.mode != tap.mode:
            b.link("set", index=have.index, kind="macvtap", macvtap_mode=tap.mode)
        if have.altname and have.altname != tap.altname:
            b.link("property_del", index=have.index, altname=have.altname)
        _dress_macvtap(b, tap, altname=have.altname != tap.altname)

    _send(messages, f'changing the macvtap "{tap.name}"')


def _dress_macvtap(b: Any, tap: Macvtap, *, altname: bool) -> None:
    flags = _UP | _NOARP | _ALLMULTI
    b.link("set", index=0, ifname=tap.name, af_spec=_SILENT, ifalias=tap.alias)
    if altname:
        b.link("property_add", index=0, ifname=tap.name, altname=tap.altname)
    # ALLMULTI: macvlan filters multicast by the host-side device's list, which knows nothing of
    # the guest's addresses, and would drop the neighbour solicitations for them.
    b.link("set", index=0, ifname=tap.name, mtu=tap.mtu, flags=flags, change=flags)


def delete(name: str) -> None:
    """Delete one link; one that is gone already is fine."""
    if index := index_of(name):
        _delete(f'deleting "{name}"', index=index)


def delete_group(group: int, ours: Callable[[Link], bool]) -> None:
    """Delete every link of a group in one call, after proving that all of them are ours.

    A delete by group takes whatever is in it; when a member is not ours, the rest is deleted one
    by one. Raises VmnetError when the kernel refuses.
    """
    members = [x for x in observe()[0] if x.group == group]
    if not members:
        return
    if not all(ours(x) for x in members):
        for link in members:
            if ours(link):
                delete(link.name)
        return
    _delete(f"deleting the links of group {group:#x}", group=group)


def _delete(doing: str, **what: int) -> None:
    from pyroute2.netlink.exceptions import NetlinkError

    with _iproute() as ipr:
        try:
            ipr.link("del", **what)
        except NetlinkError as error:
            if error.code not in {errno.ENODEV, errno.ENXIO}:
                raise _refused(error.code, doing) from error


def _send(fill: Callable[[Any], None], doing: str, undo: str | None = None) -> None:
    """Send messages in one call, so that a kill leaves all of them done or none; read each ack.

    A failing message does not stop those behind it: when the first message made the link `undo`
    and a later one failed, the link is deleted again.
    """
    from pyroute2.iproute.linux import IPBatch

    with IPBatch() as b:
        fill(b)
        data = bytes(b.batch)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as s:
        s.bind((0, 0))
        s.settimeout(10)
        s.send(data)
        acks = list(_acks(s, sum(1 for _ in _messages(data))))
    # A kernel without IPv6 has no addr_gen_mode to set.
    bad = [status for status in acks if status not in {0, errno.EAFNOSUPPORT}]
    if bad and undo and acks[0] == 0:
        delete(undo)
    if bad:
        raise _refused(bad[0], doing, made=acks[0] == 0)


def _acks(s: socket.socket, expected: int) -> Iterator[int]:
    while expected > 0:
        data = s.recv(65536)
        for offset in _messages(data):
            yield -struct.unpack_from("=i", data, offset + 16)[0]
            expected -= 1


def _messages(data: bytes) -> Iterator[int]:
    """Give the offset of each netlink message."""
    offset = 0
    while offset < len(data):
        yield offset
        (length,) = struct.unpack_from("=I", data, offset)
        offset += (length + 3) & ~3


def _refused(status: int, doing: str, *, made: bool = True) -> Exception:
    if status == errno.EEXIST and not made:
        return FileExistsError(status, doing)
    return VmnetError(
        f"{doing}: the kernel says {os.strerror(status)}",
        fix=_MENDS.get(status, "look at the kernel's log: dmesg"),
        status=Exit.HOST_CANNOT,
    )


def index_of(name: str) -> int:
    """Give a link's ifindex, 0 when there is none of that name."""
    try:
        return socket.if_nametoindex(name)
    except OSError:
        return 0


def _index(name: str) -> int:
    if index := index_of(name):
        return index
    raise VmnetError(f'there is no network device "{name}"', fix="list the devices with: ip link")


def _iproute() -> Any:
    from pyroute2.iproute.linux import IPRoute

    return IPRoute()


def _link(raw: Any, addresses: tuple[str, ...]) -> Link:
    info: Any = raw.get_attr("IFLA_LINKINFO")
    kind = (info.get_attr("IFLA_INFO_KIND") if info else "") or ""
    data: Any = info.get_attr("IFLA_INFO_DATA") if info else None
    mode = data.get_attr(f"IFLA_{kind.upper()}_MODE") if kind in {"macvtap", "macvlan"} else ""
    names = raw.get_attr("IFLA_PROP_LIST")
    flags = raw["flags"]
    return Link(
        name=raw.get_attr("IFLA_IFNAME"),
        index=raw["index"],
        kind=kind,
        mac=raw.get_attr("IFLA_ADDRESS") or "",
        mtu=raw.get_attr("IFLA_MTU") or 0,
        ethernet=raw["ifi_type"] == _ETHER,
        up=bool(flags & _UP),
        carrier=bool(raw.get_attr("IFLA_CARRIER")),
        group=raw.get_attr("IFLA_GROUP") or 0,
        lower=raw.get_attr("IFLA_LINK") or 0,
        master=raw.get_attr("IFLA_MASTER") or 0,
        alias=raw.get_attr("IFLA_IFALIAS") or "",
        altname=(names.get_attr("IFLA_ALT_IFNAME") if names else "") or "",
        mode=mode or "",
        quiet=flags & (_NOARP | _ALLMULTI) == _NOARP | _ALLMULTI
        and _addr_gen(raw) in {None, _ADDR_GEN_NONE},
        addresses=addresses,
    )


def _addr_gen(raw: Any) -> int | None:
    spec: Any = raw.get_attr("IFLA_AF_SPEC")
    six = spec.get_attr("AF_INET6") if spec else None
    mode = six.get_attr("IFLA_INET6_ADDR_GEN_MODE") if six else None
    return mode if isinstance(mode, int) else None


def _routes(raw: Iterable[Any], names: dict[int, str]) -> Iterator[Route]:
    for r in raw:
        device = names.get(r.get_attr("RTA_OIF") or 0, "")
        to = r.get_attr("RTA_DST")
        yield Route(f"{to}/{r['dst_len']}" if to else "default", device)
