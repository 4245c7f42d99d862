"""Switches: isolated uplinks that vmnet makes."""

import socket
from typing import Any

from provisioner.core.resources import Switch
from provisioner.host.netlink import SILENT, UP, iproute, send

_IN6_ADDR_NODAD = 0x02


def create(switch: Switch) -> None:
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
        _dress(b, switch)

    send(messages, f'making the switch "{switch.name}"', undo=switch.name)
    update(switch)


def update(switch: Switch) -> None:
    """Bring what can be set on a switch to what it should be."""
    send(lambda b: _dress(b, switch), f'setting up the switch "{switch.name}"')
    want = set(switch.addresses)
    with iproute() as ipr:
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


def _dress(b: Any, switch: Switch) -> None:
    b.link("set", index=0, ifname=switch.name, af_spec=SILENT, ifalias=switch.alias)
    b.link("set", index=0, ifname=switch.far, af_spec=SILENT, ifalias=switch.alias)
    for end in (switch.name, switch.far):
        b.link("set", index=0, ifname=end, mtu=switch.mtu, flags=UP, change=UP)
