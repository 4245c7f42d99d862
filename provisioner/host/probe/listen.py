"""Capture at guests' macvtaps: who claims which address, and from which MAC they send.

Both directions are seen there in every mode; frames from the guest are the outgoing ones.
"""

import select
import socket
import time
from collections.abc import Collection
from typing import Final

from provisioner.dataclass import dataclass
from provisioner.host.probe.packet_socket import LOST, explained, packet_socket
from provisioner.network import claims, frames
from provisioner.network.claims import Claim

_SNAP_LENGTH: Final = 600  # bytes: a DHCP ACK fits
_MOST: Final = 20_000  # frames of one capture: a flood must not keep us


@dataclass(frozen=True, slots=True)
class Captured:
    """A frame at a macvtap: whether its guest has sent it, its source MAC, what it claims."""

    device: str
    from_guest: bool
    mac: str
    claim: Claim | None


def listen(devices: Collection[str], seconds: float) -> list[Captured]:
    """Capture at devices for some seconds. Raises VmnetError without CAP_NET_RAW."""
    found: dict[Captured, None] = {}
    with explained(None):
        opened = packet_socket(every_device=True)
    with opened:
        poll = select.poll()
        poll.register(opened, select.POLLIN)
        end = time.monotonic() + seconds
        for _ in range(_MOST):
            left = end - time.monotonic()
            if left <= 0 or not poll.poll(left * 1000):
                break
            with explained(None, LOST):
                frame, about = opened.recvfrom(_SNAP_LENGTH)
                if about[0] not in devices or _is_tagged(frame):
                    continue
                outgoing = about[2] == socket.PACKET_OUTGOING
                mac, claim = frames.source_mac(frame), claims.claim(frame)
                found[Captured(about[0], outgoing, mac, claim)] = None
    return list(found)


def _is_tagged(frame: bytes) -> bool:
    return frame[12:14] in {b"\x81\0", b"\x88\xa8"}  # IEEE 802.1Q and 802.1ad
