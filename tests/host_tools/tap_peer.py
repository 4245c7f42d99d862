"""Guests without guests: a child process holds taps of real macvtaps and answers ARP and ping.

It opens the taps as QEMU does, so that frames are switched as those of a guest are.
"""

import fcntl
import os
import select
import signal
import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

from provisioner.host.network import tap_node
from provisioner.network import frames
from provisioner.plan.mac import Mac

_TUNSETIFF = 0x400454CA
_TAP, _NO_PI, _VNET_HDR = 0x0002, 0x1000, 0x4000
_HEADER = 10  # struct virtio_net_hdr


@dataclass(frozen=True)
class TapEnd:
    """What a guest would be: the macvtap, its MAC, the address that it answers for."""

    link: str
    mac: str
    address: IPv4Address
    silent: bool = False
    claims: str = ""  # the MAC that its answers name, when it is not its own
    pings_by: str = ""  # the MAC of another of its NICs, by which it answers pings


@contextmanager
def playing(ends: Sequence[TapEnd], indexes: Mapping[str, int]) -> Iterator[int]:
    """Let all these ends answer, in a process of their own, whose pid is given."""
    ready, told = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(ready)
        try:
            _play(ends, indexes, told)
        finally:
            os._exit(1)
    os.close(told)
    try:
        assert os.read(ready, 1) == b"!", "the ends did not open their taps"
        yield child
    finally:
        os.close(ready)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def opened(link: str, index: int) -> int:
    """Open a macvtap's tap, by a node of its own that goes at once: /dev is one for all."""
    node = Path(f"/tmp/vmnet-test-{os.getpid()}-{link}")  # noqa: S108
    os.mknod(node, 0o20600, tap_node.numbers_of({link: index})[link])
    try:
        tap = os.open(node, os.O_RDWR | os.O_NONBLOCK)
    finally:
        node.unlink()
    request = struct.pack("16sH22x", link.encode(), _TAP | _NO_PI | _VNET_HDR)
    fcntl.ioctl(tap, _TUNSETIFF, request)
    return tap


def _play(ends: Sequence[TapEnd], indexes: Mapping[str, int], told: int) -> None:
    poll = select.poll()
    by_tap: dict[int, TapEnd] = {}
    for end in ends:
        tap = opened(end.link, indexes[end.link])
        by_tap[tap] = end
        poll.register(tap, select.POLLIN)
    os.write(told, b"!")
    while True:
        for tap, _ in poll.poll():
            while frame := _read(tap):
                answer = None if by_tap[tap].silent else _answer(by_tap[tap], frame)
                if answer:
                    os.write(tap, bytes(_HEADER) + answer.ljust(60, b"\0"))


def _read(tap: int) -> bytes:
    try:
        return os.read(tap, 4096)[_HEADER:]
    except BlockingIOError:
        return b""


def _answer(end: TapEnd, frame: bytes) -> bytes | None:
    own = Mac(end.mac).packed
    if frame[12:14] == b"\x08\x06" and frame[20:22] == b"\0\1":
        if frame[38:42] != end.address.packed:
            return None
        claimed = Mac(end.claims).packed if end.claims else own
        body = frame[14:20] + b"\0\2" + claimed + end.address.packed + frame[22:28] + frame[28:32]
        return frame[6:12] + own + b"\x08\x06" + body
    is_ping = frame[12:14] == b"\x08\x00" and frame[23:24] == b"\x01" and frame[34:35] == b"\x08"
    if is_ping and frame[:6] == own and frame[30:34] == end.address.packed:
        header = frame[14:26] + frame[30:34] + frame[26:30]
        icmp = b"\0\0\0\0" + frame[38:]
        checked = icmp[:2] + struct.pack("!H", frames.checksum(icmp)) + icmp[4:]
        sender = Mac(end.pings_by).packed if end.pings_by else own
        return frame[6:12] + sender + b"\x08\x00" + header + checked
    return None
