"""Run a program and say what was written by netlink meanwhile: devices, addresses, rules of nft.

Run inside the namespace that is watched: `python watched.py FILE PROGRAM WORD…`. Each message that
the kernel sends to its listeners becomes a line of FILE; the exit status is the program's.
"""

import os
import select
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

# Groups of linux/rtnetlink.h: links, neighbours, and addresses, routes and rules of both families.
_ROUTE_GROUPS = 0x1 | 0x4 | 0x10 | 0x40 | 0x80 | 0x100 | 0x400
_NETFILTER, _NFTABLES_GROUP = 12, 1 << 6  # linux/netlink.h, linux/netfilter/nfnetlink.h
_QUIET_MS = 50


def listening() -> list[socket.socket]:
    ears = []
    for protocol, groups in ((socket.NETLINK_ROUTE, _ROUTE_GROUPS), (_NETFILTER, _NFTABLES_GROUP)):
        ear = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol)
        ear.bind((0, groups))
        ears.append(ear)
    return ears


def heard(ears: list[socket.socket], wait_ms: int) -> Iterator[str]:
    """Give each message, until none has come for `wait_ms`."""
    poll = select.poll()
    by_number = {ear.fileno(): ear for ear in ears}
    for number in by_number:
        poll.register(number, select.POLLIN)
    while ready := poll.poll(wait_ms):
        for number, _ in ready:
            ear = by_number[number]
            message = ear.recv(1 << 16)
            yield f"protocol {ear.proto} message {struct.unpack_from('=IH', message)[1]}"


if __name__ == "__main__":
    sockets = listening()
    list(heard(sockets, _QUIET_MS))  # what the preparations have left to say
    ended = subprocess.run(sys.argv[2:], check=False).returncode
    Path(sys.argv[1]).write_text("\n".join(heard(sockets, _QUIET_MS)))
    os._exit(ended)
