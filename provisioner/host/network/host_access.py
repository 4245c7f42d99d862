"""Host access: a macvlan beside bridge-mode guests on the host's own NIC.

A macvtap's frames never reach the stack of the NIC that it sits on; a macvlan in bridge mode on
the same NIC is the guests' sibling, and reaches them. It has an address of its own, and the host's
packets for each guest are routed through it one by one: a whole subnet would rival the NIC's route.

The address is for the guests. Machines of the LAN hear the NIC answer for it too, as it does for
every address of the host unless its owner has told it otherwise.
"""

import errno
from collections.abc import Iterable, Iterator
from ipaddress import ip_interface
from pathlib import Path
from typing import Final

from provisioner import naming
from provisioner.errors import VmnetError
from provisioner.host.netlink import address_codec as a
from provisioner.host.netlink import ipv6, links
from provisioner.host.netlink import link_codec as m
from provisioner.host.netlink import uplink_codec as u
from provisioner.host.netlink.addresses import forget, held, hold, let_go, paths
from provisioner.host.netlink.batch import NO_IPV6, Write, free_index, write
from provisioner.host.netlink.ipv6 import below_ipv6
from provisioner.host.netlink.rtnetlink import drop, existing_index, index_of
from provisioner.network.facts import Link, Route
from provisioner.network.resources import HostAccess
from provisioner.text import one_line

_REFUSED: Final = {
    errno.EOPNOTSUPP: "the kernel has no macvlan driver: load it with modprobe macvlan",
    errno.EINVAL: "host access needs an uplink that no passthru device has to itself, and an MTU"
    " that is not above the uplink's",
}
_NO_ROUTE: Final = {
    errno.EEXIST: "the host has a route of its own to this guest: look at it with: ip route; ip -6"
    " route; remove it, or give the guest another address",
}


def create(access: HostAccess) -> None:
    """Make the sibling with its addresses and one route per guest; whole or not at all.

    Raises VmnetError when the kernel refuses; FileExistsError when the name is taken.
    """
    if index_of(access.name):
        raise FileExistsError(errno.EEXIST, access.name)
    uplink = existing_index(access.uplink)
    index = free_index(naming.link_indexes(access.name))
    born = Write(
        m.new(
            m.text(m.IFNAME, access.name),
            m.number(m.LINK, uplink),
            m.mac(m.ADDRESS, access.mac),
            m.number(m.MTU, access.mtu),
            m.number(m.GROUP, access.group),
            m.info("macvlan", m.number(m.MACVLAN_MODE, m.MODES["bridge"])),
            index=index,
            flags=m.CREATE | m.EXCL,
        ),
        _REFUSED,
    )
    doing = f'making the host access "{access.name}" on "{access.uplink}"'
    try:
        write(doing, [born, *_dress(access, index)])
        ipv6.ignore_routers(access.name)
        write(doing, [*_wake(access, index), *_lead(access, index, access.routes)])
    except VmnetError:
        if index_of(access.name) == index:
            drop(doing, index=index)
        raise


def update(access: HostAccess) -> None:
    """Bring what can be set on a living sibling to what it should be.

    Raises VmnetError when the kernel refuses.
    """
    index = existing_index(access.name)
    doing = f'setting up the host access "{access.name}"'
    (have,) = links.at(index)
    write(doing, [*below_ipv6(have.mtu, access.mtu, index), *_dress(access, index)])
    ipv6.ignore_routers(access.name)
    there = {x.network: x.source for x in paths(index)}
    right = {x for x in access.routes if there.get(x) == _source(access, x)}
    writes = [Write(a.lead_no_more(index, ip_interface(x))) for x in sorted({*there} - right)]
    writes += let_go(held(index), index, access.addresses)
    writes += forget(index, access.addresses)
    if have.mac != access.mac:
        writes.append(Write(m.new(m.mac(m.ADDRESS, access.mac), index=index)))
    writes += _wake(access, index)
    writes += _lead(access, index, [x for x in access.routes if x not in right])
    write(doing, writes)


def observed(sibling: Link, found: Iterable[Link], routes: Iterable[Route]) -> HostAccess:
    """Read the host access of a macvlan out of the links and routes of the host.

    One that has been put into another mode is as good as down.
    """
    own = {*sibling.addresses, "fe80::/64", "ff00::/8"}
    out = (x.network for x in routes if x.device == sibling.name and not x.learned)
    return HostAccess(
        name=sibling.name,
        uplink=next((x.name for x in found if x.index == sibling.lower), ""),
        mac=sibling.mac,
        addresses=sibling.addresses,
        routes=tuple(sorted(x for x in out if x not in own)),
        mtu=sibling.mtu,
        group=sibling.group,
        alias=one_line(sibling.alias),
        up=sibling.up and sibling.mode == "bridge",
        answers_for_itself=_answers_for_itself(sibling.name),
        ignores_routers=not sibling.learns,
    )


def _dress(access: HostAccess, index: int) -> Iterator[Write]:
    """Say all that must be said before the device is up."""
    mode = m.info("macvlan", m.number(m.MACVLAN_MODE, m.MODES["bridge"]))
    about = mode + m.number(m.MTU, access.mtu) + m.text(m.IFALIAS, access.alias)
    yield Write(m.new(m.silent(), index=index), fine=NO_IPV6)
    # Before it is up: else the LAN hears two answers for each of the host's addresses.
    yield Write(u.answer_for_own_addresses_only(index))
    yield Write(m.new(about, index=index), _REFUSED)


def _wake(access: HostAccess, index: int) -> Iterator[Write]:
    # Again: an MTU that has become large enough for IPv6 has brought the kernel's defaults back.
    yield Write(m.new(m.silent(), index=index), fine=NO_IPV6)
    yield Write(m.new(index=index, on=m.UP))
    yield from hold(index, access.addresses)


def _lead(access: HostAccess, index: int, routes: Iterable[str]) -> Iterator[Write]:
    for to in routes:
        yield Write(a.lead(index, ip_interface(to), _source(access, to)), _NO_ROUTE)


def _source(access: HostAccess, to: str) -> str:
    """Give the sibling's own address of the same IP version, "" when it has none."""
    version = ip_interface(to).version
    own = (ip_interface(x).ip for x in access.addresses)
    return next((str(x) for x in own if x.version == version), "")


def _answers_for_itself(name: str) -> bool:
    """Read arp_ignore; /proc/sys/net is that of the calling thread's namespace."""
    try:
        return Path(f"/proc/sys/net/ipv4/conf/{name}/arp_ignore").read_text().strip() == "1"
    except OSError:
        return False  # it went away meanwhile
