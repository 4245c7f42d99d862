"""Asks who has an address in a guest's place, for many guests at once: no agent is needed.

A frame that is sent by a packet socket on a macvtap goes the very way that a frame of its guest
goes: both enter at dev_queue_xmit of the macvtap (drivers/net/tap.c: tap_get_user), pass the same
guard at its egress hook, and are switched by the same mode. What is answered to the guest's MAC
arrives at the macvtap and is heard there. So a whole mesh is measured in one loop; the asking
guest's own stack takes no part, that of the asked one does.

Two things must hold for two guests to meet: a broadcast (or multicast) of the one arrives at the
other, and unicast passes both ways. One broadcast of each guest is enough to see at which other
macvtaps it arrives; then each pair is asked by unicast, which wakes no third guest. Where the far
end is not a macvtap of ours, the question itself is broadcast.

One packet socket hears all devices: closing one costs an RCU grace period, some milliseconds.
"""

import errno
import os
import select
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from provisioner.errors import VmnetError
from provisioner.host.probe.mesh_state import Ask, MeshAnswers, State, requests, seen_by, spread
from provisioner.host.probe.packet_socket import explained, index_when_up, packet_socket
from provisioner.network import frames
from provisioner.network.frames import Answer

__all__ = ["Ask", "MeshAnswers", "answered"]

_FORCE_BUFFER: Final = 33  # asm-generic/socket.h: SO_RCVBUFFORCE
_BUFFER: Final = 4 << 20  # bytes: the answers to many bursts
_BURST: Final = 128
"""Questions in flight. The kernel keeps at most 1000 broadcasts per uplink for later (macvlan.c:
MACVLAN_DEFAULT_BC_QUEUE_LEN), and a guest's queue holds 500 frames."""
_BURST_S: Final = 0.005  # for the answers to a burst before the next one: they come in 1 ms
_LINGER_S: Final = 0.01  # a second owner answers in the millisecond of the first
_MOST_MACS: Final = 8  # a hostile guest can make up as many as it likes
_LOST: Final = {errno.ENOBUFS, errno.EAGAIN}


def answered(asks: Sequence[Ask], deadline_s: float, *, every_s: float = 0.1) -> MeshAnswers:
    """Ask everything, each until it is answered or `deadline_s` seconds after it was first asked.

    The silent are asked again every `every_s` seconds. A device that is not there, not up or goes
    away loses its own questions only. Raises VmnetError without CAP_NET_RAW.
    """
    if not asks:
        return MeshAnswers({}, {}, {})
    with _socket() as sock:
        loop = _Mesh(sock, asks, deadline_s, every_s)
        loop.run()
        return loop.heard


@contextmanager
def _socket() -> Iterator[socket.socket]:
    with explained(None):
        opened = packet_socket(frames.QUESTIONS_AND_ANSWERS, outgoing=False, every_device=True)
    with opened:
        with explained(None, frozenset({errno.EPERM})):  # without CAP_NET_ADMIN the usual one does
            opened.setsockopt(socket.SOL_SOCKET, _FORCE_BUFFER, _BUFFER)
        _drain(opened)
        yield opened


def _drain(sock: socket.socket) -> None:
    """Throw away what came in before the filter."""
    try:
        while sock.recv(1):
            pass
    except BlockingIOError:
        return


class _Mesh:
    def __init__(
        self, sock: socket.socket, asks: Sequence[Ask], deadline_s: float, every_s: float
    ) -> None:
        self._sock = sock
        self._deadline_s = deadline_s
        self._every_s = every_s
        self._untested: dict[Ask, str] = {}
        self._indexes: dict[str, int] = {}
        self._names: dict[int, str] = {}
        self._states: dict[tuple[str, bytes], State] = {}
        self._meetings: dict[tuple[str, str], list[State]] = {}  # source MAC, macvtap it reaches
        self._poll = select.poll()
        self._poll.register(sock, select.POLLIN)
        for ask in dict.fromkeys(asks):
            self._take_up(ask)
        self._waiting = spread(list(self._states.values()))
        self._waiting.reverse()
        self._open: dict[int, State] = {}
        # Device and IP version: one broadcast is enough at first.
        self._has_broadcast: set[tuple[str, int]] = set()

    @property
    def heard(self) -> MeshAnswers:
        told = [x for x in self._states.values() if x.macs]
        full = {x.ask: seen_by(x) for x in told if x.arrived or not x.unicast}
        part = {x.ask: seen_by(x) for x in told if x.ask not in full}
        return MeshAnswers(full, part, self._untested)

    def run(self) -> None:
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

    def _take_up(self, ask: Ask) -> None:
        for device in filter(None, (ask.device, ask.target_device)):
            if device not in self._indexes:
                try:
                    with explained(device):
                        self._indexes[device] = index_when_up(device)
                except VmnetError as error:
                    if device == ask.device:
                        self._untested[ask] = error.what
                        return
                    continue  # its guest hears nothing, which is to be measured
                self._names[self._indexes[device]] = device
        state = State(ask, *requests(ask))
        self._states[ask.device, ask.target.packed] = state
        if ask.target_device:
            key = ask.source_mac, ask.target_device
            self._meetings.setdefault(key, []).append(state)

    def _next_burst(self) -> list[State]:
        now = time.monotonic()
        due = [x for x in self._open.values() if x.next <= now][:_BURST]
        while self._waiting and len(due) < _BURST:
            due.append(self._waiting.pop())
        return due

    def _send(self, state: State) -> None:
        now = time.monotonic()
        state.first = state.first or now
        state.next = now + self._every_s
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

    def _put(self, state: State, frame: bytes) -> None:
        device = state.ask.device
        try:
            self._sock.sendto(frame, (device, 0, 0, 0, b""))
        except OSError as error:
            if error.errno not in _LOST:
                self._lose(device, f"{device} cannot send: {os.strerror(error.errno or 0)}")

    def _listen_for(self, burst: Sequence[State]) -> None:
        until = time.monotonic() + _BURST_S
        while any(not x.found for x in burst) and (wait_s := until - time.monotonic()) > 0:
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
                self._hear(about[0], frame)
        except OSError as error:
            # ENETDOWN tells of any device of the namespace, once: the others are heard on.
            if error.errno not in _LOST | {errno.ENETDOWN, errno.EINTR}:
                raise

    def _hear(self, device: str, frame: bytes) -> None:
        if mac := frames.asker(frame):
            for state in self._meetings.get((mac, device), ()):
                state.arrived = True
                self._settle(state)
        elif (answer := frames.answer(frame)) is not None:
            self._take(device, frame, answer)

    def _take(self, device: str, frame: bytes, answer: Answer) -> None:
        state = self._states.get((device, answer.address.packed))
        to_us = state and (frame[0] & 1 or frame[:6].hex(":") == state.ask.source_mac)
        if state is None or not to_us or not state.first:
            return
        expected = answer.mac == state.ask.target_mac
        if answer.mac in state.macs or (len(state.macs) >= _MOST_MACS and not expected):
            return
        if not state.macs or expected:
            state.seconds = time.monotonic() - state.first
        state.macs.append(answer.mac)
        self._settle(state)

    def _settle(self, state: State) -> None:
        if state.found:
            self._open.pop(id(state), None)

    def _expire(self) -> None:
        now = time.monotonic()
        for key, state in list(self._open.items()):
            if now >= state.first + self._deadline_s:
                del self._open[key]

    def _lose(self, device: str, why: str) -> None:
        """Give up a device that went away meanwhile; what was answered there before counts."""
        for state in self._states.values():
            if state.ask.device == device and not state.macs:
                self._untested[state.ask] = why
                self._open.pop(id(state), None)
        self._waiting = [x for x in self._waiting if x.ask.device != device]
