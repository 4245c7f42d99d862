"""Probes the switch behind a NIC: does it send frames back, does it let foreign MACs pass.

The foreign MAC is that of a macvlan which lives in a nameless network namespace: it is deleted at
the end, and the kernel takes it away with the namespace when vmnet is killed before.
"""

import os
import select
import struct
import time
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
    Wire,
    explained,
    index_when_up,
    packet_socket,
)
from provisioner.network import frames
from provisioner.plan.choices import Mode
from provisioner.plan.mac import Mac
from provisioner.reachability.switch_probe import (
    ETHERTYPE,
    PEER_TRIES,
    PEER_WAIT_S,
    REFLECTION_TRIES,
    REFLECTION_WAIT_S,
    Findings,
    Question,
)

if TYPE_CHECKING:
    from provisioner.network.facts import Link
    from provisioner.plan.ip import Address

_DEVICE: Final = "probe"
_NAMED: Final = ("IFLA_IFNAME", _DEVICE)


def question(uplink: str, peer: str) -> Question:
    """Return what can be asked through an uplink; nothing is sent.

    Raises VmnetError when the uplink is not there, not up or not Ethernet, or the peer is no
    machine's address.
    """
    with explained(uplink):
        index_when_up(uplink)
    everything = links.observe()[0]
    link = next(x for x in everything if x.name == uplink)
    _refuse(link, everything)
    about = partial(Question, uplink, link.mac, naming.mac("vmnet modes", link.mac, 0))
    if obstacle := _obstacle(link, everything):
        return about(untestable=obstacle)
    if peer:
        return about(peer=str(_machine(peer, link)))
    if gateway := _gateway(link.index):
        return about(peer=gateway, peer_is="the default gateway")
    why = f"{uplink} leads to no default gateway: name a machine behind it with --peer ADDRESS"
    return about(untestable=why)


def ask(asked: Question) -> Findings:
    """Send what the question says, and listen. Raises VmnetError when the kernel refuses."""
    reflects = _reflected(asked.uplink, asked.mac)
    if asked.untestable:
        return Findings(asked, reflects, None, asked.untestable)
    control = partial(_answers, asked.uplink, ip_address(asked.peer))
    silent = (
        f"{asked.peer} does not answer the uplink's own MAC either: name a machine on that wire "
        "which does, with --peer ADDRESS"
    )
    if not control():
        return Findings(asked, reflects, None, silent)
    try:
        if _foreign_answers(asked):
            return Findings(asked, reflects, passes_foreign=True)
    except VmnetError as error:
        return Findings(asked, reflects, None, f"{error.what} ({error.fix})")
    # It may have gone silent meanwhile: only one who answers now has kept silent to the new MAC.
    return (
        Findings(asked, reflects, passes_foreign=False)
        if control()
        else Findings(asked, reflects, None, silent)
    )


def _refuse(link: "Link", everything: tuple["Link", ...]) -> None:
    if not link.ethernet:
        raise VmnetError(f"{link.name} is not an Ethernet device", fix="name a NIC: ip link")
    if link.kind in {"macvtap", "macvlan"}:
        lower = next((x.name for x in everything if x.index == link.lower), "its uplink")
        raise VmnetError(
            f"{link.name} is a {link.kind}, no uplink", fix=f"name the NIC below it: {lower}"
        )
    if not link.carrier:
        raise VmnetError(
            f"{link.name} has no carrier: there is no switch to be asked",
            fix="plug it in, or bring up what is at its other end",
        )


def _obstacle(link: "Link", everything: tuple["Link", ...]) -> str:
    """Return what keeps a macvlan from being made on the uplink."""
    master = next((x for x in everything if link.master and x.index == link.master), None)
    if master:
        return f"{link.name} is a port of {master.name}: ask through that one"
    for other in everything:
        if other.lower == link.index and other.mode == "passthru":
            return (
                f"{other.name} has {link.name} in mode passthru, which allows no second MAC "
                "(its guest needs none)"
            )
    return ""


def _machine(peer: str, link: "Link") -> "Address":
    try:
        address = ip_address(peer)
    except ValueError:
        address = IPv4Address(0)
    own = {text.partition("/")[0] for text in link.addresses}
    if address.is_unspecified or address.is_multicast or address.is_loopback or str(address) in own:
        raise VmnetError(
            f'--peer: "{peer}" is not the address of another machine',
            fix=f"name one behind {link.name} that answers: 192.168.1.1",
            status=Exit.BAD_INPUT,
        )
    return address


def _gateway(index: int) -> str:
    """Return the default gateway behind a device, IPv4 before IPv6, or nothing."""
    defaults = [x for x in addresses.routes() if x.network.endswith("/0")]
    ways = [x.gateway for x in defaults if x.index == index and x.gateway]
    return min(ways, key=lambda gateway: ":" in gateway, default="")


def reflects(uplink: str) -> bool | None:
    """Return whether the switch behind an uplink sends frames back; None when it cannot be asked.

    At most three broadcast frames of the local experimental ethertype are sent.
    """
    link = next((x for x in links.every() if x.name == uplink), None)
    if link is None or not (link.ethernet and link.up and link.carrier):
        return None
    return _reflected(uplink, link.mac)


def _reflected(uplink: str, mac: str) -> bool:
    """Broadcast a frame that nobody else could send, and listen for its copy."""
    secret = os.urandom(16)
    sent = b"\xff" * 6 + Mac(mac).packed + struct.pack("!H", ETHERTYPE) + b"vmnet " + secret
    # All protocols and a filter: a socket for one protocol comes after macvlan, which in mode
    # passthru leaves nothing.
    with (
        explained(uplink),
        packet_socket(frames.ethertype_only(ETHERTYPE), outgoing=False) as wire,
    ):
        wire.bind((uplink, ALL_PROTOCOLS))
        for _ in range(REFLECTION_TRIES):
            wire.send(sent.ljust(60, b"\0"))
            end = time.monotonic() + REFLECTION_WAIT_S
            while (wait_s := end - time.monotonic()) > 0:
                if select.select([wire], [], [], wait_s)[0] and secret in wire.recv(2048):
                    return True
    return False


def _answers(device: str, peer: "Address") -> bool:
    """Return whether a machine answers the MAC of a device.

    The sender is nobody (RFC 5227) or link-local: the device's addresses make no difference.
    """
    with Wire(device, anonymous=True) as wire:
        request = wire.request(peer)
        for _ in range(PEER_TRIES):
            wire.send(request)
            end = time.monotonic() + PEER_WAIT_S
            while (wait_s := end - time.monotonic()) > 0:
                if any(a.address.packed == peer.packed for a in wire.answers(wait_s)):
                    return True
    return False


def _foreign_answers(asked: Question) -> bool:
    index = links.existing_index(asked.uplink)
    doing = f"making a macvlan on {asked.uplink}"
    with namespaces(1) as (namespace,):
        device = (
            *(_NAMED, ("IFLA_ADDRESS", asked.foreign_mac)),
            *(("IFLA_LINK", index), ("IFLA_NET_NS_FD", namespace)),
            macvlan("macvlan", Mode.PRIVATE),  # isolated from what else is on the uplink
        )
        write(doing, [new(*device, create=True)])

        def answers() -> bool:
            try:
                ipv6.disable(_DEVICE)
                on = IFF_UP | IFF_NOARP | IFF_ALLMULTI
                write(doing, [silence(_NAMED), new(_NAMED, on=on)])
                return _answers(_DEVICE, ip_address(asked.peer))
            finally:
                # The namespace would take it away too, but at a time of its own.
                links.delete(_DEVICE)

        return run_in(namespace, answers)
