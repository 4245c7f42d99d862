"""VLANs: 802.1Q devices on an uplink, which macvtaps are put on in its place."""

import errno
from collections.abc import Iterator
from typing import Final

from provisioner.errors import Exit, VmnetError
from provisioner.host.netlink import drivers, ipv6, link_codec, links
from provisioner.host.netlink.link_codec import IFF_NOARP, new
from provisioner.host.netlink.message import Message
from provisioner.host.netlink.rtnetlink import write
from provisioner.host.network import devices
from provisioner.network.resources import Vlan
from provisioner.reconcile.resources import Look
from provisioner.text import one_line

_LOAD_IT: Final = (
    "load it with modprobe 8021q; where the kernel was built without it (CONFIG_VLAN_8021Q),"
    " let the switch hand out the VLAN untagged, or choose another host"
)
_FIXES: Final = {
    errno.EOPNOTSUPP: _LOAD_IT,
    errno.ERANGE: "a VLAN's MTU must not be above its uplink's",
}


def missing() -> str:
    """Return what the kernel lacks for VLANs; "" when it lacks nothing."""
    if drivers.answers(["vlan"])["vlan"] is not False:
        return ""
    return "this kernel has no driver for VLANs: its module 8021q is neither loaded nor built in"


def create(vlan: Vlan) -> None:
    """Make a VLAN device, whole or not at all.

    Raises VmnetError when the kernel has no driver or refuses, and when the uplink has another
    device for this VLAN; FileExistsError when the name is taken.
    """
    doing = f'making VLAN {vlan.vid} on "{vlan.uplink}"'
    with links.creating(vlan.name) as (index,):
        uplink = links.existing_index(vlan.uplink)
        _refuse_rival(vlan, uplink)
        if lack := missing():
            raise VmnetError(
                f'VLAN {vlan.vid} on "{vlan.uplink}" cannot be made: {lack}',
                fix=_LOAD_IT,
                status=Exit.HOST_CANNOT,
            )
        write(doing, creation(vlan, uplink, index))
        ipv6.disable(vlan.name)
        write(doing, [*ipv6.bring_up(index)])


def update(vlan: Vlan) -> None:
    """Bring what can be set on a VLAN device to what it should be.

    Raises VmnetError when the kernel refuses.
    """
    index = links.existing_index(vlan.name)
    doing = f'setting up VLAN {vlan.vid} on "{vlan.uplink}"'
    (have,) = links.at(index)
    raised = ipv6.below_ipv6(have.mtu, vlan.mtu, index)
    write(doing, [*raised, *_configure(vlan, index)])
    ipv6.disable(vlan.name)
    write(doing, [*ipv6.bring_up(index)])


def observe(look: Look) -> list[Vlan]:
    """List the VLAN devices of a plan."""
    return [
        Vlan(
            name=x.name,
            uplink=look.name_of(x.lower),
            vid=x.vid,
            mtu=x.mtu,
            group=x.group,
            alias=one_line(x.alias),
            up=x.up,
            ignores_routers=not x.ipv6,
        )
        for x in look.ours
        if x.kind == "vlan"
    ]


delete = devices.delete


def creation(vlan: Vlan, uplink: int, index: int) -> list[Message]:
    """List the messages that make a VLAN device with a chosen ifindex; it is still down."""
    message = new(
        ("IFLA_IFNAME", vlan.name),
        ("IFLA_MTU", vlan.mtu),
        ("IFLA_GROUP", vlan.group),
        ("IFLA_LINK", uplink),
        link_codec.linkinfo("vlan", ("IFLA_VLAN_ID", vlan.vid)),
        index=index,
        create=True,
        fixes=_FIXES,
    )
    return [message, *_configure(vlan, index)]


def _configure(vlan: Vlan, index: int) -> Iterator[Message]:
    settings = ("IFLA_MTU", vlan.mtu), ("IFLA_IFALIAS", vlan.alias)
    # The VLAN is the guests': the host neither answers ARP there nor has IPv6.
    yield link_codec.silence(index=index)
    yield new(*settings, index=index, on=IFF_NOARP, fixes=_FIXES)


def _refuse_rival(vlan: Vlan, uplink: int) -> None:
    for link in links.every():
        if (link.kind, link.lower, link.vid) == ("vlan", uplink, vlan.vid):
            raise VmnetError(
                f'"{vlan.uplink}" has a device for VLAN {vlan.vid} already: {link.name}',
                fix=f"use {link.name} as the uplink, without vlan:",
                status=Exit.CONFLICT,
            )
