"""Which drivers the kernel has, found out without making anything.

The question is one that a kernel with the driver must refuse for another reason than one without.
Asking makes the kernel load a module by itself where it may (net/core/rtnetlink.c, sch_api.c).
"""

import errno
import socket
from collections.abc import Iterable
from typing import Final

from provisioner.host.netlink import link_codec
from provisioner.host.netlink.message import Message
from provisioner.host.netlink.rtnetlink import transact

_TC_H_ROOT: Final = 0xFFFFFFFF  # linux/pkt_sched.h
_QUEUES: Final = frozenset({"clsact", "netem"})
# No device may have a multicast MAC: each driver's validate() answers EADDRNOTAVAIL before a device
# is made (macvlan_validate, veth_validate, br_validate, vlan_validate).
_BAD_MAC: Final = "01:00:00:00:00:00"


def answers(kinds: Iterable[str]) -> dict[str, bool | None]:
    """Return whether the kernel has each kind of link or queue; None without CAP_NET_ADMIN."""
    return {kind: _has(kind) for kind in kinds}


def _has(kind: str) -> bool | None:
    ((status,),) = transact([[_question(kind)]])
    if status == errno.EPERM:
        return None
    return status != (errno.ENOENT if kind in _QUEUES else errno.EOPNOTSUPP)


def _question(kind: str) -> Message:
    if kind in _QUEUES:
        # Neither can be a device's root queue just so: EINVAL, EOPNOTSUPP; unknown ones: ENOENT.
        root = {"index": socket.if_nametoindex("lo"), "parent": _TC_H_ROOT}
        return Message("RTM_NEWQDISC", root, (("TCA_KIND", kind),), create=True)
    named = ("IFLA_IFNAME", "vmnet-asks"), ("IFLA_ADDRESS", _BAD_MAC)
    return link_codec.new(*named, link_codec.linkinfo(kind), create=True)
