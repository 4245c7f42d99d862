"""Listens passively at guests' macvtaps: who claims which address, and from which MAC they send.

Both directions are seen there in every mode; frames from the guest are the outgoing ones.
"""

import select
import socket
import struct
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final

from provisioner.host.probe.packet_socket import LOST, explained
from provisioner.network import claims
from provisioner.network.claims import Claim

_ALL_PROTOCOLS: Final = 3  # linux/if_ether.h
_ENOUGH: Final = 600  # bytes of a frame: DHCP's last word fits
_MOST: Final = 20_000  # frames of one look: a flood must not keep us


@dataclass(frozen=True, slots=True)
class Told:
    """A frame at a macvtap: whether its guest has sent it, its source MAC, what it claims."""

    device: str
    from_guest: bool
    mac: str
    claim: Claim | None


def listen(devices: Collection[str], seconds: float, enough: Callable[[Told], bool]) -> list[Told]:
    """Listen at devices until `enough` says so of a frame, or time is over.

    Raises VmnetError without CAP_NET_RAW.
    """
    heard: dict[Told, None] = {}
    kind, protocols = socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.htons(_ALL_PROTOCOLS)
    with explained(None):
        ear = socket.socket(socket.AF_PACKET, kind, protocols)
    with ear:
        poll = select.poll()
        poll.register(ear, select.POLLIN)
        end = time.monotonic() + seconds
        for _ in range(_MOST):
            left = end - time.monotonic()
            if left <= 0 or not poll.poll(left * 1000):
                break
            with explained(None, LOST):
                frame, about = ear.recvfrom(_ENOUGH)
                if about[0] not in devices or _is_tagged(frame):
                    continue
                outgoing = about[2] == socket.PACKET_OUTGOING
                told = Told(about[0], outgoing, claims.source(frame), claims.claim(frame))
                heard[told] = None
                if enough(told):
                    break
    return list(heard)


def _is_tagged(frame: bytes) -> bool:
    (kind,) = struct.unpack_from("!H", frame.ljust(14, b"\0"), 12)
    return kind in {0x8100, 0x88A8}
