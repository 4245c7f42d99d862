"""A packet socket on one device: requests out, answers in, nothing of the host's stack between.

Everything happens in the network namespace of the calling thread, and nothing is read from /sys,
which may show another namespace's devices.
"""

import ctypes
import errno
import fcntl
import math
import select
import socket
import struct
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from ipaddress import IPv4Address, IPv4Interface, IPv6Address
from typing import Final, Protocol, Self

from provisioner.errors import VmnetError
from provisioner.network import filters, frames
from provisioner.network.spoofing.strict import PROBE_MARK
from provisioner.plan.ip import Address
from provisioner.text import one_line

# linux/sockios.h, linux/if.h, linux/if_arp.h, linux/if_packet.h: what Python does not name
_GET_FLAGS, _GET_ADDRESS, _GET_MASK, _GET_MAC = 0x8913, 0x8915, 0x891B, 0x8927
_UP, _ETHERNET = 1, 1
_SOL_PACKET, _IGNORE_OUTGOING, _ATTACH_FILTER = 263, 23, 26
_FORCE_BUFFER: Final = 33  # asm-generic/socket.h: SO_RCVBUFFORCE
ALL_PROTOCOLS: Final = 3

LOST: Final = frozenset({errno.ENOBUFS, errno.EAGAIN})
"""A full queue: the frame is lost, as a wire would lose it."""

_MOST_AT_ONCE: Final = 256


class Asker(Protocol):
    """A way to send requests and to receive their answers."""

    def request(self, target: Address) -> bytes:
        """Build the frame that asks for an address."""

    def send(self, frame: bytes) -> None:
        """Send one frame."""

    def answers(self, wait_s: float) -> list[frames.Answer]:
        """Return what was answered, at most `wait_s` seconds from now."""


class Wire:
    """One device, used with its MAC beside the host's own stack.

    With `anonymous` IPv4 addresses are asked for from 0.0.0.0, even where the device has one. With
    `leaving` those answers count that leave by the device, not those that arrive: guests on it send
    them. `through` is a packet socket of the caller's, who hears by it himself; closing one takes
    an RCU grace period (net/packet/af_packet.c: packet_release). Raises VmnetError without
    CAP_NET_RAW, and when the device is not there, not up or not Ethernet; `send` and `answers`
    raise it when that happens later.
    """

    def __init__(
        self,
        device: str,
        *,
        anonymous: bool = False,
        leaving: bool = False,
        through: socket.socket | None = None,
    ) -> None:
        self._device = device
        self._leaving = leaving
        with ExitStack() as stack, explained(device):
            index_when_up(device)
            self._raw_mac = _mac(device)
            self.mac = self._raw_mac.hex(":")
            self._own4 = None if anonymous else _ipv4(device)
            if through is None:
                # What leaves by this device is otherwise a guest's answer to somebody else.
                own = packet_socket(filters.ANSWERS_ONLY, outgoing=leaving)
                through = stack.enter_context(own)
                own.bind((device, ALL_PROTOCOLS))  # last: nothing unfiltered is queued
            self._socket = through
            self._poll = select.poll()
            self._poll.register(self._socket, select.POLLIN)
            self._open = stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def fileno(self) -> int:
        """Return the descriptor that can be read when there are answers."""
        return self._socket.fileno()

    def request(self, target: Address) -> bytes:
        """Build the frame that asks for an address, truthfully and without harm.

        Its sender is our link-local address, or the device's own one in the target's network; else
        0.0.0.0, which no receiver may store.
        """
        if isinstance(target, IPv6Address):
            return frames.neighbour_solicitation(target, self.mac, frames.link_local(self.mac))
        return frames.arp_request(target, self.mac, self._sender(target))

    def send(self, frame: bytes) -> None:
        """Send one frame, or lose it when the queue is full."""
        with explained(self._device, LOST):
            self._socket.send(frame)

    def answers(self, wait_s: float) -> list[frames.Answer]:
        """Return what was answered to us or to everybody, at most `wait_s` seconds from now."""
        self._poll.poll(math.ceil(wait_s * 1000))
        received: list[bytes] = []
        with explained(self._device, LOST):
            for _ in range(_MOST_AT_ONCE):
                frame, about = self._socket.recvfrom(2048)
                if not self._leaving or about[2] == socket.PACKET_OUTGOING:
                    received.append(frame)
        ours = (frame for frame in received if frame[0] & 1 or frame[:6] == self._raw_mac)
        return [answer for answer in map(frames.answer, ours) if answer is not None]

    def _sender(self, target: IPv4Address) -> IPv4Address:
        own = self._own4
        near = own is not None and target in own.network and target != own.ip
        return own.ip if own is not None and near else frames.NOBODY4


@contextmanager
def explained(device: str | None, harmless: frozenset[int] = frozenset()) -> Iterator[None]:
    """Turn what the kernel refuses into a VmnetError; what is `harmless` (errno) ends the block."""
    try:
        yield
    except OSError as error:
        if error.errno not in harmless:
            raise _refusal(device, error) from error


def index_of(device: str) -> int:
    """Return the index of a device; raises OSError (ENODEV) for a name that nothing has.

    Also for one too long for an ioctl, which would otherwise be cut into another device's name.
    """
    try:
        return socket.if_nametoindex(device)
    except OSError as error:  # Python leaves the number out
        raise OSError(errno.ENODEV, "no such device") from error


def index_when_up(device: str) -> int:
    """Return the index of a device that is up; raises OSError (ENODEV, ENETDOWN) otherwise."""
    index = index_of(device)
    if not struct.unpack_from("H", _ioctl(device, _GET_FLAGS))[0] & _UP:
        raise OSError(errno.ENETDOWN, "the device is down")
    return index


def packet_socket(
    program: bytes = b"", *, outgoing: bool = True, every_device: bool = False, room: int = 0
) -> socket.socket:
    """Open a non-blocking packet socket that receives what the BPF `program` accepts.

    It receives nothing until it is bound, unless `every_device`: Python binds to no "every device",
    so one that is opened for all protocols receives from all of them, unfiltered for a moment. With
    `outgoing` false what this host sends is left out. `room` bytes are kept until they are
    received, 0 as many as usual; without CAP_NET_ADMIN it is as many as usual too. Raises OSError
    without CAP_NET_RAW.
    """
    kind = socket.SOCK_RAW | socket.SOCK_NONBLOCK
    protocols = socket.htons(ALL_PROTOCOLS) if every_device else 0
    opened = socket.socket(socket.AF_PACKET, kind, protocols)
    try:
        if program:
            buffer = ctypes.create_string_buffer(program, len(program))
            fprog = struct.pack("HP", len(program) // 8, ctypes.addressof(buffer))
            opened.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, fprog)
        if not outgoing:
            opened.setsockopt(_SOL_PACKET, _IGNORE_OUTGOING, 1)
        with suppress(PermissionError):
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, PROBE_MARK)
            if room:
                opened.setsockopt(socket.SOL_SOCKET, _FORCE_BUFFER, room)
    except BaseException:
        opened.close()
        raise
    return opened


def _ioctl(device: str, request: int) -> bytes:
    """Ask the kernel about a device; return the union of struct ifreq (netdevice(7))."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        return fcntl.ioctl(any_socket, request, struct.pack("16s24x", device.encode()))[16:]


def _mac(device: str) -> bytes:
    kind, mac = struct.unpack_from("H6s", _ioctl(device, _GET_MAC))
    if kind != _ETHERNET:
        raise VmnetError(
            f"{one_line(device)} is not an Ethernet device: it cannot ask for neighbours",
            fix="name an Ethernet device, not a loopback or a tunnel",
        )
    return bytes(mac)


def _ipv4(device: str) -> IPv4Interface | None:
    try:
        address, mask = (_ioctl(device, q)[4:8] for q in (_GET_ADDRESS, _GET_MASK))
    except OSError as error:
        if error.errno == errno.EADDRNOTAVAIL:
            return None
        raise
    return IPv4Interface((IPv4Address(address), str(IPv4Address(mask))))


def _refusal(device: str | None, error: OSError) -> VmnetError:
    named = one_line(device) if device else "the network"
    match error.errno:
        case errno.EPERM | errno.EACCES:
            what = f"not allowed to send probes through {named}: CAP_NET_RAW is missing"
            fix = "run it as root, or give it CAP_NET_RAW"
        case errno.ENODEV | errno.ENXIO:
            what, fix = f"there is no device {named}", "see what there is: ip link"
        case errno.ENETDOWN:
            what, fix = f"{named} is down, or went down meanwhile", f"ip link set dev {named} up"
        case _:
            what = f"cannot probe through {named}: {error.strerror}"
            fix = "see what the device is: ip link"
    return VmnetError(what, fix=fix)
