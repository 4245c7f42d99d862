"""Pings that the host itself sends, by its kernel's stack, many side by side."""

import select
import socket
import time
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from ipaddress import ip_address
from typing import Self

from tests.oracle.packets import Address, checksum

_AGAIN_S = 0.04


class HostPings:
    """Pings from where the calling thread is: `asked` has the payload for each target."""

    def __init__(self, asked: Mapping[Address, bytes]) -> None:
        self._asked = dict(asked)
        self._found: set[Address] = set()
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        raw = socket.SOCK_RAW
        self._sockets = {
            4: self._stack.enter_context(socket.socket(socket.AF_INET, raw, socket.IPPROTO_ICMP)),
            6: self._stack.enter_context(
                socket.socket(socket.AF_INET6, raw, socket.IPPROTO_ICMPV6)
            ),
        }
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def answered(self, within_s: float) -> set[Address]:
        """Ask until all have answered, at most so long; return who has."""
        end = time.monotonic() + within_s
        again = 0.0
        while self._found < self._asked.keys() and (now := time.monotonic()) < end:
            if now >= again:
                again = now + _AGAIN_S
                self._send()
            ready = select.select([*self._sockets.values()], [], [], min(again, end) - now)[0]
            for sock in ready:
                self._take(sock)
        return set(self._found)

    def _send(self) -> None:
        for target, payload in self._asked.items():
            if target in self._found:
                continue
            kind = 8 if target.version == 4 else 128
            message = bytes([kind, 0, 0, 0]) + payload
            message = message[:2] + checksum(message) + message[4:]  # of ICMPv6 it is the kernel's
            with suppress(OSError):  # no route, or a device that is down
                self._sockets[target.version].sendto(message, (str(target), 0))

    def _take(self, sock: socket.socket) -> None:
        with suppress(OSError):
            packet, sender = sock.recvfrom(2048)
            source = ip_address(sender[0])
            icmp = packet[20:] if source.version == 4 else packet
            if icmp[0] in {0, 129} and icmp[4:] == self._asked.get(source):
                self._found.add(source)
