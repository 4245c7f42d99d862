"""The other end of a wire: a namespace with a device `far`, and a machine there to play."""

import os
import select
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv6Address

from provisioner.plan.mac import Mac
from tests.host_tools.namespace import Namespace

NEAR, FAR, OTHER = (Mac(f"02:00:00:00:00:0{number}") for number in (1, 2, 3))
FOUR, SIX = IPv4Address("10.0.0.2"), IPv6Address("fd00::2")
ABSENT = IPv4Address("10.0.0.9")

Reaction = Callable[[bytes], list[bytes]]


@contextmanager
def reacting(far: Namespace, reaction: Reaction) -> Iterator[list[bytes]]:
    """Be the machine at the far end: send what `reaction` makes of each ARP request."""
    requests: list[bytes] = []
    stop = os.eventfd(0)
    with far.entered():
        wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0806))
        wire.bind(("far", 0x0806))

    def react() -> None:
        poll = select.poll()
        poll.register(wire, select.POLLIN)
        poll.register(stop, select.POLLIN)
        while stop not in dict(poll.poll()):
            requests.append(wire.recv(2048))
            for frame in reaction(requests[-1]):
                wire.send(frame)

    thread = threading.Thread(target=react)
    thread.start()
    try:
        yield requests
    finally:
        os.eventfd_write(stop, 1)
        thread.join()
        os.close(stop)
        wire.close()


def reply(mac: str, to: str = NEAR, address: IPv4Address = FOUR) -> bytes:
    source, target = Mac(mac).packed, Mac(to).packed
    body = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 2) + source + address.packed + target + bytes(4)
    return target + source + b"\x08\x06" + body


def send_from(far: Namespace, *sent: bytes) -> None:
    with far.entered(), socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as wire:
        wire.bind(("far", 0))
        for frame in sent:
            wire.send(frame)


def always(*answers: bytes) -> Reaction:
    return lambda _request: list(answers)
