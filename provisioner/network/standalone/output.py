"""What `vmnet net` shows of a device: as JSON, as libvirt's XML, as words for QEMU."""

import shlex
from collections.abc import Sequence
from typing import TypedDict

from provisioner.dataclass import dataclass
from provisioner.errors import Exit
from provisioner.json_document import json_document
from provisioner.plan.nic_settings import DEFAULT_MTU


@dataclass(frozen=True, slots=True)
class Holder:
    """A process that has a device's node open."""

    pid: int
    command: str


@dataclass(frozen=True, slots=True)
class Counters:
    """Frames and bytes since the device was made, as the guest sees them."""

    received: int
    received_bytes: int
    received_dropped: int  # the guest did not read fast enough
    sent: int
    sent_bytes: int
    sent_dropped: int


@dataclass(frozen=True, slots=True)
class NetDevice:
    """One device as it is."""

    name: str
    uplink: str
    mode: str
    mac: str
    mtu: int
    node: str  # /dev/tap<ifindex>
    node_state: str  # right, missing, foreign, or unknown to a user who may not look
    up: bool
    carrier: bool
    owner: str
    uid: int
    label: str = ""
    guard: str = ""  # mac or strict; "" for none
    guard_state: str = "right"  # or gone, or unknown to a user who may not look
    born_mac: str = ""  # that it was made with; "" where an older vmnet made it
    nopromisc: bool = False
    sources: tuple[str, ...] = ()
    queues: int = 1
    txqueuelen: int = 500
    holders: tuple[Holder, ...] = ()
    counters: Counters | None = None


class NetDocument(TypedDict):
    """Devices without a plan."""

    warnings: Sequence[str]
    devices: Sequence[NetDevice]


def as_json(command: str, devices: Sequence[NetDevice]) -> str:
    """Write devices as JSON for scripts."""
    return json_document(command, Exit.DONE, NetDocument(warnings=[], devices=devices))


def as_rows(devices: Sequence[NetDevice]) -> list[tuple[str, ...]]:
    """Return the titles of a table of devices, and its cells, row by row."""
    rows: list[tuple[str, ...]] = [
        (
            "device",
            "mode",
            "on",
            "MAC",
            "MTU",
            "node",
            "state",
            "in use by",
            "owner",
            "label",
            "guard",
        )
    ]
    return rows + [
        (
            device.name,
            _mode(device),
            device.uplink,
            _mac(device),
            str(device.mtu),
            _node(device),
            _state(device),
            " ".join(str(x.pid) for x in device.holders) or "-",
            device.owner,
            device.label or "-",
            _guarded(device),
        )
        for device in devices
    ]


def as_text(device: NetDevice) -> str:
    """Write all that is known of a device, a line each."""
    counted = device.counters
    lines = {
        "mode": _mode(device),
        "on": device.uplink,
        "state": _state(device),
        "MAC": _mac(device),
        "guard": _guarded(device) if device.guard else "",
        "MTU": str(device.mtu),
        "hears": (" ".join(device.sources) or "nobody") if device.mode == "source" else "",
        "queues": str(device.queues),
        "txqueuelen": str(device.txqueuelen),
        "node": f"{device.node} ({device.node_state})",
        "in use by": ", ".join(f"{x.pid} ({x.command})" for x in device.holders) or "nobody",
        "owner": f"{device.owner} ({device.uid})",
        "label": device.label,
    }
    if counted:
        lines["received"] = _counted(
            counted.received, counted.received_bytes, counted.received_dropped
        )
        lines["sent"] = _counted(counted.sent, counted.sent_bytes, counted.sent_dropped)
    return "\n".join([device.name, *(f"  {k:<11}{v}" for k, v in lines.items() if v)])


def _mode(device: NetDevice) -> str:
    return f"{device.mode} nopromisc" if device.nopromisc else device.mode


def _mac(device: NetDevice) -> str:
    """Return its MAC, and the one that it was made with when its user has changed it."""
    if device.born_mac in {"", device.mac}:
        return device.mac
    return f"{device.mac} (changed by its user, was {device.born_mac})"


def _guarded(device: NetDevice) -> str:
    state = "" if device.guard_state in {"right", "unknown"} else f" {device.guard_state}"
    return f"{device.guard}{state}" if device.guard else "-"


def _node(device: NetDevice) -> str:
    return device.node if device.node_state == "right" else f"{device.node} {device.node_state}"


def _state(device: NetDevice) -> str:
    if not device.up:
        return "down"
    return "up" if device.carrier else "no carrier"


def _counted(frames: int, octets: int, dropped: int) -> str:
    return f"{frames} frames, {octets} bytes, {dropped} dropped"


def as_libvirt(device: NetDevice) -> str:
    """Write the element for a domain's XML; managed="no" since the device is there already."""
    lines = [
        '<interface type="ethernet">',
        f'  <mac address="{device.mac}"/>',
        f'  <target dev="{device.name}" managed="no"/>',
        '  <model type="virtio"/>',
    ]
    if device.queues > 1:
        lines.append(f'  <driver queues="{device.queues}"/>')
    if device.mtu != DEFAULT_MTU:
        lines.append(f'  <mtu size="{device.mtu}"/>')
    return "\n".join([*lines, "</interface>"])


def as_qemu(device: NetDevice) -> str:
    """Write QEMU's words for a shell, which opens the node: each opening is one queue."""
    fds = range(3, 3 + device.queues)
    many = device.queues > 1
    netdev = [
        "tap",
        f"id={device.name}",
        f"fds={':'.join(map(str, fds))}" if many else f"fd={fds[0]}",
    ]
    card = ["virtio-net-pci", f"netdev={device.name}", f"mac={device.mac}"]
    if many:
        # One interrupt per queue and direction, one for changes, one for the control queue.
        card += ["mq=on", f"vectors={2 * device.queues + 2}"]
    if device.mtu != DEFAULT_MTU:
        card.append(f"host_mtu={device.mtu}")
    words = ["-netdev", ",".join(netdev), "-device", ",".join(card)]
    return " ".join([shlex.join(words), *(f"{fd}<>{device.node}" for fd in fds)])
