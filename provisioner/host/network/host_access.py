"""Host access: a macvlan beside bridge-mode guests on the host's own NIC.

A macvtap's frames never reach the stack of the NIC that it sits on; a macvlan in bridge mode on
the same NIC is beside the guests, and reaches them. It has an address of its own, and the host's
packets for each guest are routed through it one by one: a whole subnet would rival the NIC's route.

The address is for the guests. Machines of the LAN see the NIC answer for it too, as it does for
every address of the host unless its owner has set it otherwise.
"""

import errno
from collections.abc import Iterable, Iterator
from ipaddress import IPv6Network
from pathlib import Path
from typing import Final

from provisioner.host.netlink import addresses, ipv6, link_codec, links
from provisioner.host.netlink.link_codec import new
from provisioner.host.netlink.message import Message, nested
from provisioner.host.netlink.rtnetlink import write
from provisioner.host.network import devices
from provisioner.network.facts import Link
from provisioner.network.resources import HostAccess
from provisioner.plan.choices import Mode
from provisioner.plan.ip import Address, Subnet, is_bare
from provisioner.reconcile.resources import Look
from provisioner.text import one_line

_BRIDGE_MODE: Final = link_codec.macvlan("macvlan", Mode.BRIDGE)
_ARP_IGNORE: Final = (
    "IFLA_AF_SPEC",
    nested(("AF_INET", nested(("IFLA_INET_CONF", nested(("IPV4_DEVCONF_ARP_IGNORE", 1)))))),
)
"""Answers ARP for its own addresses, not for all of the host's.

The same as net.ipv4.conf.DEVICE.arp_ignore (ip-sysctl.txt), and it works where /proc/sys may not be
written.
"""
_OF_IPV6: Final = frozenset({IPv6Network("fe80::/64"), IPv6Network("ff00::/8")})
"""The routes that the kernel makes on every device with IPv6."""
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
    """Make the macvlan with its addresses and one route per guest; whole or not at all.

    Raises VmnetError when the kernel refuses; FileExistsError when the name is taken.
    """
    doing = f'making the host access "{access.name}" on "{access.uplink}"'
    with links.creating(access.name) as (index,):
        creation = new(
            ("IFLA_IFNAME", access.name),
            ("IFLA_LINK", links.existing_index(access.uplink)),
            ("IFLA_ADDRESS", access.mac),
            ("IFLA_MTU", access.mtu),
            ("IFLA_GROUP", access.group),
            _BRIDGE_MODE,
            index=index,
            create=True,
            fixes=_REFUSED,
        )
        write(doing, [creation, *_configure(access, index)])
        ipv6.ignore_routers(access.name)
        added = addresses.add_addresses(index, access.addresses)
        write(doing, [*ipv6.bring_up(index), *added, *_routes(access, index, access.routes)])


def update(access: HostAccess) -> None:
    """Bring what can be set on a living macvlan to what it should be.

    Raises VmnetError when the kernel refuses.
    """
    index = links.existing_index(access.name)
    doing = f'setting up the host access "{access.name}"'
    (have,) = links.at(index)
    raised = ipv6.below_ipv6(have.mtu, access.mtu, index)
    write(doing, [*raised, *_configure(access, index)])
    ipv6.ignore_routers(access.name)
    ways = [x for x in addresses.routes() if x.index == index and x.is_plain]
    there = {x.network: x.source for x in ways if not x.is_kernels}
    right = {x for x in access.routes if there.get(x) == _source(access, x)}
    writes = [addresses.remove_route(index, x) for x in sorted({*there} - right, key=str)]
    writes += addresses.remove_addresses(addresses.addresses(index), index, access.addresses)
    writes += addresses.remove_learned(index, access.addresses)
    if have.mac != access.mac:
        writes.append(new(("IFLA_ADDRESS", access.mac), index=index))
    writes += ipv6.bring_up(index)
    writes += addresses.add_addresses(index, access.addresses)
    writes += _routes(access, index, [x for x in access.routes if x not in right])
    write(doing, writes)


def observe(look: Look) -> list[HostAccess]:
    """List the host accesses of a plan."""
    return [_observed(x, look) for x in look.ours if x.kind == "macvlan"]


delete = devices.delete
"""Its routes go with the macvlan."""


def _observed(device: Link, look: Look) -> HostAccess:
    """Return the host access that a macvlan is; one in another mode is as good as down."""
    own = {x.network for x in device.addresses if is_bare(x)}
    out = {x.network for x in look.routes if x.device == device.name and not x.learned}
    return HostAccess(
        name=device.name,
        uplink=look.name_of(device.lower),
        mac=device.mac,
        addresses=device.addresses,
        routes=tuple(sorted(out - own - _OF_IPV6, key=str)),
        mtu=device.mtu,
        group=device.group,
        alias=one_line(device.alias),
        up=device.up and device.mode == Mode.BRIDGE,
        answers_for_itself=_answers_for_itself(device.name),
        ignores_routers=not device.learns,
    )


def _configure(access: HostAccess, index: int) -> Iterator[Message]:
    """Set all that must be set before the device is up."""
    settings = _BRIDGE_MODE, ("IFLA_MTU", access.mtu), ("IFLA_IFALIAS", access.alias)
    yield link_codec.silence(index=index)
    # Before it is up: else the LAN gets two answers for each of the host's addresses.
    yield new(_ARP_IGNORE, index=index)
    yield new(*settings, index=index, fixes=_REFUSED)


def _routes(access: HostAccess, index: int, wanted: Iterable[Subnet]) -> Iterator[Message]:
    for to in wanted:
        yield addresses.add_route(index, to, _source(access, to), _NO_ROUTE)


def _source(access: HostAccess, to: Subnet) -> Address | None:
    """Return the macvlan's own address of the same IP version, None when it has none."""
    return next((x.ip for x in access.addresses if x.version == to.version), None)


def _answers_for_itself(name: str) -> bool:
    """Read arp_ignore; /proc/sys/net is that of the calling thread's namespace."""
    try:
        return Path(f"/proc/sys/net/ipv4/conf/{name}/arp_ignore").read_text().strip() == "1"
    except OSError:
        return False  # it went away meanwhile
