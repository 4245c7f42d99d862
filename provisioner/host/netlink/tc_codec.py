"""Messages about traffic control: what comes into one device is made to come into another.

Numbers are those of linux/rtnetlink.h, linux/pkt_sched.h, linux/pkt_cls.h and
linux/tc_act/tc_mirred.h.
"""

import struct
from typing import Final

from provisioner.host.netlink.link_codec import CREATE, EXCL, Message, attribute, nest, text

_NEWQDISC, _NEWTFILTER = 36, 44
_TCMSG: Final = struct.Struct("=BxxxiIII")  # family, ifindex, handle, parent, info
_KIND, _OPTIONS = 1, 2
_CLSACT_HANDLE, _CLSACT_PARENT, _CLSACT_INGRESS = 0xFFFF0000, 0xFFFFFFF1, 0xFFFFFFF2
_ROOT: Final = 0xFFFFFFFF
_FIRST_PRIORITY: Final = 1 << 16
_EVERY_PROTOCOL: Final = int.from_bytes(struct.pack("!H", 3), "little")  # ETH_P_ALL
_U32_SELECTOR, _U32_ACTIONS = 5, 7
_ACTION_KIND, _ACTION_OPTIONS, _MIRRED_PARAMETERS = 1, 2, 2
_STOLEN, _INGRESS_REDIRECT = 4, 3
_EVERY_FRAME: Final = struct.pack("=BBBxHHhhIIIii", 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0)


def accept_rules(index: int) -> Message:
    """Ask for the place where rules can be hung on a device (clsact)."""
    head = _TCMSG.pack(0, index, _CLSACT_HANDLE, _CLSACT_PARENT, 0)
    return Message(_NEWQDISC, head + text(_KIND, "clsact"), CREATE | EXCL)


def redirect_into(index: int, other: int) -> Message:
    """Ask that every frame that comes into `index` comes into `other` in its place.

    By u32, which more kernels have than matchall and flower.
    """
    head = _TCMSG.pack(0, index, 0, _CLSACT_INGRESS, _FIRST_PRIORITY | _EVERY_PROTOCOL)
    parameters = struct.pack("=IIiiiiI", 0, 0, _STOLEN, 0, 0, _INGRESS_REDIRECT, other)
    action = nest(
        1,
        text(_ACTION_KIND, "mirred"),
        nest(_ACTION_OPTIONS, attribute(_MIRRED_PARAMETERS, parameters)),
    )
    rule = nest(_OPTIONS, nest(_U32_ACTIONS, action), attribute(_U32_SELECTOR, _EVERY_FRAME))
    return Message(_NEWTFILTER, head + text(_KIND, "u32") + rule, CREATE | EXCL)


def impossible_root(index: int, kind: str) -> Message:
    """Ask for a root queue that lacks what its kind cannot be without: only a question."""
    head = _TCMSG.pack(0, index, 0, _ROOT, 0)
    return Message(_NEWQDISC, head + text(_KIND, kind), CREATE | EXCL)
