"""Macvtaps: made whole in one call, changed while guests run on them.

The order of a birth is measured, not chosen: group, name, MAC and ifindex go into the creating
message, since alias and altname are silently ignored there (Linux 6.18, rtnetlink.c); addr_gen_mode
must be "none" before UP, or the host sends neighbour discovery with the guest's MAC.
"""

from typing import Any

from provisioner.core.facts import Link
from provisioner.core.resources import Macvtap
from provisioner.host.netlink import ALLMULTI, NOARP, SILENT, UP, existing_index, send


def create(tap: Macvtap, index: int) -> None:
    """Make a macvtap with the given ifindex, whole or not at all.

    Raises VmnetError when the kernel refuses; FileExistsError when the ifindex is taken.
    """
    uplink = existing_index(tap.uplink)

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
        _dress(b, tap, altname=True)

    send(messages, f'making the macvtap "{tap.name}" on "{tap.uplink}"', undo=tap.name)


def update(tap: Macvtap, have: Link) -> None:
    """Bring what can be set on a living macvtap to what it should be."""

    def messages(b: Any) -> None:
        if have.mode != tap.mode:
            b.link("set", index=have.index, kind="macvtap", macvtap_mode=tap.mode)
        if have.altname and have.altname != tap.altname:
            b.link("property_del", index=have.index, altname=have.altname)
        _dress(b, tap, altname=have.altname != tap.altname)

    send(messages, f'changing the macvtap "{tap.name}"')


def _dress(b: Any, tap: Macvtap, *, altname: bool) -> None:
    flags = UP | NOARP | ALLMULTI
    b.link("set", index=0, ifname=tap.name, af_spec=SILENT, ifalias=tap.alias)
    if altname:
        b.link("property_add", index=0, ifname=tap.name, altname=tap.altname)
    # ALLMULTI: macvlan filters multicast by the host-side device's list, which knows nothing of
    # the guest's addresses, and would drop the neighbour solicitations for them.
    b.link("set", index=0, ifname=tap.name, mtu=tap.mtu, flags=flags, change=flags)
