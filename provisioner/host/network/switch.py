"""Switches: isolated uplinks that vmnet makes, with or without a bridge that reflects."""

import errno
from collections.abc import Iterator, Sequence
from ipaddress import IPv6Interface
from typing import Final

from provisioner import naming
from provisioner.dataclass import dataclass
from provisioner.errors import Exit, VmnetError
from provisioner.host.netlink import ipv6, link_codec, links
from provisioner.host.netlink.addresses import (
    add_addresses,
    addresses,
    remove_addresses,
    remove_learned,
)
from provisioner.host.netlink.link_codec import IFF_NOARP, new
from provisioner.host.netlink.message import Attribute, Message
from provisioner.host.netlink.rtnetlink import write
from provisioner.host.network import devices, dnsmasq
from provisioner.network.facts import Link
from provisioner.network.frames import link_local
from provisioner.network.resources import Switch
from provisioner.plan.ip import Interface
from provisioner.reconcile.resources import Look
from provisioner.text import one_line

_NO_VETH: Final = {errno.EOPNOTSUPP: "the kernel has no veth driver: load it with modprobe veth"}
_NO_BRIDGE: Final = {
    errno.EOPNOTSUPP: "the kernel has no bridge driver: load it with modprobe bridge"
}


def create(switch: Switch) -> None:
    """Make the veth pair of a switch, its bridge, and the host's addresses; whole or not at all.

    Raises VmnetError when the kernel refuses; FileExistsError when one of the names is taken.
    """
    doing = f'making the switch "{switch.name}"'
    with links.creating(*switch.parts) as indexes:
        ends = _Indexes(*indexes)
        write(doing, [*_creation(switch, ends), *_configure(switch, ends)])
        _close(switch)
        added = add_addresses(ends.host_side, _addresses(switch))
        write(doing, [*ipv6.bring_up(*ends), *added])


def update(switch: Switch) -> None:
    """Bring what can be set on a living switch to what it should be, while guests run on it.

    Its bridge comes or goes as wanted, its dnsmasq starts anew. Raises VmnetError when the kernel
    refuses, or dnsmasq does not start.
    """
    lower, peer = links.existing_index(switch.name), links.existing_index(switch.peer)
    bridge = _bridge_of(switch.name)
    here = links.index_of(bridge)
    writes: list[Message] = []
    if switch.bridge and not here:
        here = links.free_index(bridge)
        writes.append(_bridge(switch, here, ("IFLA_IFNAME", bridge), create=True))
    elif here:
        _prove_bridge(here, switch)
    ends = _Indexes(lower, peer, here if switch.bridge else 0)
    have = addresses(peer, here)
    writes += remove_addresses(have, ends.host_side, switch.addresses)
    (port,) = links.at(peer)
    if port.master != ends.bridge:
        writes.append(_enslave(peer, ends.bridge))
    if here and not switch.bridge:
        writes.append(link_codec.delete(index=here))
    if switch.host_mac and port.mac != switch.host_mac:
        writes.append(new(("IFLA_ADDRESS", switch.host_mac), index=peer))
    doing = f'setting up the switch "{switch.name}"'
    for each in links.at(*ends):
        writes += ipv6.below_ipv6(each.mtu, switch.mtu, each.index)
    write(doing, [*writes, *_configure(switch, ends)])
    _close(switch)
    wanted, host_side = _addresses(switch), ends.host_side
    # What routers have given the host before: in a second call, once it ignores them.
    learned = remove_addresses(addresses(host_side), host_side, wanted)
    routes = remove_learned(host_side, wanted)
    write(doing, [*learned, *routes, *ipv6.bring_up(*ends), *add_addresses(host_side, wanted)])
    plan = switch.alias.removeprefix("vmnet:").partition("/")[0]
    dnsmasq.restart(plan, switch.host_side)


def observe(look: Look) -> list[Switch]:
    """List the switches of a plan.

    A bridge whose lower end somebody has taken away is a broken switch.
    """
    lower = [x for x in look.ours if x.name.startswith(naming.LOWER)]
    return [*(_observed(x, look.links) for x in lower), *_broken(look.ours)]


delete = devices.delete


def _observed(lower: Link, found: Sequence[Link]) -> Switch:
    """Return the switch of a lower end.

    A bridge that does not reflect, because its port has lost the hairpin mode, drops frames by
    another setting or has been pulled out, makes the switch as good as down: `up` is false.
    """
    peer = next((x for x in found if x.index == lower.lower and x.lower == lower.index), None)
    ours = _bridge_of(lower.name), "bridge", lower.group  # a name alone may be anybody's
    bridge = next((x for x in found if (x.name, x.kind, x.group) == ours), None)
    parts = [x for x in (lower, peer, bridge) if x]
    host_side = bridge or peer
    return Switch(
        name=lower.name,
        peer=peer.name if peer else "",
        addresses=host_side.addresses if host_side else (),
        mtu=min(x.mtu for x in parts),
        group=lower.group,
        alias=one_line(lower.alias),
        mac=lower.mac,
        host_mac=host_side.mac if host_side else "",
        bridge=bridge.name if bridge else "",
        up=peer is not None and all(x.up for x in parts) and _is_wired(peer, bridge),
        ignores_routers=not lower.ipv6 and not any(x.learns for x in parts),
    )


def _broken(ours: Sequence[Link]) -> Iterator[Switch]:
    """Return as broken switches the bridges whose lower ends somebody has deleted."""
    present = {x.name for x in ours}
    for x in ours:
        lower = naming.LOWER + x.name.removeprefix(naming.BRIDGE)
        if x.kind == "bridge" and lower not in present:
            alias = one_line(x.alias)
            yield Switch(lower, "", (), x.mtu, x.group, alias, bridge=x.name, up=False)


@dataclass(frozen=True, slots=True)
class _Indexes:
    """The ifindexes of a switch's devices; 0 for no bridge."""

    lower: int
    peer: int
    bridge: int = 0

    def __iter__(self) -> Iterator[int]:
        return filter(None, (self.lower, self.peer, self.bridge))

    @property
    def host_side(self) -> int:
        return self.bridge or self.peer


def _bridge_of(lower: str) -> str:
    return naming.BRIDGE + lower.removeprefix(naming.LOWER)


def _is_wired(peer: Link, bridge: Link | None) -> bool:
    if bridge is None:
        return not peer.master
    return peer.master == bridge.index and peer.hairpin and not peer.port_drops


def _creation(switch: Switch, ends: _Indexes) -> Iterator[Message]:
    shared = ("IFLA_MTU", switch.mtu), ("IFLA_GROUP", switch.group)
    near, peer = (
        [("IFLA_IFNAME", name), *shared, *([("IFLA_ADDRESS", mac)] if mac else [])]
        for name, mac in ((switch.name, switch.mac), (switch.peer, switch.host_mac))
    )
    pair = link_codec.veth(peer, ends.peer)
    yield new(*near, pair, index=ends.lower, create=True, fixes=_NO_VETH)
    if switch.bridge:
        yield _bridge(switch, ends.bridge, ("IFLA_IFNAME", switch.bridge), create=True)
        yield _enslave(ends.peer, ends.bridge)


def _bridge(switch: Switch, index: int, *named: Attribute, create: bool = False) -> Message:
    settings = ("IFLA_MTU", switch.mtu), ("IFLA_GROUP", switch.group), link_codec.bridge()
    return new(*named, *settings, index=index, create=create, fixes=_NO_BRIDGE)


def _enslave(port: int, bridge: int) -> Message:
    return new(("IFLA_MASTER", bridge), index=port)


def _configure(switch: Switch, ends: _Indexes) -> Iterator[Message]:
    """Set all that must be set before the devices are up."""
    settings = ("IFLA_MTU", switch.mtu), ("IFLA_IFALIAS", switch.alias)
    if ends.bridge:
        yield _bridge(switch, ends.bridge)
        yield new(link_codec.hairpin(), index=ends.peer)
    for index in ends:
        yield link_codec.silence(index=index)
        # The lower end is the guests': were it to answer ARP, a reflecting bridge would bring the
        # guests two answers for each of the host's addresses.
        on = IFF_NOARP if index == ends.lower else 0
        yield new(*settings, index=index, on=on)


def _close(switch: Switch) -> None:
    """Keep the lower end out of the host's IPv6, and the others from learning from routers."""
    ipv6.disable(switch.name)
    ipv6.ignore_routers(*filter(None, (switch.peer, switch.bridge)))


def _addresses(switch: Switch) -> tuple[Interface, ...]:
    """Return the host's addresses, and IPv6's link-local one, which the kernel does not make here.

    Without one dnsmasq sends no router advertisements (RFC 4861, 4.2: it is their source).
    """
    if not switch.host_mac or not any(isinstance(x, IPv6Interface) for x in switch.addresses):
        return switch.addresses
    return (*switch.addresses, IPv6Interface((link_local(switch.host_mac), 64)))


def _prove_bridge(index: int, switch: Switch) -> None:
    (have,) = links.at(index)
    if have.kind != "bridge" or have.group != switch.group:
        raise VmnetError(
            f'the device name "{have.name}" has been taken by something that is not vmnet\'s',
            fix=f"look at it with: ip -d link show dev {have.name}",
            status=Exit.CONFLICT,
        )
