"""Messages about traffic control: what comes into one device is made to come into another.

Names and numbers are those of linux/pkt_sched.h, linux/pkt_cls.h and linux/tc_act/tc_mirred.h.
"""

from socket import htons
from typing import Final

from provisioner.host.netlink.message import Message, nested

_TC_H_CLSACT, _TC_H_CLSACT_INGRESS = 0xFFFFFFF1, 0xFFFFFFF2
_CLSACT_HANDLE: Final = 0xFFFF0000
_FIRST_PRIORITY: Final = 1 << 16
_ETH_P_ALL: Final = 3
_TC_ACT_STOLEN, _TCA_INGRESS_REDIR = 4, 3


def redirect_ingress(index: int, other: int) -> list[Message]:
    """Return the requests that every frame that comes into `index` comes into `other` instead.

    By u32, which more kernels have than matchall and flower; clsact is where it is hung.
    """
    place = {"index": index, "handle": _CLSACT_HANDLE, "parent": _TC_H_CLSACT}
    fields = {
        "index": index,
        "parent": _TC_H_CLSACT_INGRESS,
        "info": _FIRST_PRIORITY | htons(_ETH_P_ALL),
    }
    parameters = {"action": _TC_ACT_STOLEN, "eaction": _TCA_INGRESS_REDIR, "ifindex": other}
    action = nested(
        ("TCA_ACT_KIND", "mirred"),
        ("TCA_ACT_OPTIONS", nested(("TCA_MIRRED_PARMS", parameters))),
    )
    every_frame = ("TCA_U32_SEL", {"keys": ["0x0/0x0+0"]})
    options = nested(("TCA_U32_ACT", nested(("TCA_ACT_PRIO_1", action))), every_frame)
    attributes = ("TCA_KIND", "u32"), ("TCA_OPTIONS", options)
    return [
        Message("RTM_NEWQDISC", place, (("TCA_KIND", "clsact"),), create=True),
        Message("RTM_NEWTFILTER", fields, attributes, create=True),
    ]
