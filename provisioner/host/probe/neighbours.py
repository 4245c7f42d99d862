"""Ask the machines behind a device who they are, and ping them from the host's own stack.

`neighbours` uses a packet socket: it needs CAP_NET_RAW and a device that is up, but no address on
it, and the host's neighbour cache does not change. `ping` is the opposite: it goes the way that the
host's own programs would go. Everything happens in the network namespace
of the calling thread, and nothing is read from /sys, which may show another namespace's devices.
"""

import errno
import math
import os
import select
import socket
import struct
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import field, replace
from ipaddress import IPv6Address, ip_address
from typing import Final

from provisioner.dataclass import dataclass
from provisioner.errors import VmnetError
from provisioner.host.netlink import addresses
from provisioner.host.probe.packet_socket import (
    LOST,
    Asker,
    Wire,
    explained,
    index_of,
    index_when_up,
)
from provisioner.network import frames
from provisioner.network.frames import Answer
from provisioner.plan.ip import Address

_LINGER_S: Final = 0.02  # a second owner answers in the millisecond of the first
_SHORTEST_PACE_S: Final = 0.05
_LONGEST_PACE_S: Final = 0.5
_REQUESTS_PER_S: Final = 200  # every guest is woken by every broadcast
_PATIENCE: Final = 0.05  # a guest that took 10 s to boot may be noticed half a second late
_ROUTER_S, _MOST_ROUTERS = 0.5, 8  # how long routers are asked, and how many
_MOST_MACS: Final = 8  # a hostile guest can make up as many as it likes
_UNREACHABLE: Final = LOST | {errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EACCES, errno.EPERM}
_SECRET: Final = 16  # bytes of a ping that nobody can guess
_HEADERS: Final = {4: 28, 6: 48}  # bytes of IP's and ICMP's
_LARGEST: Final = 1 << 16
_SOL_RAW, _ICMP_FILTER, _ICMPV6_FILTER = 255, 1, 1  # linux/icmp.h, linux/icmpv6.h


@dataclass(frozen=True, slots=True)
class Seen:
    """Who answered for an address.

    `mac` is the expected MAC once it has answered, until then the first that did; `seconds` passed
    between the first request and its answer; `macs` are all that answered, in order of arrival
    (at most 8 besides the expected one): more than one of them use the same address.
    """

    mac: str
    seconds: float
    macs: tuple[str, ...]


@dataclass(slots=True, kw_only=True)
class Sought:
    """Who should answer for an address ("" for anybody), since when it is asked for, who has."""

    expected: str
    asked: float = 0.0  # time.monotonic(), 0 before the first request
    seen: Seen | None = None

    @property
    def answered(self) -> bool:
        """Whether the one who should answer has."""
        return self.seen is not None and self.expected in {"", self.seen.mac}

    def take(self, mac: str) -> bool:
        """Add the MAC of an answer; return whether it is new."""
        macs = self.seen.macs if self.seen else ()
        expected = mac == self.expected
        if not self.asked or mac in macs or (len(macs) >= _MOST_MACS and not expected):
            return False
        if self.seen is None or expected:
            self.seen = Seen(mac, time.monotonic() - self.asked, (*macs, mac))
        else:
            self.seen = replace(self.seen, macs=(*macs, mac))
        return True


def neighbours(
    device: str, targets: Mapping[Address, str], *, deadline_s: float
) -> dict[Address, Seen]:
    """Ask for every target at once; return those that answered within `deadline_s` seconds.

    The values are the MACs that should answer, "" takes anybody's. Safe for guests that are still
    booting: no request looks like a rival's who wants the same address (RFC 4862, 5.4.3), except
    that a device without an IPv4 address in the target's network sends ARP probes from 0.0.0.0.
    Raises VmnetError without CAP_NET_RAW, and when the device is not there, not up or not Ethernet,
    also when that happens meanwhile.
    """
    if not targets:
        return {}
    with Wire(device) as wire:
        return dict(watch(wire, targets, deadline_s))


def watch(
    wire: Asker, targets: Mapping[Address, str], deadline_s: float, *, every_s: float = 0.1
) -> Iterator[tuple[Address, Seen]]:
    """Return each target when it answers, and again whenever another MAC answers for it.

    Requests are repeated every `every_s` seconds (at least 0.05), ever more slowly as time passes
    and while many guests are silent, at most 0.5 s apart when they are few. It ends at the
    deadline, or when all expected MACs have answered.
    """
    search = _Search(wire, targets, every_s, deadline_s)
    while (wait_s := search.ask()) > 0:
        for answer in wire.answers(wait_s):
            yield from search.news(answer)


def ping(
    targets: Iterable[Address],
    *,
    device: str | None = None,
    deadline_s: float,
    tries: int = 3,
    sizes: Mapping[Address, int] | None = None,
) -> dict[Address, float]:
    """Ping every target at once from the host's stack; return the round trips in seconds.

    `sizes` has the bytes of the IP packets that are sent, where they are not to be small.

    The tries are spread evenly over `deadline_s`; the end comes when all have answered, else at the
    deadline. What the host has no route to, or must not send to, is simply not in the result.
    With `device` everything leaves and arrives there. Raises VmnetError without CAP_NET_RAW, when
    the device is not there or not up, and for a link-local target without a device.
    """
    wanted = tuple(dict.fromkeys(targets))
    with ExitStack() as stack, explained(device):
        scope = index_when_up(device) if device else 0
        sockets: dict[int, socket.socket] = {
            version: stack.enter_context(_icmp_socket(version, device))
            for version in sorted({target.version for target in wanted})
        }
        return _Pings(sockets, wanted, sizes or {}, scope).answered(deadline_s, tries)


def routers(own: Collection[int]) -> tuple[Address, ...]:
    """Return a router of this host's that answers its ping, for each IP version that has one.

    Default routes come first; routes through devices whose ifindex is in `own` are left out, and so
    are link-local routers, which nobody behind this host can ask for. Raises VmnetError without
    CAP_NET_RAW.
    """
    found = sorted(addresses.routes(), key=lambda route: route.network.prefixlen)
    gateways = (ip_address(x.gateway) for x in found if x.gateway and x.index not in own)
    asked = list(dict.fromkeys(x for x in gateways if not x.is_link_local))[:_MOST_ROUTERS]
    seen = ping(asked, deadline_s=_ROUTER_S)
    first: dict[int, Address] = {}
    for router in asked:
        if router in seen:
            first.setdefault(router.version, router)
    return tuple(first.values())


@dataclass(slots=True)
class _Target(Sought):
    address: Address
    request: bytes


class _Search:
    """What is still wanted, when to ask again, and when to stop."""

    def __init__(
        self, wire: Asker, targets: Mapping[Address, str], every_s: float, deadline_s: float
    ) -> None:
        self._wire = wire
        self._every_s = max(every_s, _SHORTEST_PACE_S)
        self._start = self._next = time.monotonic()
        self._end = self._start + deadline_s
        self._targets = {
            target.packed: _Target(target, wire.request(target), expected=mac)
            for target, mac in targets.items()
        }

    def ask(self) -> float:
        """Ask whoever is silent if it is time to; return the seconds until there is more to do."""
        now = time.monotonic()
        if self._next <= now < self._end:
            silent = [x for x in self._targets.values() if not x.answered]
            for target in silent:
                target.asked = target.asked or time.monotonic()
                self._wire.send(target.request)
            self._next = now + self._pace_s(now - self._start, len(silent))
        return min(self._next, self._end) - now

    def news(self, answer: Answer) -> Iterator[tuple[Address, Seen]]:
        """Return what an answer changes. After the last one only rivals are awaited."""
        target = self._targets.get(answer.address.packed)
        if target is None or not target.take(answer.mac) or target.seen is None:
            return
        yield target.address, target.seen
        if all(x.answered for x in self._targets.values()):
            self._end = min(self._end, time.monotonic() + _LINGER_S)

    def _pace_s(self, elapsed_s: float, silent: int) -> float:
        slow = max(self._every_s, elapsed_s * _PATIENCE, silent / _REQUESTS_PER_S)
        return max(self._every_s, min(slow, _LONGEST_PACE_S))


@dataclass(slots=True)
class _Ping:
    target: Address
    padding: int = 0
    secret: bytes = field(default_factory=lambda: os.urandom(_SECRET))  # nobody else answers
    sent: dict[int, float] = field(default_factory=dict)


class _Pings:
    """Some targets, each pinged until it answers."""

    def __init__(
        self,
        sockets: Mapping[int, socket.socket],
        targets: Iterable[Address],
        sizes: Mapping[Address, int],
        scope: int,
    ) -> None:
        self._sockets = sockets
        self._scope = scope
        self._identity = int.from_bytes(os.urandom(2))
        pings = [_Ping(a, max(0, sizes.get(a, 0) - _HEADERS[a.version] - _SECRET)) for a in targets]
        self._silent = {ping.secret: ping for ping in pings}
        self._seconds: dict[Address, float] = {}
        self._poll = select.poll()
        for each in sockets.values():
            self._poll.register(each, select.POLLIN)

    def answered(self, deadline_s: float, tries: int) -> dict[Address, float]:
        start = time.monotonic()
        for sequence in range(tries):
            for ping in self._silent.values():
                self._send(ping, sequence)
            until = start + deadline_s * (sequence + 1) / tries
            while self._silent and (wait_s := until - time.monotonic()) > 0:
                self._poll.poll(math.ceil(wait_s * 1000))
                for version, each in self._sockets.items():
                    self._receive(version, each)
        return self._seconds

    def _send(self, ping: _Ping, sequence: int) -> None:
        data = ping.secret + bytes(ping.padding)
        message = frames.echo_request(ping.target, self._identity, sequence, data)
        ping.sent[sequence] = time.monotonic()
        with explained(None, _UNREACHABLE):
            self._sockets[ping.target.version].sendto(
                message, _destination(ping.target, self._scope)
            )

    def _receive(self, version: int, each: socket.socket) -> None:
        with explained(None, LOST):
            for _ in range(len(self._silent)):  # a flood must not keep us from the deadline
                packet, source = each.recvfrom(_LARGEST)
                self._take(frames.echo_reply(packet, version, self._identity), source[0])

    def _take(self, echo: frames.Echo | None, source: str) -> None:
        ping = self._silent.get(echo.data[:_SECRET]) if echo else None
        if echo is None or ping is None or echo.sequence not in ping.sent:
            return
        if len(echo.data) != _SECRET + ping.padding:
            return
        if ip_address(source.partition("%")[0]).packed == ping.target.packed:
            self._seconds[ping.target] = time.monotonic() - ping.sent[echo.sequence]
            del self._silent[ping.secret]


def _icmp_socket(version: int, device: str | None) -> socket.socket:
    """Open a raw socket that receives echo replies only (raw(7), RFC 3542 3.2)."""
    family, protocol = (
        (socket.AF_INET, socket.IPPROTO_ICMP)
        if version == 4  # noqa: PLR2004
        else (socket.AF_INET6, socket.IPPROTO_ICMPV6)
    )
    opened = socket.socket(family, socket.SOCK_RAW | socket.SOCK_NONBLOCK, protocol)
    try:
        if device:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode() + b"\0")
        if family == socket.AF_INET:
            opened.setsockopt(_SOL_RAW, _ICMP_FILTER, struct.pack("I", ~(1 << 0) & 0xFFFFFFFF))
        else:
            blocked = [0xFFFFFFFF] * 8
            blocked[129 // 32] ^= 1 << 129 % 32
            opened.setsockopt(socket.IPPROTO_ICMPV6, _ICMPV6_FILTER, struct.pack("8I", *blocked))
    except BaseException:
        opened.close()
        raise
    return opened


def _destination(target: Address, scope: int) -> tuple[str, int] | tuple[str, int, int, int]:
    if isinstance(target, IPv6Address):
        return str(IPv6Address(target.packed)), 0, 0, scope or _scope(target)
    return str(target), 0


def _scope(target: IPv6Address) -> int:
    name = target.scope_id
    if target.is_link_local and not name:
        raise VmnetError(
            f"{target} is a link-local address: it says nothing without a device",
            fix="name the device that it is behind",
        )
    return index_of(name) if name else 0
