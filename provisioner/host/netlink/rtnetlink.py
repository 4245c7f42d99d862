"""Requests to the kernel's rtnetlink, and its answers, in pyroute2's messages.

Several messages go in one call: a process that is killed leaves all of them done or none. pyroute2
cannot tell which message of a batch has failed (nlm_request_batch raises the first error or none,
IPBatch only collects bytes), so the numbering of messages and the matching of answers are here.
"""

import errno
import os
import socket
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, TypeVar

from provisioner.errors import Exit, VmnetError
from provisioner.host.netlink.message import Message

T = TypeVar("T")

_NLM_F_DUMP_INTR, _NLM_F_DUMP = 0x10, 0x300
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_ANSWER_S = 30.0  # the kernel's lock over all links may be held by somebody else for a while
_MOST_ANSWERS = 64  # of a call: they fit into the socket's buffer as kernels limit it (rmem_max)
_READ, _BUFFER = 1 << 16, 1 << 20
_TRIES = 20

_FIXES: Final = {
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
    import provisioner.host.netlink.pyroute2_codec  # noqa: F401


def write(doing: str, messages: Sequence[Message]) -> None:
    """Send all messages in one call; a failing one does not stop those behind it.

    Raises VmnetError for the first that was refused.
    """
    for message, status in zip(messages, transact([messages])[0], strict=True):
        if status:
            raise refused(status, doing, fix=message.fixes.get(status))


def transact(batches: Iterable[Sequence[Message]]) -> list[list[int]]:
    """Send batches of messages, a call each; return the errno of each message, 0 for done.

    A kill leaves all of a batch done or none. A failing message does not stop those behind it.
    """
    out = []
    with _socket() as rtnl:
        for batch in batches:
            found = _answers_to(rtnl, batch)
            statuses = (-answer["error"] if answer else 0 for answer in found)
            pairs = zip(batch, statuses, strict=True)
            out.append([0 if status in one.ignored else status for one, status in pairs])
    return out


def ask(requests: Sequence[Message]) -> list[Any]:
    """Send requests that have one answer each; None for what is not there (any more)."""
    out: list[Any] = []
    with _socket() as rtnl:
        for at in range(0, len(requests), _MOST_ANSWERS):
            out += _answers_to(rtnl, requests[at : at + _MOST_ANSWERS])
    return [None if answer and _is_error(answer) else answer for answer in out]


def dump(request: Message, read: Callable[[Any], T]) -> list[T]:
    """Send a request for a list; return what `read` makes of each of its messages.

    The list is read again if it changed meanwhile.
    """
    from provisioner.host.netlink.pyroute2_codec import encode

    with _socket() as rtnl:
        for sequence in range(_TRIES):
            rtnl.send(encode(request, sequence, _NLM_F_DUMP))
            listed = _listed(rtnl, read)
            if listed is not None:
                return listed
    raise VmnetError(
        f"the kernel's list of network devices changed on each of {_TRIES} readings",
        fix="wait until whatever makes devices is done, then run it again",
    )


def refused(status: int, doing: str, *, made: bool = True, fix: str | None = None) -> Exception:
    """Return the error for the kernel's answer; FileExistsError when the creation itself failed so.

    `fix` replaces the stock advice.
    """
    if status == errno.EEXIST and not made:
        return FileExistsError(status, doing)
    return VmnetError(
        f"{doing}: the kernel says {os.strerror(status)}",
        fix=fix or _FIXES.get(status, "look at the kernel's log: dmesg"),
        status=Exit.HOST_CANNOT,
    )


def _socket() -> socket.socket:
    """Open a socket to the rtnetlink of the calling thread's network namespace."""
    rtnl = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
    rtnl.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
    rtnl.settimeout(_ANSWER_S)
    return rtnl


def _answers_to(rtnl: socket.socket, messages: Sequence[Message]) -> list[Any]:
    """Send messages in one call; return what the kernel answers to each: an error, a reply, None.

    It does not answer what is done and has no reply, so one more message marks the end.
    """
    from provisioner.host.netlink.pyroute2_codec import encode, encode_end

    end = len(messages)
    encoded = [encode(message, number) for number, message in enumerate(messages)]
    rtnl.send(b"".join([*encoded, encode_end(end)]))
    found: dict[int, Any] = {}
    for answer in _answers(rtnl):
        found[answer["header"]["sequence_number"]] = answer
        if end in found:
            break
    return [found.get(number) for number in range(end)]


def _listed(rtnl: socket.socket, read: Callable[[Any], T]) -> list[T] | None:
    """Read a list to its end; None when it was changed while it was read."""
    listed: list[T] = []
    interrupted = False
    for answer in _answers(rtnl):
        interrupted |= bool(answer["header"]["flags"] & _NLM_F_DUMP_INTR)
        if _is_error(answer):
            raise refused(-answer["error"], "reading")
        if answer["header"]["type"] == _NLMSG_DONE:
            break
        listed.append(read(answer))
    return None if interrupted else listed


def _answers(rtnl: socket.socket) -> Iterator[Any]:
    from provisioner.host.netlink.pyroute2_codec import parse

    while True:
        yield from parse(_received(rtnl))


def _is_error(answer: Any) -> bool:
    return bool(answer["header"]["type"] == _NLMSG_ERROR)


def _received(rtnl: socket.socket) -> bytes:
    """Return the kernel's next answer. Raises VmnetError when none comes within the socket's time.

    The kernel does one thing at a time with network devices (rtnl_lock), for whoever asks.
    """
    try:
        return rtnl.recv(_READ)
    except TimeoutError:
        raise VmnetError(
            f"the kernel has not answered about network devices for {rtnl.gettimeout():g} s",
            fix="see what keeps it busy with them (dmesg, ps -eo pid,stat,args), then try again",
        ) from None
