"""Ping in guests' places at their macvtaps, with their own addresses: both ends' stacks take part.

Who is asked has to ask the guest itself for its MAC before it can answer (RFC 826, RFC 4861), so
an echo reply at the macvtap shows more than an answer to who-has does: the asked one takes pings,
and the guest is known there. The guest's stack drops a reply that it has not asked for.
"""

import errno
import math
import secrets
import select
import socket
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from provisioner.dataclass import dataclass
from provisioner.host.probe.packet_socket import LOST, explained, packet_socket
from provisioner.network import filters, frames
from provisioner.network.frames import Ip
from provisioner.plan.ip import Address

_EVERY_S: Final = 0.5
_REPLIES: Final = {4: (1, 0), 6: (58, 129)}  # by IP version: protocol, type of an echo reply


@dataclass(frozen=True, slots=True)
class PlacePing:
    """A ping at a guest's macvtap, of its MAC and address, to one whose MAC is known."""

    device: str
    source_mac: str
    source: Address
    target_mac: str
    target: Address


def answered(pings: Sequence[PlacePing], deadline_s: float) -> dict[PlacePing, float]:
    """Ping until all have answered or `deadline_s` seconds are over; return the seconds of each.

    A device that is not there or goes away loses its own pings only. Raises VmnetError without
    CAP_NET_RAW.
    """
    if not pings:
        return {}
    with (
        explained(None),
        packet_socket(filters.beginnings(of_others=False), every_device=True) as sock,
    ):
        asking = _Asking(sock, pings)
        end = time.monotonic() + deadline_s
        while (now := time.monotonic()) < end and asking.left:
            asking.send()
            asking.listen(min(now + _EVERY_S, end))
        return asking.found


class _Asking:
    def __init__(self, sock: socket.socket, pings: Sequence[PlacePing]) -> None:
        self.found: dict[PlacePing, float] = {}
        self.left = {(p.device, p.source.packed, p.target.packed): p for p in pings}
        self._sock = sock
        self._sent: dict[PlacePing, float] = {}
        self._identity = secrets.randbelow(1 << 16)
        self._poll = select.poll()
        self._poll.register(sock, select.POLLIN)

    def send(self) -> None:
        """Send each ping that is not answered yet once."""
        for ping in self.left.values():
            self._sent.setdefault(ping, time.monotonic())
            frame = frames.ping_frame(
                ping.source, ping.target, ping.source_mac, ping.target_mac, self._identity
            )
            with suppress(OSError):  # the device is down or gone: nothing will be answered
                self._sock.sendto(frame, (ping.device, 0, 0, 0, b""))

    def listen(self, until: float) -> None:
        """Take replies until all have come, or it is too late."""
        while self.left and (wait_s := until - time.monotonic()) > 0:
            if not self._poll.poll(math.ceil(wait_s * 1000)):
                return
            try:
                frame, about = self._sock.recvfrom(2048)
            except OSError as error:
                # ENETDOWN is about any device of the namespace, once: the others go on.
                if error.errno not in LOST | {errno.ENETDOWN, errno.EINTR}:
                    raise
                continue
            if about[2] != socket.PACKET_OUTGOING:
                self._take(about[0], frames.parse(frame))

    def _take(self, device: str, found: object) -> None:
        if not isinstance(found, Ip):
            return
        kind = found.protocol, *found.payload[:1]
        named = int.from_bytes(found.payload[4:6])
        ping = self.left.get((device, found.destination.packed, found.source.packed))
        if ping and kind == _REPLIES[found.source.version] and named == self._identity:
            self.found[ping] = time.monotonic() - self._sent[ping]
            del self.left[device, found.destination.packed, found.source.packed]
