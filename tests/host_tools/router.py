"""A router that is not a machine: its advertisements as frames, and what they do to the host."""

import json
import socket
import struct
import subprocess
import time
from contextlib import nullcontext
from ipaddress import IPv6Address, IPv6Network
from pathlib import Path
from typing import Any

from provisioner.network import frames
from provisioner.plan.mac import Mac
from tests.host_tools.namespace import Namespace

MAC = "02:00:00:00:00:fe"
PREFIX = IPv6Network("fd50::/64")
_PATIENCE_S = 5.0
_EVERYBODY = IPv6Address("ff02::1")


def advertisement(lifetime_s: int = 1800, mac: str = MAC) -> bytes:
    """Build a router advertisement (RFC 4861, 4.2) of a default route and of PREFIX."""
    # Type 3, 4 units of 8 bytes, the prefix's length, on link and for addresses, two lifetimes.
    prefix = struct.pack("!BBBBIII", 3, 4, PREFIX.prefixlen, 0xC0, 3600, 3600, 0)
    prefix += PREFIX.network_address.packed
    message = struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, lifetime_s, 0, 0) + prefix
    source = frames.link_local(mac)
    pseudo = source.packed + _EVERYBODY.packed + struct.pack("!II", len(message), 58)
    total = frames.checksum(pseudo + message)
    message = message[:2] + struct.pack("!H", total) + message[4:]
    packet = struct.pack("!IHBB", 6 << 28, len(message), 58, 255)
    packet += source.packed + _EVERYBODY.packed + message
    to = bytes.fromhex("333300000001")
    return to + Mac(mac).packed + b"\x86\xdd" + packet


def advertise(device: str, control: str, where: Namespace | None = None) -> None:
    """Send advertisements through `device` until `control` has learned from one, and one more.

    `where` is the namespace of `device`, unless it is the caller's.

    `control` is a device as the kernel makes it: it shows that they have arrived. The second one
    shows that the first has been dealt with everywhere: the kernel takes frames in order.
    """
    with where.entered() if where else nullcontext():
        wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        wire.bind((device, 0))
    with wire:
        for _ in range(2):
            end = time.monotonic() + _PATIENCE_S
            _forget(control)
            wire.send(advertisement())
            while not learned(control):
                if time.monotonic() > end:
                    raise TimeoutError(control)
                wire.send(advertisement())


def learned(device: str) -> list[str]:
    """Tell what the host has learned on a device: default routes, prefixes, addresses."""
    routes = _said("-6", "route", "show", "dev", device)
    found = [r["dst"] for r in routes if r["protocol"] == "ra" or r["dst"] == str(PREFIX)]
    addresses = _said("-6", "addr", "show", "dev", device)
    every = (x for a in addresses for x in a.get("addr_info", ()))
    return [*found, *(x["local"] for x in every if x.get("dynamic"))]


def listening(*devices: str) -> None:
    """Make devices what they were before vmnet disabled it: part of the host's own IPv6."""
    for device in devices:
        conf = Path("/proc/sys/net/ipv6/conf") / device
        (conf / "disable_ipv6").write_text("0")
        for name in ("accept_ra", "autoconf"):
            (conf / name).write_text("1")


def _forget(device: str) -> None:
    for command in ("route flush proto ra dev", "route flush root fd50::/64 dev"):
        subprocess.run(["ip", "-6", *command.split(), device], check=False, capture_output=True)
    subprocess.run(["ip", "-6", "addr", "flush", "dynamic", "dev", device], check=True)


def _said(*words: str) -> list[dict[str, Any]]:
    told = subprocess.run(["ip", "-j", *words], check=True, capture_output=True, text=True).stdout
    return [x for x in json.loads(told or "[]") if x]
