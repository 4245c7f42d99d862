"""Probes the switch behind a NIC: does it send frames back, does it let foreign MACs pass.

The foreign MAC is that of a macvlan which lives in a nameless network namespace: it is deleted at
the end, and the kernel takes it away with the namespace when vmnet is killed before.
"""

import os
import select
import struct
import time
from collections.abc import Sequence
from functools import partial
from ipaddress import IPv4Address, ip_address
from typing import TYPE_CHECKING, Final

from provisioner import naming
from provisioner.errors import Exit, VmnetError
from provisioner.host.lab.namespaces import namespaces, run_in
from provisioner.host.netlink import addresses, ipv6, links
from provisioner.host.netlink.link_codec import (
    IFF_ALLMULTI,
    IFF_NOARP,
    IFF_UP,
    macvlan,
    new,
    silence,
)
from provisioner.host.netlink.rtnetlink import write
from provisioner.host.probe.packet_socket import (
    ALL_PROTOCOLS,
    LOST,
    Wire,
    explained,
    index_when_up,
    packet_socket,
)
from provisioner.network import filters
from provisioner.network.facts import Facts
from provisioner.network.uplink import device_problem, lower_problem
from provisioner.plan.choices import Mode
from provisioner.plan.mac import Mac
from provisioner.reachability.switch_probe import (
    ETHERTYPE,
    PEER_TRIES,
    PEER_WAIT_S,
    REFLECTION_TRIES,
    REFLECTION_WAIT_S,
    ForeignMac,
    SwitchAnswer,
    SwitchProbe,
)

if TYPE_CHECKING:
    from provisioner.network.facts import Link
    from provisioner.plan.ip import Address

_DEVICE: Final = "probe"
_NAMED: Final = ("IFLA_IFNAME", _DEVICE)


def prepare(uplink: str, peer: str) -> SwitchProbe:
    """Return what can be asked through an uplink; nothing is sent.

    Raises VmnetError when the uplink is not there, not up or not Ethernet, or the peer is no
    machine's address.
    """
    with explained(uplink):
        index_when_up(uplink)
    facts = Facts(links.observe()[0])
    link = next(x for x in facts.links if x.name == uplink)
    if refusal := lower_problem(link, facts):
        raise refusal.error()
    if not link.carrier:
        raise VmnetError(
            f"{link.name} has no carrier: there is no switch to be asked",
            fix="plug it in, or bring up what is at its other end",
        )
    mac = Mac(link.mac)
    probe = partial(SwitchProbe, uplink, mac, Mac(naming.mac("vmnet modes", mac, 0)))
    if refusal := device_problem(link, facts):
        return probe(untestable=f"{refusal.what} ({refusal.fix})")
    if peer:
        return probe(peer=_machine(peer, link))
    if gateway := _gateway(link.index):
        return probe(peer=gateway, peer_is_gateway=True)
    why = f"{uplink} leads to no default gateway: name a machine behind it with --peer ADDRESS"
    return probe(untestable=why)


def ask(probe: SwitchProbe) -> SwitchAnswer:
    """Send what the probe says, and listen. Raises VmnetError when the kernel refuses."""
    reflects = _reflected(probe.uplink, probe.mac)
    if probe.peer is None:
        return SwitchAnswer(probe, reflects, None, probe.untestable)
    try:
        told = passes_foreign(probe, [probe.peer])
    except VmnetError as error:
        return SwitchAnswer(probe, reflects, None, f"{error.what} ({error.fix})")
    if told is None:
        silent = (
            f"{probe.peer} does not answer the uplink's own MAC either: name a machine on that "
            "wire which does, with --peer ADDRESS"
        )
        return SwitchAnswer(probe, reflects, None, silent)
    return SwitchAnswer(probe, reflects, passes_foreign=told.passes)


def passes_foreign(probe: SwitchProbe, peers: Sequence["Address"]) -> ForeignMac | None:
    """Ask the first of several machines that answers the uplink whether it answers a new MAC too.

    Returns None where nobody answers the uplink's own MAC, or not any more. Raises VmnetError when
    the new MAC cannot be had.
    """
    peer = _answering(probe.uplink, peers)
    if peer is None:
        return None
    if _foreign_answers(probe, peer):
        return ForeignMac(peer, passes=True)
    # It may have gone silent meanwhile: only one who answers now has kept silent to the new MAC.
    return ForeignMac(peer, passes=False) if _answering(probe.uplink, [peer]) else None


def _machine(peer: str, link: "Link") -> "Address":
    try:
        address = ip_address(peer)
    except ValueError:
        address = IPv4Address(0)
    own = {one.ip for one in link.addresses}
    if address.is_unspecified or address.is_multicast or address.is_loopback or address in own:
        raise VmnetError(
            f'--peer: "{peer}" is not the address of another machine',
            fix=f"name one behind {link.name} that answers: 192.168.1.1",
            status=Exit.BAD_INPUT,
        )
    return address


def _gateway(index: int) -> "Address | None":
    """Return the default gateway behind a device, IPv4 before IPv6."""
    defaults = [x for x in addresses.routes() if not x.network.prefixlen]
    gateways = [ip_address(x.gateway) for x in defaults if x.index == index and x.gateway]
    return min(gateways, key=lambda gateway: gateway.version, default=None)


def reflects(uplink: str) -> bool | None:
    """Return whether the switch behind an uplink sends frames back; None when it cannot be asked.

    At most three broadcast frames of the local experimental ethertype are sent.
    """
    link = next((x for x in links.every() if x.name == uplink), None)
    if link is None or not (link.ethernet and link.up and link.carrier):
        return None
    return _reflected(uplink, Mac(link.mac))


def _reflected(uplink: str, mac: Mac) -> bool:
    """Broadcast a frame that nobody else could send, and listen for its copy."""
    secret = os.urandom(16)
    sent = b"\xff" * 6 + mac.packed + struct.pack("!H", ETHERTYPE) + b"vmnet " + secret
    # All protocols and a filter: a socket for one protocol comes after macvlan, which in mode
    # passthru leaves nothing.
    with (
        explained(uplink),
        packet_socket(filters.ethertype_only(ETHERTYPE), outgoing=False) as wire,
    ):
        wire.bind((uplink, ALL_PROTOCOLS))
        for _ in range(REFLECTION_TRIES):
            with explained(uplink, LOST):  # what a filter drops is lost, too
                wire.send(sent.ljust(60, b"\0"))
            end = time.monotonic() + REFLECTION_WAIT_S
            while (wait_s := end - time.monotonic()) > 0:
                if select.select([wire], [], [], wait_s)[0] and secret in wire.recv(2048):
                    return True
    return False


def _answering(device: str, peers: Sequence["Address"]) -> "Address | None":
    """Return the first of several machines that answers the MAC of a device, all asked at once.

    The sender is nobody (RFC 5227) or link-local: the device's addresses make no difference.
    """
    wanted = {peer.packed: peer for peer in peers}
    with Wire(device, anonymous=True) as wire:
        for _ in range(PEER_TRIES):
            for peer in peers:
                wire.send(wire.request(peer))
            end = time.monotonic() + PEER_WAIT_S
            while (wait_s := end - time.monotonic()) > 0:
                for answer in wire.answers(wait_s):
                    if answer.address.packed in wanted:
                        return wanted[answer.address.packed]
    return None


def _foreign_answers(probe: SwitchProbe, peer: "Address") -> bool:
    """Return whether a machine answers a new MAC, that of a macvlan on the uplink."""
    index = links.existing_index(probe.uplink)
    doing = f"making a macvlan on {probe.uplink}"
    with namespaces(1) as (namespace,):
        device = (
            *(_NAMED, ("IFLA_ADDRESS", probe.foreign_mac)),
            *(("IFLA_LINK", index), ("IFLA_NET_NS_FD", namespace)),
            macvlan("macvlan", Mode.PRIVATE),  # isolated from what else is on the uplink
        )
        write(doing, [new(*device, create=True)])

        def answers() -> bool:
            try:
                ipv6.disable(_DEVICE)
                on = IFF_UP | IFF_NOARP | IFF_ALLMULTI
                write(doing, [silence(_NAMED), new(_NAMED, on=on)])
                return _answering(_DEVICE, [peer]) is not None
            finally:
                # The namespace would take it away too, but at a time of its own.
                links.delete(_DEVICE)

        return run_in(namespace, answers)
