"""Capture the frames of one exchange at several devices while it goes on.

At a macvtap both directions are seen in every mode, at the uplink what goes to the wire and comes
from it; what bridge mode hands from macvtap to macvtap is seen there as it comes in, unless it is
a broadcast. What a filter at a device's egress drops is not seen there at all (__dev_queue_xmit in
net/core/dev.c runs nftables' and tc's egress hooks before packet sockets); what one at its ingress
drops has been seen before (__netif_receive_skb_core).
"""

import math
import os
import select
import socket
import threading
import time
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Final, Self

from provisioner.check.evidence import Heading, Point
from provisioner.check.following import Capture, Followed, followed
from provisioner.host.probe.packet_socket import ALL_PROTOCOLS, explained, packet_socket
from provisioner.network.exchange import Exchange

_SNAP_LENGTH: Final = 200  # bytes
_MOST: Final = 20_000  # frames of one exchange: a flood must not keep us
_GRACE_S: Final = 0.05  # for what is under way when the block ends


class Trace:
    """Listen at `devices` from `with` to its end; afterwards `followed` is what became of frames.

    Raises VmnetError without CAP_NET_RAW, and when a device is not there.
    """

    def __init__(self, devices: Mapping[Point, str], exchange: Exchange) -> None:
        self.followed = Followed()
        self._exchange = exchange
        self._devices = devices
        self._sockets: dict[int, tuple[Point, socket.socket]] = {}
        self._captures: list[Capture] = []
        self._stack = ExitStack()
        self._stop = -1
        self._thread = threading.Thread(target=self._listen, daemon=True)

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for point, device in self._devices.items():
                with explained(device):
                    opened = stack.enter_context(packet_socket())
                    opened.bind((device, ALL_PROTOCOLS))
                self._sockets[opened.fileno()] = (point, opened)
            self._stop = os.eventfd(0)
            stack.callback(os.close, self._stop)
            self._stack = stack.pop_all()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        os.eventfd_write(self._stop, 1)
        self._thread.join()
        self._stack.close()
        self.followed = followed(self._exchange, self._captures)

    def _listen(self) -> None:
        poll = select.poll()
        for fd in (*self._sockets, self._stop):
            poll.register(fd, select.POLLIN)
        end = math.inf
        while (left_s := end - time.monotonic()) > 0:
            for fd, _ in poll.poll(None if end == math.inf else math.ceil(left_s * 1000)):
                if fd == self._stop:
                    end = time.monotonic() + _GRACE_S
                    poll.unregister(fd)
                else:
                    self._take(*self._sockets[fd])

    def _take(self, point: Point, sock: socket.socket) -> None:
        try:
            frame, about = sock.recvfrom(_SNAP_LENGTH)
        except OSError:
            return  # nothing after all, or the device has gone: the others go on
        if self._exchange.kind(frame) is None or len(self._captures) >= _MOST:
            return
        outgoing = about[2] == socket.PACKET_OUTGOING
        heading = Heading.OUT if outgoing else Heading.IN
        self._captures.append(Capture(point, heading, frame))
