"""What tcpdump hears on every device of a namespace, from one moment to another."""

import os
import select
import socket
import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import ip_address

from tests.host_tools.namespace import Namespace
from tests.oracle.packets import Kind, Packet, built, parsed

_FILE_HEADER, _RECORD, _COOKED = 24, 16, 20  # bytes; pcap(5), LINKTYPE_LINUX_SLL2
_OUTGOING = 4  # linux/if_packet.h: PACKET_OUTGOING
NOISE = ip_address("10.9.0.78")
"""Nobody: what a storm asks for, and is not of interest."""
_HERE = ip_address("127.0.0.1")
_PATIENCE_S = 20.0


@dataclass(frozen=True, slots=True)
class Heard:
    """One frame, where it was heard, and whether it was on its way out there."""

    index: int
    goes_out: bool
    packet: Packet


class Capture:
    """A tcpdump, from which is read what it heard since the last time."""

    def __init__(self, namespace: Namespace, tcpdump: "subprocess.Popen[bytes]") -> None:
        self._namespace = namespace
        self._tcpdump = tcpdump
        self._read = b""
        self._begun = False
        self._marks = 0

    def since(self) -> list[Heard]:
        """Return what was heard since the last call, nothing of which is missing."""
        self._marks += 1
        mark = b"\0\1\0\1mark" + struct.pack("!I", self._marks)
        with self._namespace.entered(), socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
            wire.bind(("lo", 0))
            wire.send(built(Packet(Kind.ECHO, _HERE, _HERE, bytes(6), bytes(6), payload=mark)))
        heard: list[Heard] = []
        end = time.monotonic() + _PATIENCE_S
        while True:
            for one in self._parsed():
                if one.packet.payload == mark:
                    return heard
                heard.append(one)
            self._more(end)

    def _more(self, end: float) -> None:
        assert self._tcpdump.stdout
        fd = self._tcpdump.stdout.fileno()
        ready = select.select([fd], [], [], max(0.0, end - time.monotonic()))[0]
        assert ready, "tcpdump has not heard the mark"
        more = os.read(fd, 1 << 20)
        assert more, "tcpdump has ended"
        self._read += more

    def _parsed(self) -> Iterator[Heard]:
        if not self._begun:
            if len(self._read) < _FILE_HEADER:
                return
            self._read, self._begun = self._read[_FILE_HEADER:], True
        while len(self._read) >= _RECORD:
            size = struct.unpack_from("=I", self._read, 8)[0]
            if len(self._read) < _RECORD + size:
                return
            record = self._read[_RECORD : _RECORD + size]
            self._read = self._read[_RECORD + size :]
            index, kind, sender = struct.unpack_from("!4xI2xBx6s", record)
            ethernet = bytes(6) + sender + record[:2] + record[_COOKED:]
            if packet := parsed(ethernet):
                yield Heard(index, kind == _OUTGOING, packet)


@contextmanager
def captured(namespace: Namespace) -> Iterator[Capture]:
    """Let tcpdump listen on every device of a namespace."""
    argv = ["tcpdump", "-i", "any", "-y", "LINUX_SLL2", "-n", "-s", "256", "-B", "8192"]
    with namespace.entered():
        tcpdump = subprocess.Popen(
            [
                *argv,
                "-U",
                "--immediate-mode",
                "-w",
                "-",
                f"(arp or icmp or icmp6) and not host {NOISE}",
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
        )
    with tcpdump:
        try:
            assert tcpdump.stderr
            said = tcpdump.stderr.readline()
            while b"listening on" not in said:
                assert said, "tcpdump has ended"
                said = tcpdump.stderr.readline()
            yield Capture(namespace, tcpdump)
        finally:
            tcpdump.kill()
