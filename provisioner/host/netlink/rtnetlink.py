"""Netlink messages to the kernel and its answers; the only door to pyroute2.

Several messages go in one call: a process that is killed leaves all of them done or none.
"""

import errno
import os
import socket
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from provisioner.errors import Exit, VmnetError
from provisioner.host.netlink.link_codec import Message

UP, NOARP, ALLMULTI = 0x1, 0x80, 0x200
ADDR_GEN_NONE = 1
SILENT = {"attrs": [("AF_INET6", {"attrs": [("IFLA_INET6_ADDR_GEN_MODE", ADDR_GEN_NONE)]})]}
"""The host's IPv6 says nothing through a device: must be set before it is up, or neighbour
discovery goes out with the guest's MAC."""

_ROUTE = 0  # NETLINK_ROUTE
_SOL_NETLINK, _CAP_ACK = 270, 10
_SNDBUFFORCE, _RCVBUFFORCE = 32, 33
_BUFFER, _READ = 1 << 21, 1 << 17
_REQUEST, _ACK, _DUMP_INTERRUPTED = 0x1, 0x4, 0x10
_ERROR, _DONE = 2, 3
_HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence, port
_ANSWER_S = 30.0  # the kernel's lock over all links may be held by somebody else for a while
_MOST_MESSAGES, _MOST_BYTES = 300, 1 << 17
_TRIES = 20

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


def transact(batches: Iterable[Sequence[Message]]) -> list[list[int]]:
    """Send batches of messages; give the errno of each message's answer, 0 for done.

    A batch is never cut: a kill leaves all of it done or none. Many batches share one call. A
    failing message does not stop those behind it.
    """
    told: list[list[int]] = []
    with _rtnetlink() as s:
        for call in _packed(batches):
            messages = [m for batch in call for m in batch]
            # An error is answered in any case, so one wish for an answer marks the end.
            last = len(messages) - 1
            s.send(b"".join(_framed(m, at, ack=at == last) for at, m in enumerate(messages)))
            bad = {at: status for at, status, _ in _answers(s, last) if status}
            statuses = iter([bad.get(at, 0) for at in range(len(messages))])
            told += [[next(statuses) for _ in batch] for batch in call]
    return told


def ask(requests: Sequence[Message]) -> list[bytes | None]:
    """Send requests that have one answer each; None for what is not there (any more)."""
    found: list[bytes | None] = []
    with _rtnetlink() as s:
        for start in range(0, len(requests), _MOST_MESSAGES):
            part = requests[start : start + _MOST_MESSAGES]
            last = len(part) - 1
            s.send(b"".join(_framed(m, at, ack=at == last) for at, m in enumerate(part)))
            answers = {at: body for at, _, body in _answers(s, last) if body is not None}
            found += [answers.get(at) for at in range(len(part))]
    return found


def dump(request: Message) -> list[bytes]:
    """Send a request for a list; give what the kernel lists, read again if it changed meanwhile."""
    with _rtnetlink() as s:
        for _ in range(_TRIES):
            s.send(_framed(request, 0, ack=False))
            if (bodies := _listed(s)) is not None:
                return bodies
    raise VmnetError(
        f"the kernel's list of network devices changed on each of {_TRIES} readings",
        fix="wait until whatever makes devices is done, then run it again",
    )


def _rtnetlink() -> socket.socket:
    s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _ROUTE)
    for option, fallback in ((_SNDBUFFORCE, socket.SO_SNDBUF), (_RCVBUFFORCE, socket.SO_RCVBUF)):
        try:
            s.setsockopt(socket.SOL_SOCKET, option, _BUFFER)
        except PermissionError:
            s.setsockopt(socket.SOL_SOCKET, fallback, _BUFFER)
    s.setsockopt(_SOL_NETLINK, _CAP_ACK, 1)  # answers do not repeat the question
    s.bind((0, 0))
    s.settimeout(_ANSWER_S)
    return s


def _packed(batches: Iterable[Sequence[Message]]) -> Iterator[list[Sequence[Message]]]:
    """Put batches together until one call is full."""
    group: list[Sequence[Message]] = []
    count = size = 0
    for batch in batches:
        weight = sum(len(m.body) for m in batch)
        if group and (count + len(batch) > _MOST_MESSAGES or size + weight > _MOST_BYTES):
            yield group
            group, count, size = [], 0, 0
        group.append(batch)
        count, size = count + len(batch), size + weight
    if group:
        yield group


def _framed(message: Message, sequence: int, *, ack: bool) -> bytes:
    flags = _REQUEST | message.flags | (_ACK if ack else 0)
    size = _HEADER.size + len(message.body)
    return _HEADER.pack(size, message.kind, flags, sequence, 0) + message.body


def _answers(s: socket.socket, last: int) -> Iterator[tuple[int, int, bytes | None]]:
    """Give (sequence, errno, body) of each answer, until the message `last` is acknowledged."""
    while True:
        data = _received(s)
        for at in _messages(data):
            size, kind, _, sequence, _ = _HEADER.unpack_from(data, at)
            if kind == _ERROR:
                yield sequence, -struct.unpack_from("=i", data, at + _HEADER.size)[0], None
                if sequence == last:
                    return
            else:
                yield sequence, 0, data[at + _HEADER.size : at + size]


def _listed(s: socket.socket) -> list[bytes] | None:
    """Read a list to its end; None when it was changed while it was read (NLM_F_DUMP_INTR)."""
    bodies: list[bytes] = []
    interrupted = False
    while True:
        data = _received(s)
        for at in _messages(data):
            size, kind, flags, _, _ = _HEADER.unpack_from(data, at)
            interrupted = interrupted or bool(flags & _DUMP_INTERRUPTED)
            if kind == _ERROR:
                raise refused(-struct.unpack_from("=i", data, at + _HEADER.size)[0], "reading")
            if kind == _DONE:
                return None if interrupted else bodies
            bodies.append(data[at + _HEADER.size : at + size])


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
        data = _received(s)
        for offset in _messages(data):
            yield -struct.unpack_from("=i", data, offset + 16)[0]
            expected -= 1


def _received(s: socket.socket) -> bytes:
    """Return the kernel's next answer. Raises VmnetError when none comes within the socket's time.

    The kernel does one thing at a time with network devices (rtnl_lock), for whoever asks.
    """
    try:
        return s.recv(_READ)
    except TimeoutError:
        raise VmnetError(
            f"the kernel has not answered about network devices for {s.gettimeout():g} s",
            fix="see what keeps it busy with them (dmesg, ps -eo pid,stat,args), then try again",
        ) from None


def _messages(data: bytes) -> Iterator[int]:
    """Give the offset of each netlink message."""
    offset = 0
    while offset < len(data):
        yield offset
        (length,) = struct.unpack_from("=I", data, offset)
        offset += (length + 3) & ~3


def refused(status: int, doing: str, *, made: bool = True, fix: str | None = None) -> Exception:
    """Say what the kernel answered; FileExistsError when the very first message met its like.

    `fix` replaces the stock advice.
    """
    if status == errno.EEXIST and not made:
        return FileExistsError(status, doing)
    return VmnetError(
        f"{doing}: the kernel says {os.strerror(status)}",
        fix=fix or _MENDS.get(status, "look at the kernel's log: dmesg"),
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
