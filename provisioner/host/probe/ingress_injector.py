"""A wire of vmnet's own that ends in an uplink as the cable does: guests hear it in every mode.

The host's stack cannot reach guests on its own NIC: what it sends goes out, past them. So a veth
pair is made whose one end passes every frame on into the uplink's ingress (clsact, u32, mirred),
as if it had come by the cable. The guests' answers leave by the uplink, where they are heard.

The uplink itself is not changed. An answer goes out to the LAN as well, to the MAC that has asked.
"""

import errno
import os
import socket
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Final, Self

from provisioner import naming
from provisioner.host.netlink import ipv6, link_codec, links, tc_codec
from provisioner.host.netlink.link_codec import IFF_NOARP, IFF_UP, new
from provisioner.host.netlink.rtnetlink import write
from provisioner.host.probe.neighbours import Seen, watch_through
from provisioner.host.probe.packet_socket import LOST, Wire, explained, packet_socket
from provisioner.network.facts import Link
from provisioner.network.frames import Answer, arp_request
from provisioner.network.resources import LeftWire
from provisioner.plan.ip import Address
from provisioner.reconcile.resources import Look

_END, _ENTRY = naming.WIRE_END, naming.WIRE_ENTRY  # what passes frames on; where they are put in
_ALIAS: Final = "vmnet:wire"
_NO_TRAFFIC_CONTROL: Final = dict.fromkeys(
    (errno.ENOENT, errno.EOPNOTSUPP, errno.EINVAL),
    "load what the kernel lacks: modprobe -a veth sch_ingress cls_u32 act_mirred",
)


class SyntheticWire:
    """The way to ask guests on `uplink`, whatever their modes.

    A guest in source mode hears only the MACs in its list: give one of them as `source_mac`; the
    uplink's own is the default, because then no other port of the LAN sees the answers. A passthru
    guest bears the uplink's MAC itself: ask it with another one.

    Raises VmnetError where the kernel cannot do it, and as `Wire` does.
    """

    def __init__(self, uplink: str, source_mac: str | None = None) -> None:
        with ExitStack() as stack:
            self._rx = stack.enter_context(Wire(uplink, source_mac, leaving=True))
            self.mac = self._rx.mac
            self._entry = _ENTRY + _built(uplink, stack)
            with explained(self._entry):
                self._tx = stack.enter_context(packet_socket())
                self._tx.bind((self._entry, 0))
            self._open = stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def ask(
        self, targets: Mapping[Address, str | None], deadline_s: float, *, every_s: float = 0.1
    ) -> dict[Address, Seen]:
        """Ask for every target; give those that a guest answered for within `deadline_s` seconds.

        Ends early when every target has answered from its expected MAC (None: from any). It shows
        that a guest is there and holds the address, not that it reaches the LAN.
        """
        return dict(watch_through(self, targets, deadline_s, every_s=every_s))

    def fileno(self) -> int:
        """Give what to wait on for answers."""
        return self._rx.fileno()

    def request(self, target: Address) -> bytes:
        """Ask for an address; for IPv4 from 0.0.0.0, which no receiver may store.

        The host's own stack hears it too, and would take its own address for a forgery.
        """
        if target.version == 4:  # noqa: PLR2004
            return arp_request(target, self.mac)
        return self._rx.request(target)

    def send(self, frame: bytes) -> None:
        """Put one frame in, or lose it when the queue is full."""
        with explained(self._entry, LOST):
            self._tx.send(frame)

    def answers(self, wait_s: float) -> list[Answer]:
        """Give what guests answered to us or to everybody, at most `wait_s` seconds from now."""
        return self._rx.answers(wait_s)


def observe(look: Look) -> list[LeftWire]:
    """List the wires of processes that were killed; those in use are nobody's to remove."""
    found = leftovers(look.links)
    used = _in_use() if found else ""
    return [LeftWire(x.name) for x in found if f"@{_name(x.name)}\n" not in used]


def delete(wire: LeftWire) -> None:
    """Delete a wire unless it is in use; one that has gone already is fine.

    Raises VmnetError when the kernel refuses.
    """
    _remove(x for x in leftovers(links.every()) if x.name == wire.name)


def remove_leftovers() -> None:
    """Delete the wires of processes that were killed; those in use stay.

    Raises VmnetError when the kernel refuses.
    """
    _remove(leftovers(links.every()))


def _remove(ends: Iterable[Link]) -> None:
    for link in ends:
        with _claim() as claim:
            if _claimed(claim, link.name[len(_END) :]):
                links.delete_at(link.index, f'deleting "{link.name}"')


def leftovers(found: Iterable[Link]) -> list[Link]:
    """List the ends of such wires; any of them may be in use at the moment."""
    return [
        x
        for x in found
        if x.group == naming.WIRE_GROUP
        and naming.is_wire(x.name, x.kind)
        and x.name.startswith(_END)
        and x.alias in {_ALIAS, ""}
    ]


def _built(uplink: str, stack: ExitStack) -> str:
    """Make the wire, to be taken away by `stack`; give what its names end in."""
    remove_leftovers()
    tail = os.urandom(5).hex()
    claim = stack.enter_context(_claim())
    _claimed(claim, tail)
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


def _in_use() -> str:
    """Return the sockets of this network namespace, one a line, abstract names behind "@"."""
    return Path("/proc/thread-self/net/unix").read_text(encoding="utf-8", errors="replace")


def _name(device: str) -> str:
    return f"vmnet-wire-{device.removeprefix(_END)}"


def _claim() -> socket.socket:
    return socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)


def _claimed(claim: socket.socket, tail: str) -> bool:
    """Take the name that says "this wire is in use"; false when another process has it.

    Abstract names belong to the network namespace, as the devices do, and die with their holders
    (unix(7)).
    """
    try:
        claim.bind(f"\0{_name(tail)}")
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        return False
    return True
