"""Put a control in at an uplink: whether the guests on it would have answered.

A ping that comes in by a synthetic wire goes the way of every frame from the cable: through the
filters at the uplink's ingress, to the macvtap of its MAC, into the guest (net/core/dev.c:
__netif_receive_skb_core runs nf_ingress for frames that act_mirred redirects too). Its sender is an
address that nobody else asks about, so what the guest then sends about that address, who-has or a
reply, is the answer to this ping and to nothing else. No neighbour cache of others changes.
"""

import errno
import math
import os
import select
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import field, replace
from enum import Enum, auto
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from typing import Final

from provisioner.check.isolation import Path as UplinkPath
from provisioner.dataclass import dataclass
from provisioner.errors import VmnetError
from provisioner.host.netlink import links
from provisioner.host.probe import mesh
from provisioner.host.probe.ingress_injector import SyntheticWire
from provisioner.host.probe.packet_socket import LOST, Wire, explained, packet_socket
from provisioner.network import filters, frames
from provisioner.network.frames import Arp, Ip, Nd
from provisioner.plan.ip import Address
from provisioner.plan.mac import Mac

_EVERY_S: Final = 0.2
_BURST: Final = 128
_BURST_S: Final = 0.005
_BEYOND_S: Final = 1.0
_STATIONS_S, _STATIONS_EVERY_S = 2.0, 0.2
"""One that has just asked for our address in vain asks again, or gives up, after 1 s (RFC 4861)."""
_MOST_STATIONS: Final = 8
_ARP_COMPLETE: Final = 0x2  # linux/if_arp.h: ATF_COM
_ALL: Final = 3


class Enough(Enum):
    """What shows that an end takes what it has to: an answer to this, or to the ping."""

    PING = auto()
    WHO_HAS = auto()  # asked of all: an end that is asked no more than that
    WHO_HAS_ALONE = auto()  # asked of its MAC: an end that waits for an answer to its own question


@dataclass(frozen=True, slots=True)
class Injected:
    """A ping of `stranger` for one address of an end, and the devices where its answer may leave.

    `stranger` is of the end's subnet and nobody's. `source_mac` "" is the uplink's.
    """

    target: Address
    target_mac: str
    source_mac: str
    stranger: Address
    devices: tuple[str, ...]
    enough: Enough = Enough.PING


@dataclass(frozen=True, slots=True)
class Beyond:
    """Whom to look for beyond an uplink, and the guests to do it for: macvtap and MAC of each."""

    guests: tuple[tuple[str, str], ...] = ()
    known: tuple[Address, ...] = ()


@dataclass(frozen=True, slots=True)
class ControlSeen:
    """What came of the controls at one uplink: seconds until each was answered; the path."""

    path: UplinkPath
    answered: dict[Injected, float] = field(default_factory=dict)
    why: str = ""  # why nothing could be put in


def control(
    uplink: str, injected: Sequence[Injected], beyond: Beyond | None, deadline_s: float
) -> ControlSeen:
    """Put pings in at an uplink until all are answered, at most `deadline_s` seconds.

    `beyond` None asks nobody beyond the uplink. An uplink that is not there, down or without
    carrier is told in `path`; nothing is sent then.
    """
    path = _path(uplink, beyond)
    if path.broken:
        return ControlSeen(path)
    try:
        answered = _answered(uplink, injected, deadline_s)
    except VmnetError as error:
        return ControlSeen(path, why=error.what)
    deaf = not answered and len({one.target_mac for one in injected}) > 1
    return ControlSeen(replace(_path(uplink, beyond, asks=True), deaf=deaf), answered)


def _path(uplink: str, beyond: Beyond | None, *, asks: bool = False) -> UplinkPath:
    link = links.named(uplink)
    if link is None:
        return UplinkPath(uplink)
    path = UplinkPath(uplink, True, link.up, link.carrier, None if beyond is None else "")  # noqa: FBT003
    if not asks or beyond is None or path.broken:
        return path
    try:
        found = _beyond(uplink, beyond)
    except VmnetError:
        found = ""  # nothing can be sent there: nobody has answered
    return UplinkPath(uplink, True, link.up, link.carrier, found)  # noqa: FBT003


class _Answers:
    """What ends send about strangers, from a socket that sees all devices."""

    def __init__(self, stack: ExitStack, injected: Sequence[Injected]) -> None:
        program = filters.beginnings(of_others=False)
        with explained(None):
            self.socket = stack.enter_context(packet_socket(program, every_device=True))
        self._poll = select.poll()
        self._poll.register(self.socket, select.POLLIN)
        self._by_stranger: dict[bytes, list[Injected]] = {}
        self._by_target: dict[bytes, list[Injected]] = {}
        for one in injected:
            self._by_stranger.setdefault(one.stranger.packed, []).append(one)
            if one.enough is not Enough.PING:
                self._by_target.setdefault(one.target.packed, []).append(one)

    def within(self, wait_s: float) -> Iterator[Injected]:
        """Return whose answers have come, after at most `wait_s` seconds."""
        if not self._poll.poll(max(0, math.ceil(wait_s * 1000))):
            return
        for _ in range(_BURST * 8):
            try:
                frame, about = self.socket.recvfrom(2048)
            except OSError as error:
                if error.errno in LOST:
                    return
                if error.errno in {errno.ENETDOWN, errno.EINTR}:
                    continue
                raise
            # Where ARP is off, a guest sends to its own MAC: nobody gets that.
            if about[2] == socket.PACKET_OUTGOING and frame[:6] != frame[6:12]:
                yield from self._whose(about[0], frame)

    def _whose(self, device: str, frame: bytes) -> Iterator[Injected]:
        mac = frames.source_mac(frame)
        by, key = self._by_stranger, b""
        match frames.parse(frame):
            case Arp(operation=1) as arp:
                key = arp.target.packed
            case Arp() as arp:
                by, key = self._by_target, arp.sender.packed
            case Nd() as nd if nd.solicits:
                key = nd.target.packed
            case Nd() as nd:
                by, key = self._by_target, nd.target.packed
            case Ip() as ip:
                key = ip.destination.packed
            case _:
                return
        # About a stranger a guest may send by any of its NICs; who-has each NIC answers for itself.
        any_nic = by is self._by_stranger
        for one in by.get(key, ()):
            if device in one.devices and (any_nic or mac == one.target_mac):
                yield one


def _answered(
    uplink: str, injected: Sequence[Injected], deadline_s: float
) -> dict[Injected, float]:
    """Put the pings in again and again; return after how many seconds each was answered."""
    if not injected:
        return {}
    with ExitStack() as stack:
        asking = _Asking(stack, uplink, injected)
        # An end's answer to who-has looks the same whether all were asked or it alone.
        alone = [one for one in injected if one.enough is Enough.WHO_HAS_ALONE]
        others = [one for one in injected if one.enough is not Enough.WHO_HAS_ALONE]
        end = time.monotonic() + deadline_s
        asking.ask(alone, end - deadline_s / 2 if others else end)
        asking.ask(others, end)
        # Closing it and deleting the wire wait for an RCU grace period each: side by side.
        closing = threading.Thread(target=asking.answers.socket.close)
        closing.start()
    closing.join()
    return asking.found


class _Asking:
    """The pings of one uplink on their way, and after how many seconds each was answered."""

    def __init__(self, stack: ExitStack, uplink: str, injected: Sequence[Injected]) -> None:
        self.found: dict[Injected, float] = {}
        self._first: dict[Injected, float] = {}
        self.answers = _Answers(stack, injected)
        self._wire = stack.enter_context(SyntheticWire(uplink, self.answers.socket))

    def ask(self, injected: Sequence[Injected], end: float) -> None:
        """Put pings in again and again until all are answered, or it is too late."""
        while time.monotonic() < end and (left := self._left(injected)):
            again = min(time.monotonic() + _EVERY_S, end)
            for at in range(0, len(left), _BURST):
                burst = left[at : at + _BURST]
                self._send(burst)
                self._listen(time.monotonic() + _BURST_S, burst)
            self._listen(again, left)

    def _left(self, injected: Sequence[Injected]) -> list[Injected]:
        return [one for one in injected if one not in self.found]

    def _send(self, burst: Sequence[Injected]) -> None:
        for one in burst:
            self._first.setdefault(one, time.monotonic())
            for frame in _frames(self._wire, one):
                self._wire.send(frame)

    def _listen(self, until: float, awaited: Sequence[Injected]) -> None:
        """Take answers until all that are awaited have come, or it is too late."""
        wanted = frozenset(awaited)
        while self._left(awaited) and (wait_s := until - time.monotonic()) > 0:
            for one in self.answers.within(wait_s):
                if one in wanted:
                    self.found.setdefault(one, time.monotonic() - self._first[one])


def _frames(wire: SyntheticWire, one: Injected) -> Iterator[bytes]:
    identity = int.from_bytes(one.stranger.packed[-2:])
    mac = one.source_mac or wire.mac
    yield frames.ping_frame(one.stranger, one.target, mac, one.target_mac, identity)
    if one.enough is Enough.PING:
        return
    if isinstance(one.target, IPv6Address):
        who_has = frames.neighbour_solicitation(one.target, mac, frames.link_local(mac))
    else:
        who_has = frames.arp_request(one.target, mac)
    alone = one.enough is Enough.WHO_HAS_ALONE
    yield Mac(one.target_mac).packed + who_has[6:] if alone else who_has


def _beyond(uplink: str, beyond: Beyond) -> str:
    """Ask in guests' places for machines beyond the uplink; return who has answered, or ""."""
    if found := _meets(uplink, beyond, (*beyond.known, *_arp_cache(uplink))):
        return found
    return _meets(uplink, beyond, _stations(uplink))


def _meets(uplink: str, beyond: Beyond, known: Sequence[Address]) -> str:
    if not known:
        return ""
    asks = [mesh.Ask(device, mac, address) for device, mac in beyond.guests for address in known]
    answered = mesh.answered(asks, _BEYOND_S).seen
    # What is on the same uplink is not beyond it: bridge mode hands its answers over.
    beside = _beside(uplink) if answered else set()
    for ask, seen in answered.items():
        if seen.mac not in beside:
            return str(ask.target)
    return "" if beyond.guests else _meets_uplink(uplink, known)


def _beside(uplink: str) -> set[str]:
    """Return the MACs of the macvtaps and macvlans on an uplink; a veth's peer is its far end."""
    every = links.every()
    index = next((x.index for x in every if x.name == uplink), 0)
    return {x.mac for x in every if x.mode and x.lower == index}


def _meets_uplink(uplink: str, known: Sequence[Address]) -> str:
    """Ask from the uplink's own MAC: where a guest's list lets no answer of others in."""
    with Wire(uplink, anonymous=True) as wire:
        for address in known:
            wire.send(wire.request(address))
        end = time.monotonic() + _BEYOND_S
        while (left_s := end - time.monotonic()) > 0:
            for answer in wire.answers(left_s):
                if answer.address in known:
                    return str(answer.address)
    return ""


def _arp_cache(uplink: str) -> list[Address]:
    """Return the IPv4 neighbours that the host knows behind a device (proc_net(5))."""
    text = Path("/proc/thread-self/net/arp").read_text(encoding="ascii", errors="replace")
    rows = [line.split() for line in text.splitlines()[1:]]
    known = [r for r in rows if len(r) == 6 and r[5] == uplink and int(r[2], 16) & _ARP_COMPLETE]  # noqa: PLR2004
    return [ip_address(row[0]) for row in known[:_MOST_STATIONS]]


def _stations(uplink: str) -> list[Address]:
    """Ask all IPv6 machines beyond an uplink to speak; return the first that do.

    Who wants to answer has to ask for the link-local address of the uplink's MAC first, which is
    answer enough: it need not be there. One that has asked in vain does not ask again for the last
    second before it gives up, nor afterwards for what came meanwhile: so all are asked repeatedly.
    """
    found: dict[Address, None] = {}
    link = links.named(uplink)
    if link is None:
        return []
    program = filters.beginnings(of_others=True)
    # A filter at the egress makes sending fail as a full queue does.
    with explained(uplink, LOST), packet_socket(program, outgoing=False) as wire:
        wire.bind((uplink, _ALL))
        ping = frames.ping_all_nodes(link.mac, os.getpid() & 0xFFFF)
        end, due = time.monotonic() + _STATIONS_S, 0.0
        poll = select.poll()
        poll.register(wire, select.POLLIN)
        while (now := time.monotonic()) < end and len(found) < _MOST_STATIONS:
            if now >= due and not found:
                wire.send(ping)
                due = now + _STATIONS_EVERY_S
            until = end if found else min(end, due)
            if not poll.poll(max(0, math.ceil((until - now) * 1000))):
                continue
            match frames.parse(wire.recv(2048)):
                case Nd() as nd if nd.solicits and nd.sender.is_link_local:
                    found[nd.sender] = None
                case Ip(source=IPv6Address() as source) if source.is_link_local:
                    found[source] = None
                case _:
                    pass
            if found:
                end = min(end, time.monotonic() + _BURST_S)
    return list(found)
