"""A wire of vmnet's own that ends in an uplink as the cable does: it reaches guests in every mode.

The host's stack cannot reach guests on its own NIC: what it sends goes out, past them. So a veth
pair is made whose one end passes every frame on into the uplink's ingress (clsact, u32, mirred),
as if it had come by the cable. The guests' answers leave by the uplink, where they are received.

The uplink itself is not changed. An answer goes out to the LAN as well, to the MAC that has asked.
"""

import errno
import os
import socket
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Final

from provisioner import naming
from provisioner.host.netlink import ipv6, link_codec, links, tc_codec
from provisioner.host.netlink.link_codec import IFF_NOARP, IFF_UP, new
from provisioner.host.netlink.rtnetlink import write
from provisioner.host.probe.packet_socket import LOST, Wire, explained
from provisioner.network.facts import Link
from provisioner.network.resources import LeftWire
from provisioner.reconcile.resources import Look

_END, _ENTRY = naming.WIRE_END, naming.WIRE_ENTRY  # what passes frames on; where they are put in
_ALIAS: Final = "vmnet:wire"
_NO_TRAFFIC_CONTROL: Final = dict.fromkeys(
    (errno.ENOENT, errno.EOPNOTSUPP, errno.EINVAL),
    "load what the kernel lacks: modprobe -a veth sch_ingress cls_u32 act_mirred",
)


class SyntheticWire(Wire):
    """The way to ask guests on `uplink`, in every mode, with the uplink's own MAC.

    With that MAC no other port of the LAN sees the answers. IPv4 is asked for from 0.0.0.0: the
    host's own stack receives the frames too, and would take its own address for a forgery. An
    answer shows that a guest is there and has the address, not that it reaches the LAN.

    Raises VmnetError where the kernel cannot do it, and as `Wire` does.
    """

    def __init__(self, uplink: str, through: socket.socket | None = None) -> None:
        super().__init__(uplink, anonymous=True, leaving=True, through=through)
        try:
            self._entry = _ENTRY + _create(uplink, self._open)
        except BaseException:
            self._open.close()
            raise

    def send(self, frame: bytes) -> None:
        """Put one frame in, or lose it when the queue is full."""
        with explained(self._entry, LOST):
            self._socket.sendto(frame, (self._entry, 0))


def observe(look: Look) -> list[LeftWire]:
    """List the wires of processes that were killed; those in use are not left over."""
    found = [x for x in look.links if _is_end(x)]
    used = _sockets() if found else ""
    return [LeftWire(x.name) for x in found if f"@{_lock_name(x.name)}\n" not in used]


def delete(wire: LeftWire) -> None:
    """Delete a wire unless it is in use; one that has gone already is fine.

    Raises VmnetError when the kernel refuses.
    """
    for link in links.every():
        if link.name == wire.name and _is_end(link):
            with _lock_socket() as lock:
                if _lock(lock, wire.name):
                    links.delete_at(link.index, f'deleting "{wire.name}"')


def _is_end(link: Link) -> bool:
    """Return whether a link is the end of a wire, which may be in use."""
    return (
        link.group == naming.WIRE_GROUP
        and naming.is_wire(link.name, link.kind)
        and link.name.startswith(_END)
        and link.alias in {_ALIAS, ""}
    )


def _create(uplink: str, stack: ExitStack) -> str:
    """Make the wire, which `stack` deletes; return what its names end in."""
    tail = os.urandom(5).hex()
    _lock(stack.enter_context(_lock_socket()), _END + tail)
    into = links.existing_index(uplink)
    end, entry = _END + tail, _ENTRY + tail
    index = links.free_index(end)
    entry_index = links.free_index(entry, (index,))
    group = ("IFLA_GROUP", naming.WIRE_GROUP)
    pair = link_codec.veth([("IFLA_IFNAME", entry), group], entry_index)
    named, fixes = ("IFLA_IFNAME", end), _NO_TRAFFIC_CONTROL
    writes = [new(named, group, pair, index=index, create=True, fixes=fixes)]
    for each in (index, entry_index):
        writes.append(link_codec.silence(index=each))
        writes.append(new(("IFLA_IFALIAS", _ALIAS), index=each, on=IFF_NOARP))
    writes += [replace(one, fixes=fixes) for one in tc_codec.redirect_ingress(index, into)]
    doing = f'making a wire into "{uplink}"'
    stack.callback(links.delete_at, index, doing)
    write(doing, writes)
    ipv6.disable(end, entry)
    # The entry comes up last: of two ends that come up, only the second can send at once.
    write(doing, [new(index=each, on=IFF_UP) for each in (index, entry_index)])
    return tail


def _sockets() -> str:
    """Return the sockets of this network namespace, one a line, abstract names behind "@"."""
    return Path("/proc/thread-self/net/unix").read_text(encoding="utf-8", errors="replace")


def _lock_name(end: str) -> str:
    return f"vmnet-wire-{end.removeprefix(_END)}"


def _lock_socket() -> socket.socket:
    return socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)


def _lock(lock: socket.socket, end: str) -> bool:
    """Take the name that marks a wire as in use; False when another process has it.

    Abstract names belong to the network namespace, as the devices do, and die with their holders
    (unix(7)).
    """
    try:
        lock.bind(f"\0{_lock_name(end)}")
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        return False
    return True
