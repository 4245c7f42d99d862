"""Ask who has an address in a guest's place, for many guests at once: no agent is needed.

A frame that is sent by a packet socket on a macvtap goes the very way that a frame of its guest
goes: both enter at dev_queue_xmit of the macvtap (drivers/net/tap.c: tap_get_user), pass the same
guard at its egress hook, and are switched by the same mode. What is answered to the guest's MAC
arrives at the macvtap and is received there. So a whole mesh is measured in one loop; the asking
guest's own stack takes no part, that of the asked one does.

Two things must hold for two guests to meet: a broadcast (or multicast) of the one arrives at the
other, and unicast passes both ways. One broadcast of each guest is enough to see at which other
macvtaps it arrives; then each pair is asked by unicast, which wakes no third guest. Where the far
end is not a macvtap of ours, the question itself is broadcast.

One packet socket serves all devices: closing one costs an RCU grace period, some milliseconds.
"""

import errno
import os
import select
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from ipaddress import IPv4Address
from itertools import zip_longest
from typing import Final

from provisioner.dataclass import dataclass
from provisioner.errors import VmnetError
from provisioner.host.probe.neighbours import Seen, Sought
from provisioner.host.probe.packet_socket import LOST, explained, index_when_up, packet_socket
from provisioner.network import filters, frames
from provisioner.plan.ip import Address
from provisioner.plan.mac import Mac

_BUFFER: Final = 4 << 20  # bytes: the answers to many bursts
_BURST: Final = 128
"""Questions in flight. The kernel keeps at most 1000 broadcasts per uplink for later (macvlan.c:
MACVLAN_DEFAULT_BC_QUEUE_LEN), and a guest's queue holds 500 frames."""
_BURST_S: Final = 0.005  # for the answers to a burst before the next one: they come in 1 ms
_EVERY_S: Final = 0.1
_LINGER_S: Final = 0.01  # a second owner answers in the millisecond of the first


@dataclass(frozen=True, slots=True)
class Ask:
    """Who has `target`? Asked on a macvtap, with the MAC of the guest behind it.

    `target_mac` is who should answer, "" takes anybody; `target_device` is the macvtap of the
    asked guest, "" where there is none. `own` is the asking guest's own address of that version:
    proxies answer for others only to somebody (net/ipv4/arp.c: arp_process).
    """

    device: str
    source_mac: str
    target: Address
    target_mac: str = ""
    target_device: str = ""
    own: Address | None = None


@dataclass(frozen=True, slots=True)
class MeshAnswers:
    """Who answered which question, and what could not be asked, and why. The rest was silent.

    In `unicast_only` are those that answered by unicast, but that no broadcast of the asking guest
    has reached: they meet only when they know each other's MAC already.
    """

    seen: dict[Ask, Seen]
    unicast_only: dict[Ask, Seen]
    untested: dict[Ask, str]


def answered(asks: Sequence[Ask], deadline_s: float) -> MeshAnswers:
    """Ask everything, each until it is answered or `deadline_s` seconds after it was first asked.

    The silent are asked again ten times a second. A device that is not there, not up or goes
    away loses its own questions only. Raises VmnetError without CAP_NET_RAW.
    """
    found = MeshAnswers({}, {}, {})
    if not asks:
        return found
    with _socket() as sock:
        for turn in _turns(asks):
            more = _Mesh(sock, turn, deadline_s).run()
            found.seen.update(more.seen)
            found.unicast_only.update(more.unicast_only)
            found.untested.update(more.untested)
    return found


def _turns(asks: Sequence[Ask]) -> list[list[Ask]]:
    """Part the questions so that no answer can be one to two of a turn, which ask differently."""
    turns: list[dict[tuple[str, Address], Ask]] = []
    for ask in dict.fromkeys(asks):
        key = ask.device, ask.target
        free = next((turn for turn in turns if key not in turn), None)
        if free is None:
            turns.append(free := {})
        free[key] = ask
    return [list(turn.values()) for turn in turns]


@contextmanager
def _socket() -> Iterator[socket.socket]:
    with explained(None):
        opened = packet_socket(
            filters.QUESTIONS_AND_ANSWERS, outgoing=False, every_device=True, room=_BUFFER
        )
    with opened:
        _drain(opened)
        yield opened


def _drain(sock: socket.socket) -> None:
    """Throw away what came in before the filter."""
    try:
        while sock.recv(1):
            pass
    except BlockingIOError:
        return


@dataclass(slots=True)
class _State(Sought):
    """One question on its way: a broadcast first if need be, then the unicast one."""

    ask: Ask
    broadcast: bytes
    unicast: bytes  # empty where only a broadcast can be sent
    arrived: bool = False  # a broadcast of the asking guest was seen at the asked one's macvtap
    next: float = 0.0
    sent: int = 0

    @property
    def done(self) -> bool:
        """Whether all is known that was asked."""
        return self.answered and (self.arrived or not self.unicast)


class _Mesh:
    def __init__(self, sock: socket.socket, asks: Sequence[Ask], deadline_s: float) -> None:
        self._sock = sock
        self._deadline_s = deadline_s
        self._untested: dict[Ask, str] = {}
        self._up: set[str] = set()
        self._states: dict[tuple[str, bytes], _State] = {}
        self._meetings: dict[tuple[str, str], list[_State]] = {}  # source MAC, macvtap it reaches
        self._poll = select.poll()
        self._poll.register(sock, select.POLLIN)
        for ask in asks:
            self._add(ask)
        self._waiting = _spread(list(self._states.values()))
        self._waiting.reverse()
        self._open: dict[int, _State] = {}
        # Device and IP version: one broadcast is enough at first.
        self._has_broadcast: set[tuple[str, int]] = set()

    def run(self) -> MeshAnswers:
        while self._waiting or self._open:
            burst = self._next_burst()
            for state in burst:
                self._send(state)
            if burst:
                self._listen_for(burst)
            else:
                self._listen_until(min((x.next for x in self._open.values()), default=0.0))
            self._expire()
        self._listen_until(time.monotonic() + _LINGER_S, idle=True)
        full: dict[Ask, Seen] = {}
        part: dict[Ask, Seen] = {}
        for state in self._states.values():
            if state.seen:
                answers = full if state.arrived or not state.unicast else part
                answers[state.ask] = state.seen
        return MeshAnswers(full, part, self._untested)

    def _add(self, ask: Ask) -> None:
        for device in filter(None, (ask.device, ask.target_device)):
            if device not in self._up:
                try:
                    with explained(device):
                        index_when_up(device)
                except VmnetError as error:
                    if device == ask.device:
                        self._untested[ask] = error.what
                        return
                    continue  # its guest receives nothing, which is to be measured
                self._up.add(device)
        state = _State(ask, *_requests(ask), expected=ask.target_mac)
        self._states[ask.device, ask.target.packed] = state
        if ask.target_device:
            key = ask.source_mac, ask.target_device
            self._meetings.setdefault(key, []).append(state)

    def _next_burst(self) -> list[_State]:
        now = time.monotonic()
        due = [x for x in self._open.values() if x.next <= now][:_BURST]
        while self._waiting and len(due) < _BURST:
            due.append(self._waiting.pop())
        return due

    def _send(self, state: _State) -> None:
        now = time.monotonic()
        state.asked = state.asked or now
        state.next = now + _EVERY_S
        state.sent += 1
        self._open[id(state)] = state
        if not state.unicast:
            self._put(state, state.broadcast)
            return
        sender = state.ask.device, state.ask.target.version
        # The first broadcast of a guest is everybody's; who has missed it gets one of its own.
        if not state.arrived and (sender not in self._has_broadcast or state.sent > 1):
            self._has_broadcast.add(sender)
            self._put(state, state.broadcast)
        if not state.answered:
            self._put(state, state.unicast)

    def _put(self, state: _State, frame: bytes) -> None:
        device = state.ask.device
        try:
            self._sock.sendto(frame, (device, 0, 0, 0, b""))
        except OSError as error:
            if error.errno not in LOST:
                self._lose(device, f"{device} cannot send: {os.strerror(error.errno or 0)}")

    def _listen_for(self, burst: Sequence[_State]) -> None:
        until = time.monotonic() + _BURST_S
        while any(not x.done for x in burst) and (wait_s := until - time.monotonic()) > 0:
            self._listen(wait_s)

    def _listen_until(self, until: float, *, idle: bool = False) -> None:
        while (idle or self._open) and (wait_s := until - time.monotonic()) > 0:
            self._listen(wait_s)

    def _listen(self, wait_s: float) -> None:
        if not self._poll.poll(max(1, int(wait_s * 1000))):
            return
        try:
            for _ in range(_BURST * 8):
                frame, about = self._sock.recvfrom(2048)
                self._handle(about[0], frame)
        except OSError as error:
            # ENETDOWN is about any device of the namespace, once: the others go on.
            if error.errno not in LOST | {errno.ENETDOWN, errno.EINTR}:
                raise

    def _handle(self, device: str, frame: bytes) -> None:
        if mac := frames.asker(frame):
            for state in self._meetings.get((mac, device), ()):
                state.arrived = True
                self._settle(state)
        elif answer := frames.answer(frame):
            asked = self._states.get((device, answer.address.packed))
            to_us = asked and (frame[0] & 1 or frame[:6].hex(":") == asked.ask.source_mac)
            if asked and to_us and asked.take(answer.mac):
                self._settle(asked)

    def _settle(self, state: _State) -> None:
        if state.done:
            self._open.pop(id(state), None)

    def _expire(self) -> None:
        now = time.monotonic()
        for key, state in list(self._open.items()):
            if now >= state.asked + self._deadline_s:
                del self._open[key]

    def _lose(self, device: str, why: str) -> None:
        """Abandon a device that went away meanwhile; what was answered there before counts."""
        for state in self._states.values():
            if state.ask.device == device and not state.seen:
                self._untested[state.ask] = why
                self._open.pop(id(state), None)
        self._waiting = [x for x in self._waiting if x.ask.device != device]


def _requests(ask: Ask) -> tuple[bytes, bytes]:
    """Build the question for everybody, and the one for the target alone.

    For IPv4 from the guest's own address, as it asks itself, else from 0.0.0.0, which no receiver
    may store. The target alone is asked from there always: it must not learn the MAC of a guest
    whose broadcasts do not reach it. For IPv6 from the guest's link-local address: from `::` it
    would take its address from a guest that is just booting.
    """
    if isinstance(ask.target, IPv4Address):
        own = ask.own if isinstance(ask.own, IPv4Address) else frames.NOBODY4
        broadcast = frames.arp_request(ask.target, ask.source_mac, own)
        nameless = frames.arp_request(ask.target, ask.source_mac)
    else:
        sender = frames.link_local(ask.source_mac)
        broadcast = frames.neighbour_solicitation(ask.target, ask.source_mac, sender)
        nameless = broadcast
    if not (ask.target_device and ask.target_mac):
        return broadcast, b""
    return broadcast, Mac(ask.target_mac).packed + nameless[6:]


def _spread(states: list[_State]) -> list[_State]:
    """Order the questions so that all guests take turns in asking and in being asked."""
    by_device: dict[str, list[_State]] = {}
    for state in states:
        by_device.setdefault(state.ask.device, []).append(state)
    queues = [
        queue[turn % len(queue) :] + queue[: turn % len(queue)]
        for turn, queue in enumerate(by_device.values())
    ]
    return [x for turn in zip_longest(*queues) for x in turn if x is not None]
