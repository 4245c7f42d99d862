"""Keep in mind which questions leave which devices, and which answers come, while others measure.

A frame that a guest or a packet socket sends at a macvtap is seen there before the mode decides
where it goes, and behind the guard at its egress; at the uplink it is seen behind the filters of
its egress (net/core/dev.c: __dev_queue_xmit calls nf_egress, xmit_one the taps).
"""

import os
import select
import socket
import threading
from collections import deque
from collections.abc import Collection, Iterator
from contextlib import ExitStack
from enum import Enum, auto
from functools import lru_cache
from typing import Final, Self

from provisioner.host.probe.packet_socket import LOST, packet_socket
from provisioner.network import filters, frames
from provisioner.network.frames import Arp, Ip, Nd
from provisioner.plan.ip import Address

_BUFFER: Final = 8 << 20  # bytes
_SNAP_LENGTH: Final = 200  # bytes
_MOST: Final = 200_000  # frames: a guest that invents addresses must not fill the memory
_ASKED: Final = b"\x08\x06\0\1\x08\0\6\4\0\1"  # an ARP request, from its EtherType on
_BATCH_MS: Final = 20  # the buffer holds thousands of frames
_MOST_AT_ONCE: Final = 512

_ECHO_REPLY, _ECHO6_REPLY = 0, 129
_FLAGS_AT, _ACK = 13, 0x10  # of TCP

_Frame = tuple[str, bool, bytes]  # device, outgoing, the frame
# device, outgoing, MAC (whose it is going out, whom it is for coming in), what, about which address
_Entry = tuple[str, bool, str, "Said", bytes]


class Said(Enum):
    """What a frame says about an address."""

    WHO_HAS = auto()  # it asks everybody for its MAC
    TO = auto()  # it is a packet to it
    ANSWER = auto()  # it answers in its name, to one asker


class QuestionLog:
    """Listen at `devices` from `with` until `stop`; then ask what was seen.

    With `of_others` questions count that arrive at a device, for others too, as those do that come
    in by an uplink. A flood loses frames: what was not seen may have been sent all the same. Raises
    OSError without CAP_NET_RAW.
    """

    def __init__(self, devices: Collection[str], *, of_others: bool) -> None:
        self._devices = frozenset(devices)
        self._of_others = of_others
        self._frames: set[_Frame] = set()
        self._unread: deque[_Frame] = deque()  # parsed when they are asked for, not amid a mesh
        self._entries: set[_Entry] = set()
        self._hops: dict[tuple[str, str, bytes], set[str]] = {}
        self._speakers: set[tuple[str, str]] = set()
        self._stack = ExitStack()
        self._thread = threading.Thread(target=self._listen, daemon=True)

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            program = filters.beginnings(of_others=self._of_others)
            self._socket = stack.enter_context(
                packet_socket(program, every_device=True, room=_BUFFER)
            )
            self._stop = os.eventfd(0)
            stack.callback(os.close, self._stop)
            self._stack = stack.pop_all()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Take what has arrived up to now, and listen no more."""
        if self._thread.is_alive():
            os.eventfd_write(self._stop, 1)
            self._thread.join()
        self._stack.close()

    def asked(self, device: str, mac: str, address: Address, *, outgoing: bool = True) -> bool:
        """Return whether a question about an address passed a device.

        `mac` is who has sent it; for incoming ones "", whoever it was.
        """
        seen = self._seen
        return any(
            (device, outgoing, mac, said, address.packed) in seen
            for said in (Said.WHO_HAS, Said.TO)
        )

    def spoke(self, device: str, mac: str) -> bool:
        """Return whether anything that `mac` has sent was seen to leave a device."""
        return bool(self._seen) and (device, mac) in self._speakers

    def next_hops(self, device: str, mac: str, address: Address) -> frozenset[str]:
        """Return the MACs to which packets for an address have left a device, sent by `mac`."""
        known = self._hops if self._seen else {}
        return frozenset(known.get((device, mac, address.packed), ()))

    def asked_for_mac(self, device: str, mac: str, address: Address) -> bool:
        """Return whether who-has about an address left a device: without an answer, nothing can."""
        return (device, True, mac, Said.WHO_HAS, address.packed) in self._seen

    def answered(self, device: str, mac: str, address: Address) -> bool:
        """Return whether an answer of an address came in at a device for `mac`.

        In mode source what comes from listed MACs comes in for whomever it is meant
        (drivers/net/macvlan.c: macvlan_forward_source).
        """
        return (device, False, mac, Said.ANSWER, address.packed) in self._seen

    def _listen(self) -> None:
        poll, stop = select.poll(), select.poll()
        poll.register(self._socket, select.POLLIN)
        for one in (poll, stop):
            one.register(self._stop, select.POLLIN)
        last = False
        while not last:
            # Many at once: who measures meanwhile shares the interpreter with this thread.
            last = bool(poll.poll() and stop.poll(_BATCH_MS))
            while self._take_some():
                pass

    def _take_some(self) -> bool:
        """Take what has arrived; return whether there may be more."""
        for _ in range(_MOST_AT_ONCE):
            try:
                frame, about = self._socket.recvfrom(_SNAP_LENGTH)
            except OSError as error:
                # A device that goes down is told once to all (ENETDOWN): the others go on.
                return error.errno not in LOST
            entry = about[0], about[2] == socket.PACKET_OUTGOING, frame
            wanted = about[0] in self._devices and len(self._frames) < _MOST
            # Whom a guest is asked by is of no account, and half of what a mesh sends.
            wanted = wanted and (entry[1] or self._of_others or frame[12:22] != _ASKED)
            if wanted and entry not in self._frames:
                self._frames.add(entry)
                self._unread.append(entry)
        return True

    @property
    def _seen(self) -> set[_Entry]:
        while self._unread:
            device, outgoing, frame = self._unread.popleft()
            for mac, said, address in _said(frame, outgoing):
                self._entries.add((device, outgoing, mac, said, address))
                if outgoing:
                    self._speakers.add((device, mac))
                if outgoing and said is Said.TO and not frame[0] & 1:
                    hops = self._hops.setdefault((device, mac, address), set())
                    hops.add(frame[:6].hex(":"))
        return self._entries


# Most frames are seen at one device going out, and at another one coming in.
_parsed = lru_cache(maxsize=512)(frames.parse)


def _said(frame: bytes, outgoing: bool) -> Iterator[tuple[str, Said, bytes]]:  # noqa: FBT001
    """Return what a frame says: MAC, what, and about which address."""
    own = frames.source_mac(frame) if outgoing else ""
    to_one = bool(frame) and not frame[0] & 1
    end = own if outgoing else frame[:6].hex(":")
    match _parsed(frame):
        case Arp(operation=1) as arp if arp.sender != arp.target:
            yield own, Said.WHO_HAS, arp.target.packed
        case Arp(operation=2) as arp if to_one:
            yield end, Said.ANSWER, arp.sender.packed
        case Nd() as nd if nd.solicits:
            yield own, Said.WHO_HAS, nd.target.packed
        case Nd() as nd if to_one:
            yield end, Said.ANSWER, nd.target.packed
        case Ip() as ip:
            yield own, Said.TO, ip.destination.packed
            if to_one and _is_answer(ip):
                yield end, Said.ANSWER, ip.source.packed
        case _:
            pass


def _is_answer(ip: Ip) -> bool:
    """Return whether a packet answers one that came before."""
    first = ip.payload[0] if ip.payload else -1
    match ip.protocol:
        case 1:
            return first == _ECHO_REPLY
        case 58:
            return first == _ECHO6_REPLY
        case 6:
            return len(ip.payload) > _FLAGS_AT and bool(ip.payload[_FLAGS_AT] & _ACK)
        case 17:
            return True
        case _:
            return False
