"""Ask everybody on an uplink, and listen for about a second: who answers, who serves, who is there.

What is sent harms nobody: questions for addresses, one for routers, and one for DHCP servers of a
client that never comes. Each frame that is sent to the LAN bears a number in its padding, so that
a copy that a switch sends back is known for one.
"""

import os
import select
import socket
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from ipaddress import IPv4Address
from typing import Final

from provisioner.dataclass import dataclass
from provisioner.errors import VmnetError
from provisioner.host.probe.ingress_injector import SyntheticWire
from provisioner.host.probe.packet_socket import (
    ALL_PROTOCOLS,
    LOST,
    Wire,
    explained,
    packet_socket,
)
from provisioner.network import claims, filters, frames, overheard
from provisioner.network.overheard import Answered, Offer, Overheard, Router
from provisioner.plan.ip import Address

_LISTEN_S: Final = 1.0
"""Linux answers for others after up to 0.8 s (net.ipv4.neigh.*.proxy_delay), routers within 0.5 s
(RFC 4861, 6.2.6)."""
_ASKED_AT_S: Final = (0.0, 0.3)
_LAST_AT_S: Final = 0.9  # one question more: until then nothing was sent back, if it was not
_SECRET_SIZE: Final = 12  # bytes
_MOST: Final = 20_000  # frames that are looked at: a flood must not keep us
_SNAP_LENGTH: Final = 1600  # bytes
_ARP: Final = b"\x08\x06"


@dataclass(frozen=True, slots=True)
class TruthfulAsker:
    """Who asks with its own address: a guest, at its macvtap; or the host, of guests alone ("")."""

    device: str
    mac: str
    address: IPv4Address


@dataclass(frozen=True, slots=True)
class Watch:
    """What to ask on one uplink, and whom to look out for.

    `asked` are asked for on the cable and of the guests; `lan` on the cable alone, by the uplink
    and by `asker`; `truly` by `asker` alone. `macs` are the guests': a frame with one of them that
    comes in by the cable is a stray. `servers` is the MAC of a client in whose name guests are
    asked for DHCP servers, "" for none. Where vmnet is the other end itself, `inside`, guests alone
    are asked.
    """

    uplink: str
    asked: tuple[Address, ...] = ()
    lan: tuple[Address, ...] = ()
    macs: frozenset[str] = frozenset()
    asker: TruthfulAsker | None = None
    servers: str = ""
    inside: bool = False
    truly: tuple[Address, ...] = ()


def look(watch: Watch) -> Overheard:
    """Ask and listen for about a second. Raises VmnetError as `Wire` does."""
    with ExitStack() as stack:
        return _Look(watch, stack).run()


class _Look:
    def __init__(self, watch: Watch, stack: ExitStack) -> None:
        self._watch = watch
        with explained(watch.uplink):
            self._sock = stack.enter_context(packet_socket(filters.TOLD_TO_MANY))
            self._sock.bind((watch.uplink, ALL_PROTOCOLS))
        self._wire = stack.enter_context(Wire(watch.uplink))
        self._guests = _synthetic(watch.uplink, stack)
        self._asker: socket.socket | None = None
        if watch.asker and watch.asker.device:
            with explained(watch.asker.device):
                self._asker = stack.enter_context(packet_socket())
                self._asker.bind((watch.asker.device, 0))
        self._wanted = {address.packed for address in (*watch.asked, *watch.lan, *watch.truly)}
        self._macs = watch.macs - {self._wire.mac}  # what is injected bears the uplink's own
        self._transaction = int.from_bytes(os.urandom(4))
        self._secret = os.urandom(_SECRET_SIZE)
        self._is_over = False
        self._returned: Counter[bytes] = Counter()
        self._in: Counter[bytes] = Counter()
        self._out: Counter[bytes] = Counter()
        self._answers: dict[Answered, None] = {}
        self._routers: dict[Router, None] = {}
        self._offers: dict[Offer, None] = {}

    def run(self) -> Overheard:
        start, left = time.monotonic(), _MOST
        for number, at in enumerate(_ASKED_AT_S):
            left = self._listen(start + at, left)
            self._ask(number)
        left = self._listen(start + _LAST_AT_S, left)
        self._is_over = True
        if not self._watch.inside:
            self._put(self._wire, [overheard.router_solicitation(self._wire.mac)], 0xFF)
        self._listen(start + _LISTEN_S, left)
        strays = tuple(dict.fromkeys(self._strays()))
        return Overheard(tuple(self._answers), tuple(self._routers), tuple(self._offers), strays)

    def _ask(self, number: int) -> None:
        watch, mac = self._watch, self._wire.mac
        solicitation = overheard.router_solicitation(mac)
        if not watch.inside:
            requests = map(self._wire.request, (*watch.asked, *watch.lan))
            self._put(self._wire, [*requests, solicitation], number)
        if self._asker is not None:
            self._put(self._asker, self._by_asker(), number)
        if self._guests is not None:
            asked = [*map(self._guests.request, watch.asked), solicitation]
            if watch.servers:
                asked += overheard.dhcp_questions(mac, watch.servers, self._transaction)
            for frame in asked if self._asker else [*asked, *self._by_asker()]:
                self._guests.send(frame)

    def _by_asker(self) -> list[bytes]:
        """Build the questions of one whose address everybody may store, for it is the right one."""
        asker = self._watch.asker
        if asker is None:
            return []
        there = (*self._watch.asked, *self._watch.lan, *self._watch.truly)
        return [
            frames.arp_request(address, asker.mac, asker.address)
            for address in there
            if isinstance(address, IPv4Address) and address != asker.address
        ]

    def _put(self, way: Wire | socket.socket, sent: Sequence[bytes], number: int) -> None:
        """Send frames to the cable, each with a secret behind it that tells it from all others."""
        with explained(self._watch.uplink, LOST):
            for index, frame in enumerate(sent):
                mark = self._secret + bytes([number, index & 0xFF, index >> 8 & 0xFF])
                way.send(frame + mark)

    def _listen(self, until: float, left: int) -> int:
        """Take frames until a time, at most `left`; return how many more may be taken."""
        poll = select.poll()
        poll.register(self._sock, select.POLLIN)
        while left and (wait_s := until - time.monotonic()) > 0:
            if not poll.poll(max(1, int(wait_s * 1000))):
                continue
            with explained(self._watch.uplink, LOST):
                frame, about = self._sock.recvfrom(_SNAP_LENGTH)
                left -= 1
                self._take(frame, outside=about[2] != socket.PACKET_OUTGOING)
        return left

    def _take(self, frame: bytes, *, outside: bool) -> None:
        mac = frames.source_mac(frame)
        if outside and self._secret in frame:
            self._returned[frame[frame.index(self._secret) :]] += 1
            return
        # From one guest to another macvlan hands a frame over by the uplink's ingress
        # (macvlan_queue_xmit in drivers/net/macvlan.c).
        to_us = frame[0] & 1 or frame[:6].hex(":") == self._wire.mac if frame else False
        if mac in self._macs and to_us and not self._is_over:
            (self._in if outside else self._out)[frame] += 1
        if answer := frames.answer(frame):
            if answer.address.packed in self._wanted:
                self._answers[Answered(answer.address, answer.mac, outside)] = None
        elif found := overheard.router(frame):
            self._routers[found] = None
        elif offered := overheard.offer(frame, self._transaction):
            self._offers[offered] = None

    def _strays(self) -> Iterator[tuple[str, str]]:
        """Return the frames of guests' MACs that cannot be copies of what guests have sent.

        Where nothing was sent back, all that came in. Else ARP alone is the same on its way back,
        byte by byte, and there must be more copies than were sent. In a loop nothing is certain,
        nor is it where nothing was sent to the cable.
        """
        if self._watch.inside or any(count > 1 for count in self._returned.values()):
            return
        for frame, count in self._in.items():
            if self._returned and not (frame[12:14] == _ARP and count > self._out[frame]):
                continue
            claim, mac = claims.claim(frame), frames.source_mac(frame)
            is_own = claim is not None and claim.mac == mac
            yield mac, f"{claim.how} of {claim.address}" if claim and is_own else "a frame to many"


def _synthetic(uplink: str, stack: ExitStack) -> SyntheticWire | None:
    """Open the way to guests; where there is none, what comes by the cable still counts."""
    try:
        return stack.enter_context(SyntheticWire(uplink))
    except VmnetError:
        return None
