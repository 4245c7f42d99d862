"""Which libvirt to speak to: a daemon that can see our devices, or the one inside ourselves."""

import os
import socket
import struct

from provisioner.host.libvirt import embedded
from provisioner.host.system import paths
from provisioner.network.facts import Chosen

_SOCKETS = ("/run/libvirt/virtqemud-sock", "/run/libvirt/libvirt-sock")


def choose(wish: str, plan: str) -> Chosen:
    """Return the URI to open and why; `wish` is "auto" or a libvirt URI.

    The embedded driver's URI is written here and nowhere else: its root decides what runs as root.
    """
    if wish != "auto":
        return Chosen(wish, "the plan or --connection names it")
    inside = f"qemu:///embed?root={paths.libvirt_root(plan)}"
    if embedded.has_vms(plan):
        return Chosen(inside, "this plan's VMs were started by vmnet's embedded libvirt")
    return offered(inside)


def offered(inside: str) -> Chosen:
    """Return the URI for a plan that has no VMs yet; `inside` is that of its embedded libvirt."""
    for path in _SOCKETS:
        pid = _listener(path)
        if pid is None:
            continue
        if not _same_network(pid):
            return Chosen(
                inside,
                f"embedded libvirt: the daemon at {path} runs in another network namespace, "
                "where it cannot see this one's devices",
            )
        return Chosen("qemu:///system", f"a libvirt daemon answers at {path}")
    return Chosen(inside, "embedded libvirt: no libvirt daemon answers")


def _listener(path: str) -> int | None:
    """Return the pid of whoever listens on a Unix socket, None when nobody does."""
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(2)
        try:
            s.connect(path)
        except OSError:
            return None
        pid, _, _ = struct.unpack("=iii", s.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        return int(pid)


def _same_network(pid: int) -> bool:
    try:
        ours, theirs = (os.stat(f"/proc/{p}/ns/net") for p in ("self", pid))  # noqa: PTH116
    except OSError:
        return True  # hidden from us: libvirt itself will say what is wrong
    return ours.st_ino == theirs.st_ino


def is_embedded(uri: str) -> bool:
    """Return whether a URI means the driver inside our own process."""
    return uri.startswith("qemu:///embed")
