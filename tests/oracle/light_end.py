"""A guest without a guest: a process that holds a macvtap's tap, with a small IP stack in it.

It answers ARP, ND and pings as Linux does, and pings when it is told to: by a socket of its own, as
somebody types at a console. It never answers whom it cannot find by ARP or ND.
"""

import fcntl
import json
import os
import select
import signal
import socket
import struct
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from tests.oracle.packets import EVERYBODY, Address, Kind, Packet, built, parsed

_TUNSETIFF = 0x400454CA
_TAP, _NO_PI, _VNET_HDR = 0x0002, 0x1000, 0x4000
_HEADER = 10  # struct virtio_net_hdr
_AGAIN_S = 0.04
_LATE_S = 0.8


@dataclass(slots=True)
class Habits:
    """What an end is, and what it does otherwise than a healthy one. All of it can be changed."""

    mac: str
    addresses: list[str]
    knows: dict[str, str] = field(default_factory=dict)  # static neighbours
    wears: str = ""  # the MAC that it sends from, when it is not its own
    claims: str = ""  # the MAC that its answers to ARP and ND name, likewise
    no_echo: bool = False  # a firewall: pings are not answered
    no_arp: bool = False  # nor are ARP and ND
    deaf: bool = False
    mute: bool = False
    late: bool = False  # it takes longer to answer for its MAC than it is waited for


class _Stack:
    def __init__(self, habits: Habits, send: Callable[[bytes], None]) -> None:
        self.habits = habits
        self._send = send
        self._cache: dict[Address, bytes] = {}
        self._held: dict[Address, list[Packet]] = {}  # until its MAC is known
        self.answered: dict[Address, str] = {}  # by which MAC
        self.asked: dict[Address, bytes] = {}  # what is pinged, and the payload

    @property
    def _mac(self) -> bytes:
        return bytes.fromhex((self.habits.wears or self.habits.mac).replace(":", ""))

    @property
    def _own(self) -> list[Address]:
        return [ip_address(x) for x in self.habits.addresses]

    @property
    def is_answered(self) -> bool:
        return self.answered.keys() >= self.asked.keys()

    def forget(self) -> None:
        self._cache.clear()
        self._held.clear()

    def ping(self, target: Address) -> None:
        """Send one echo request, or the question for its MAC."""
        source = next((x for x in self._own if x.version == target.version), None)
        if target in self._own:
            self.answered.setdefault(target, self.habits.mac)
        elif source:
            self._deliver(Packet(Kind.ECHO, source, target, b"", payload=self.asked[target]))

    def take(self, frame: bytes) -> None:
        packet = None if self.habits.deaf else parsed(frame)
        if packet is None:
            return
        to_me = packet.target in self._own
        match packet.kind:
            case Kind.WHO_HAS if to_me and not self.habits.no_arp:
                self._learn(packet)
                claimed = self.habits.claims.replace(":", "")
                told = bytes.fromhex(claimed) if claimed else self._mac
                asker = packet.told
                if self.habits.late:
                    threading.Event().wait(_LATE_S)
                self._put(
                    Packet(Kind.IS_AT, packet.target, packet.source, self._mac, asker, told=told)
                )
            case Kind.IS_AT if packet.target_mac == self._mac:
                self._learn(packet)
            case Kind.ECHO if to_me and packet.target_mac == self._mac and not self.habits.no_echo:
                self._deliver(
                    Packet(Kind.REPLY, packet.target, packet.source, b"", payload=packet.payload)
                )
            case Kind.REPLY if self._is_answer(packet):
                self.answered.setdefault(packet.source, packet.source_mac.hex(":"))
            case _:
                pass

    def _is_answer(self, packet: Packet) -> bool:
        mine = packet.target in self._own and packet.target_mac == self._mac
        return mine and self.asked.get(packet.source) == packet.payload

    def _learn(self, packet: Packet) -> None:
        known = packet.kind is Kind.IS_AT or packet.source in self._cache
        # Whoever asks is remembered, as by Linux, unless it has no address (a probe).
        if int(packet.source) and (known or packet.kind is Kind.WHO_HAS):
            self._cache[packet.source] = packet.told
            for held in self._held.pop(packet.source, ()):
                self._deliver(held)

    def _deliver(self, packet: Packet) -> None:
        """Send a packet once the MAC of its target is known; ask for it meanwhile."""
        static = self.habits.knows.get(str(packet.target), "").replace(":", "")
        mac = bytes.fromhex(static) or self._cache.get(packet.target)
        if mac:
            p = packet
            self._put(Packet(p.kind, p.source, p.target, self._mac, mac, payload=p.payload))
            return
        self._held.setdefault(packet.target, [])[:] = [packet]
        own = self._mac
        self._put(Packet(Kind.WHO_HAS, packet.source, packet.target, own, EVERYBODY, told=own))

    def _put(self, packet: Packet) -> None:
        if not self.habits.mute:
            self._send(built(packet))


class LightEnd:
    """The process of one end, as the oracle speaks to it."""

    def __init__(self, link: str, index: int, node: tuple[int, int], habits: Habits) -> None:
        self.habits = habits
        self.link = link
        self._line, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._number = 0
        self.pid = os.fork()
        if self.pid == 0:
            try:
                self._line.close()
                _Life(_opened(link, index, node), theirs, habits).live()
            finally:
                os._exit(1)
        theirs.close()
        assert self._line.recv(100) == b"up", f"{link}: its tap could not be opened"

    def tell(self, **changes: object) -> None:
        """Change its habits; a word that it does not get (frozen, dead) is lost."""
        for name, value in changes.items():
            setattr(self.habits, name, value)
        self._say(set=changes)

    def ping(self, asked: Mapping[Address, bytes], within_s: float) -> int:
        """Have it ping; `pinged` waits for what comes of it."""
        words = {str(address): payload.hex() for address, payload in asked.items()}
        return self._say(ping=words, within=within_s)

    def forget(self) -> int:
        """Have it empty its neighbour cache; `pinged` waits until that is done."""
        return self._say(forget=True)

    def pinged(self, number: int, until: float) -> dict[Address, str] | None:
        """Return by which MAC the pinged answered; None when the end itself says nothing."""
        while select.select([self._line], [], [], max(0.0, until - time.monotonic()))[0]:
            try:
                said = json.loads(self._line.recv(1 << 16) or b"{}")
            except OSError:
                return None
            if not said:
                return None
            if said["number"] == number:
                return {ip_address(a): mac for a, mac in said["answered"].items()}
        return None

    def signalled(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)
        if number is signal.SIGKILL:  # its tap is closed when it is gone
            os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)

    def end(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        self._line.close()

    def _say(self, **words: object) -> int:
        self._number += 1
        with suppress(OSError):
            said = json.dumps(words | {"number": self._number}).encode()
            self._line.send(said, socket.MSG_DONTWAIT)
        return self._number


def _opened(link: str, index: int, node: tuple[int, int]) -> int:
    """Open a macvtap's tap as QEMU does, by a node that goes at once: /dev is one for all."""
    path = Path(f"/tmp/vmnet-oracle-{os.getpid()}-{index}")  # noqa: S108
    os.mknod(path, 0o20600, os.makedev(*node))
    try:
        tap = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    finally:
        path.unlink()
    fcntl.ioctl(tap, _TUNSETIFF, struct.pack("16sH22x", link.encode(), _TAP | _NO_PI | _VNET_HDR))
    return tap


class _Life:
    """An end as its own process lives it: frames of the tap, words of the oracle, pings of its."""

    def __init__(self, tap: int, line: socket.socket, habits: Habits) -> None:
        self._tap = tap
        self._line = line
        self._habits = habits
        self._stack = _Stack(habits, self._send)
        self._number, self._end, self._again = 0, 0.0, 0.0  # of what is pinged; no number: nothing

    def live(self) -> None:
        """Live until the oracle has gone."""
        poll = select.poll()
        poll.register(self._tap, select.POLLIN)
        poll.register(self._line, select.POLLIN)
        self._line.send(b"up")
        while True:
            wait_ms = max(1, int((self._next() - time.monotonic()) * 1000))
            for fd, _ in poll.poll(wait_ms if self._number else -1):
                if fd == self._tap:
                    _drain(self._tap, self._stack.take)
                elif not self._obey(json.loads(self._line.recv(1 << 16) or b"{}")):
                    return

    def _next(self) -> float:
        """Ping what is silent if it is time to, and return when there is more to do."""
        now = time.monotonic()
        if self._number and now >= self._again:
            for target in self._stack.asked.keys() - self._stack.answered.keys():
                self._stack.ping(target)
            self._again = now + _AGAIN_S
        if self._number and (now >= self._end or self._stack.is_answered):
            self._tell(self._number, self._stack.answered)
            self._number = 0
        return min(self._again, self._end)

    def _obey(self, said: dict[str, Any]) -> bool:
        for name, value in said.get("set", {}).items():
            setattr(self._habits, name, value)
        if "forget" in said:
            self._stack.forget()
            self._tell(said["number"], {})
        if "ping" in said:
            asked = {ip_address(a): bytes.fromhex(x) for a, x in said["ping"].items()}
            self._stack.answered, self._stack.asked = {}, asked
            self._number, self._again = said["number"], 0.0
            self._end = time.monotonic() + said["within"]
        return bool(said)

    def _tell(self, number: int, answered: Mapping[Address, str]) -> None:
        words = {str(address): mac for address, mac in answered.items()}
        self._line.send(json.dumps({"number": number, "answered": words}).encode())

    def _send(self, frame: bytes) -> None:
        with suppress(OSError):  # the device is down
            os.write(self._tap, bytes(_HEADER) + frame)


def _drain(tap: int, take: Callable[[bytes], None]) -> None:
    for _ in range(64):
        try:
            frame = os.read(tap, 4096)[_HEADER:]
        except OSError:  # nothing left, or the device is down
            return
        take(frame)
