"""VLANs: 802.1Q devices on an uplink, which macvtaps are put on in its place."""

import errno
from collections.abc import Iterable, Iterator
from typing import Final

from provisioner import naming
from provisioner.errors import Exit, VmnetError
from provisioner.host.netlink import drivers, ipv6, links
from provisioner.host.netlink import link_codec as m
from provisioner.host.netlink import uplink_codec as u
from provisioner.host.netlink.batch import NO_IPV6, Write, free_index, write
from provisioner.host.netlink.ipv6 import below_ipv6
from provisioner.host.netlink.rtnetlink import drop, existing_index, index_of
from provisioner.network.facts import Link
from provisioner.network.resources import Vlan
from provisioner.text import one_line

_LOAD_IT: Final = (
    "load it with modprobe 8021q; where the kernel was built without it (CONFIG_VLAN_8021Q),"
    " let the switch hand out the VLAN untagged, or choose another host"
)
_MENDS: Final = {
    errno.EOPNOTSUPP: _LOAD_IT,
    errno.ERANGE: "a VLAN's MTU must not be above its uplink's",
}


def missing() -> str:
    """Say what the kernel lacks for VLANs; "" when it lacks nothing."""
    if drivers.answers(["vlan"])["vlan"] is not False:
        return ""
    return "this kernel has no driver for VLANs: its module 8021q is neither loaded nor built in"


def create(vlan: Vlan) -> None:
    """Make a VLAN device, whole or not at all.

    Raises VmnetError when the kernel has no driver or refuses, and when the uplink has another
    device for this VLAN; FileExistsError when the name is taken.
    """
    if index_of(vlan.name):
        raise FileExistsError(errno.EEXIST, vlan.name)
    uplink = existing_index(vlan.uplink)
    _refuse_rival(vlan, uplink)
    if lack := missing():
        raise VmnetError(
            f'VLAN {vlan.vid} on "{vlan.uplink}" cannot be made: {lack}',
            fix=_LOAD_IT,
            status=Exit.HOST_CANNOT,
        )
    index = free_index(naming.link_indexes(vlan.name))
    doing = f'making VLAN {vlan.vid} on "{vlan.uplink}"'
    try:
        write(doing, birth(vlan, uplink, index))
        ipv6.disable(vlan.name)
        write(doing, _wake(index))
    except VmnetError:
        if index_of(vlan.name) == index:
            drop(doing, index=index)
        raise


def update(vlan: Vlan) -> None:
    """Bring what can be set on a VLAN device to what it should be.

    Raises VmnetError when the kernel refuses.
    """
    index = existing_index(vlan.name)
    doing = f'setting up VLAN {vlan.vid} on "{vlan.uplink}"'
    (have,) = links.at(index)
    write(doing, [*below_ipv6(have.mtu, vlan.mtu, index), *_dress(vlan, index)])
    ipv6.disable(vlan.name)
    write(doing, _wake(index))


def observed(device: Link, found: Iterable[Link]) -> Vlan:
    """Read a VLAN out of the links of the host."""
    return Vlan(
        name=device.name,
        uplink=next((x.name for x in found if x.index == device.lower), ""),
        vid=device.vid,
        mtu=device.mtu,
        group=device.group,
        alias=one_line(device.alias),
        up=device.up,
        ignores_routers=not device.ipv6,
    )


def birth(vlan: Vlan, uplink: int, index: int) -> list[Write]:
    """List the messages that make a VLAN device with a chosen ifindex; it is still down."""
    about = (
        m.text(m.IFNAME, vlan.name),
        m.number(m.MTU, vlan.mtu),
        m.number(m.GROUP, vlan.group),
    )
    return [Write(u.vlan(b"".join(about), index, uplink, vlan.vid), _MENDS), *_dress(vlan, index)]


def _dress(vlan: Vlan, index: int) -> Iterator[Write]:
    about = m.number(m.MTU, vlan.mtu) + m.text(m.IFALIAS, vlan.alias)
    # The VLAN is the guests': the host neither answers ARP there nor speaks IPv6.
    yield Write(m.new(m.silent(), index=index), fine=NO_IPV6)
    yield Write(m.new(about, index=index, on=m.NOARP), _MENDS)


def _wake(index: int) -> list[Write]:
    return [
        Write(m.new(m.silent(), index=index), fine=NO_IPV6),
        Write(m.new(index=index, on=m.UP), _MENDS),
    ]


def _refuse_rival(vlan: Vlan, uplink: int) -> None:
    for link in links.every():
        if (link.kind, link.lower, link.vid) == ("vlan", uplink, vlan.vid):
            raise VmnetError(
                f'"{vlan.uplink}" has a device for VLAN {vlan.vid} already: {link.name}',
                fix=f"use {link.name} as the uplink, without vlan:",
                status=Exit.CONFLICT,
            )
