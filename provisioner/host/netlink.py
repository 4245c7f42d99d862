"""Netlink messages to the kernel and its answers; the only door to pyroute2.

Several messages go in one call: a process that is killed leaves all of them done or none.
"""

import errno
import os
import socket
import struct
from collections.abc import Callable, Iterator
from typing import Any

from provisioner.errors import Exit, VmnetError

UP, NOARP, ALLMULTI = 0x1, 0x80, 0x200
ADDR_GEN_NONE = 1
SILENT = {"attrs": [("AF_INET6", {"attrs": [("IFLA_INET6_ADDR_GEN_MODE", ADDR_GEN_NONE)]})]}
"""The host's IPv6 says nothing through a device: must be set before it is up, or neighbour
discovery goes out with the guest's MAC."""

_MENDS = {
    errno.EPERM: "run vmnet as root: making network devices needs CAP_NET_ADMIN",
    errno.EEXIST: "look at it with: ip -d link show",
    errno.EADDRINUSE: "another device on this uplink has the same MAC: give this NIC another one",
    errno.EBUSY: "the uplink is a port of a bridge or bond: use that bridge as the uplink",
    errno.EINVAL: "the kernel refuses this combination: look at what else sits on the uplink",
    errno.EOPNOTSUPP: "the kernel has no macvtap driver: load it with modprobe macvtap",
    errno.ENODEV: "the uplink went away meanwhile: look for it with: ip link",
}


def warm_up() -> None:
    """Import what takes long, while there is time."""
    import pyroute2.iproute.linux  # noqa: F401


def iproute() -> Any:
    """Open a netlink socket to this thread's network namespace; close it, or use it with `with`."""
    from pyroute2.iproute.linux import IPRoute

    return IPRoute()


def send(fill: Callable[[Any], None], doing: str, undo: str | None = None) -> None:
    """Send messages in one call, so that a kill leaves all of them done or none; read each ack.

    A failing message does not stop those behind it: when the first message made the link `undo`
    and a later one failed, the link is deleted again.
    """
    from pyroute2.iproute.linux import IPBatch

    with IPBatch() as b:
        fill(b)
        data = bytes(b.batch)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as s:
        s.bind((0, 0))
        s.settimeout(10)
        s.send(data)
        acks = list(_acks(s, sum(1 for _ in _messages(data))))
    # A kernel without IPv6 has no addr_gen_mode to set.
    bad = [status for status in acks if status not in {0, errno.EAFNOSUPPORT}]
    if bad and undo and acks[0] == 0:
        drop(doing, ifname=undo)
    if bad:
        raise refused(bad[0], doing, made=acks[0] == 0)


def drop(doing: str, **what: object) -> None:
    """Delete links, as pyroute2's link("del") takes them; those that are gone already are fine.

    Raises VmnetError when the kernel refuses.
    """
    from pyroute2.netlink.exceptions import NetlinkError

    with iproute() as ipr:
        try:
            ipr.link("del", **what)
        except NetlinkError as error:
            if error.code not in {errno.ENODEV, errno.ENXIO}:
                raise refused(error.code, doing) from error


def _acks(s: socket.socket, expected: int) -> Iterator[int]:
    while expected > 0:
        data = s.recv(65536)
        for offset in _messages(data):
            yield -struct.unpack_from("=i", data, offset + 16)[0]
            expected -= 1


def _messages(data: bytes) -> Iterator[int]:
    """Give the offset of each netlink message."""
    offset = 0
    while offset < len(data):
        yield offset
        (length,) = struct.unpack_from("=I", data, offset)
        offset += (length + 3) & ~3


def refused(status: int, doing: str, *, made: bool = True) -> Exception:
    """Say what the kernel answered; FileExistsError when the very first message met its like."""
    if status == errno.EEXIST and not made:
        return FileExistsError(status, doing)
    return VmnetError(
        f"{doing}: the kernel says {os.strerror(status)}",
        fix=_MENDS.get(status, "look at the kernel's log: dmesg"),
        status=Exit.HOST_CANNOT,
    )


def index_of(name: str) -> int:
    """Give a link's ifindex, 0 when there is none of that name."""
    try:
        return socket.if_nametoindex(name)
    except OSError:
        return 0


def existing_index(name: str) -> int:
    """Give a link's ifindex. Raises VmnetError when there is none of that name."""
    if index := index_of(name):
        return index
    raise VmnetError(f'there is no network device "{name}"', fix="list the devices with: ip link")
