"""The host's own IPv6 on vmnet's devices: switched off, or ignoring router advertisements.

A new device accepts router advertisements (ip-sysctl.rst, accept_ra): the host would learn routes
and addresses on it, as it does on a NIC. Rtnetlink sets nothing of it but addr_gen_mode
(inet6_set_link_af, Linux 6.18), so it is written to /proc/sys while the device is still down.
/proc/sys/net shows the namespace of the thread that opens it.
"""

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from provisioner.host.netlink.link_codec import IFF_UP, downed, new, silence
from provisioner.host.netlink.message import Message

_ALL: Final = Path("/proc/sys/net/ipv6/conf")
_MIN_MTU: Final = 1280  # IPV6_MIN_MTU (RFC 8200, 5)
_LEARNING: Final = ("accept_ra", "autoconf", "accept_redirects")
_NOT_THERE: Final = frozenset({errno.ENOENT, errno.ENOTDIR})
"""A kernel without IPv6; a device that has gone, or whose MTU is too small for IPv6."""
_LOCKED: Final = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})
"""A container's /proc/sys: `locked` reports it once for the whole plan."""


def disable(*devices: str) -> None:
    """Switch the host's IPv6 off on devices that belong to guests alone.

    The kernel removes every IPv6 address and route that the host has there.
    """
    ignore_routers(*devices)
    for device in devices:
        _set(device, "disable_ipv6", 1)


def ignore_routers(*devices: str) -> None:
    """Keep the host from learning routes and addresses on devices that it has addresses on."""
    for device in devices:
        for name in _LEARNING:
            _set(device, name, 0)


def below_ipv6(have_mtu: int, mtu: int, index: int) -> Iterator[Message]:
    """Return requests to set a device down before its MTU becomes large enough for IPv6.

    Below 1280 bytes the kernel drops all of its IPv6 settings, and comes back with the defaults
    (addrconf_notify, NETDEV_CHANGEMTU); on a device that is up they would be in use at once.
    """
    if have_mtu < _MIN_MTU <= mtu:
        yield from downed(index)


def bring_up(*indexes: int) -> Iterator[Message]:
    """Return requests to bring devices up, silent (a larger MTU brings the defaults back)."""
    for index in indexes:
        yield silence(index=index)
        yield new(index=index, on=IFF_UP)


def can_be_set() -> bool:
    """Return whether these settings exist and can be written here."""
    return os.access(_ALL / "default" / "accept_ra", os.W_OK)


def locked() -> str:
    """Return why new devices will take part in the host's IPv6 all the same; "" if they do not."""
    if can_be_set() or _default("accept_ra") == 0 or _default("disable_ipv6") != 0:
        return ""
    return f"{_ALL} cannot be written"


def _default(name: str) -> int | None:
    try:
        return int((_ALL / "default" / name).read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None  # a kernel without IPv6


def _set(device: str, name: str, value: int) -> None:
    try:
        (_ALL / device / name).write_text(f"{value}\n", encoding="ascii")
    except OSError as error:
        if error.errno not in _NOT_THERE | _LOCKED:
            raise
