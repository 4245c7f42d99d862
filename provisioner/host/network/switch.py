"""Switches: isolated uplinks that vmnet makes, with or without a bridge that reflects."""

import errno
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from provisioner import naming
from provisioner.errors import Exit, VmnetError
from provisioner.host.netlink import ipv6, links
from provisioner.host.netlink import link_codec as m
from provisioner.host.netlink import uplink_codec as u
from provisioner.host.netlink.addresses import forget, held, hold, let_go
from provisioner.host.netlink.batch import NO_IPV6, Write, free_index, write
from provisioner.host.netlink.ipv6 import below_ipv6
from provisioner.host.netlink.rtnetlink import drop, existing_index, index_of
from provisioner.network.facts import Link
from provisioner.network.frames import link_local
from provisioner.network.resources import Switch
from provisioner.text import one_line

_NO_VETH: Final = {errno.EOPNOTSUPP: "the kernel has no veth driver: load it with modprobe veth"}
_NO_BRIDGE: Final = {
    errno.EOPNOTSUPP: "the kernel has no bridge driver: load it with modprobe bridge"
}


def create(switch: Switch) -> None:
    """Make the veth pair of a switch, its bridge, and the host's addresses; whole or not at all.

    Raises VmnetError when the kernel refuses; FileExistsError when one of the names is taken.
    """
    parts = [name for name in (switch.name, switch.far, switch.bridge) if name]
    for name in parts:
        if index_of(name):
            raise FileExistsError(errno.EEXIST, name)
    doing = f'making the switch "{switch.name}"'
    ends = _Ends.chosen(parts)
    try:
        write(doing, [*_birth(switch, ends), *_dress(switch, ends)])
        _close(switch)
        write(doing, [*_wake(ends), *hold(ends.side, _addresses(switch))])
    except VmnetError:
        for name, index in zip(parts, ends, strict=False):
            if index_of(name) == index:
                drop(doing, index=index)
        raise


def update(switch: Switch) -> None:
    """Bring what can be set on a living switch to what it should be, while guests run on it.

    Its bridge comes or goes as wanted. Raises VmnetError when the kernel refuses.
    """
    lower, far = existing_index(switch.name), existing_index(switch.far)
    bridge = _bridge_of(switch.name)
    here = index_of(bridge)
    writes: list[Write] = []
    if switch.bridge and not here:
        here = free_index(naming.link_indexes(bridge))
        writes.append(_bridge(switch, here, birth=True))
    elif here:
        _prove_bridge(here, switch)
    ends = _Ends(lower, far, here if switch.bridge else 0)
    writes += let_go(held(far, here), ends.side, switch.addresses)
    (port,) = links.at(far)
    if port.master != ends.bridge:
        writes.append(Write(u.enslave(far, ends.bridge)))
    if here and not switch.bridge:
        writes.append(Write(m.delete(index=here)))
    if switch.far_mac and port.mac != switch.far_mac:
        writes.append(Write(m.new(m.mac(m.ADDRESS, switch.far_mac), index=far)))
    doing = f'setting up the switch "{switch.name}"'
    for each in links.at(*filter(None, ends)):
        writes += below_ipv6(each.mtu, switch.mtu, each.index)
    write(doing, [*writes, *_dress(switch, ends)])
    _close(switch)
    addresses = _addresses(switch)
    # What routers have given the host before: in a second call, once it ignores them.
    learned = [*let_go(held(ends.side), ends.side, addresses), *forget(ends.side, addresses)]
    write(doing, [*learned, *_wake(ends), *hold(ends.side, addresses)])


def observed(lower: Link, found: Iterable[Link]) -> Switch:
    """Read the switch of a lower end out of the links of the host.

    A bridge that does not reflect, because its port has lost the hairpin mode or has been pulled
    out, makes the switch as good as down: `up` is false.
    """
    links_ = tuple(found)
    far = next((x for x in links_ if x.index == lower.lower and x.lower == lower.index), None)
    bridge = next((x for x in links_ if x.name == _bridge_of(lower.name)), None)
    parts = [x for x in (lower, far, bridge) if x]
    side = bridge or far
    return Switch(
        name=lower.name,
        far=far.name if far else "",
        addresses=side.addresses if side else (),
        mtu=min(x.mtu for x in parts),
        group=lower.group,
        alias=one_line(lower.alias),
        mac=lower.mac,
        far_mac=side.mac if side else "",
        bridge=bridge.name if bridge else "",
        up=far is not None and all(x.up for x in parts) and _is_wired(far, bridge),
        ignores_routers=not lower.ipv6 and not any(x.learns for x in parts),
    )


def strays(ours: Iterable[Link]) -> list[Switch]:
    """Give as broken switches the bridges whose lower ends somebody has taken away."""
    links_ = tuple(ours)
    present = {x.name for x in links_}
    return [
        Switch(
            _lower_of(x.name), "", (), x.mtu, x.group, one_line(x.alias), bridge=x.name, up=False
        )
        for x in links_
        if x.kind == "bridge" and _lower_of(x.name) not in present
    ]


@dataclass(frozen=True, slots=True)
class _Ends:
    """The ifindexes of a switch's devices; 0 for no bridge."""

    lower: int
    far: int
    bridge: int

    @classmethod
    def chosen(cls, parts: Sequence[str]) -> "_Ends":
        """Choose free ifindexes, so that one call can say everything about the new devices."""
        found: list[int] = []
        for name in parts:
            found.append(free_index(naming.link_indexes(name), found))
        return cls(*found, *[0] * (3 - len(found)))

    def __iter__(self) -> Iterator[int]:
        return iter((self.lower, self.far, self.bridge))

    @property
    def side(self) -> int:
        return self.bridge or self.far


def _bridge_of(lower: str) -> str:
    return naming.BRIDGE + lower[3:]


def _lower_of(bridge: str) -> str:
    return naming.LOWER + bridge[3:]


def _is_wired(far: Link, bridge: Link | None) -> bool:
    if bridge is None:
        return not far.master
    return far.master == bridge.index and far.hairpin


def _birth(switch: Switch, ends: _Ends) -> Iterator[Write]:
    shared = m.number(m.MTU, switch.mtu) + m.number(m.GROUP, switch.group)
    near, far = (m.text(m.IFNAME, name) + shared for name in (switch.name, switch.far))
    near += m.mac(m.ADDRESS, switch.mac) if switch.mac else b""
    far += m.mac(m.ADDRESS, switch.far_mac) if switch.far_mac else b""
    yield Write(u.veth(near, far, ends.lower, ends.far), _NO_VETH)
    if switch.bridge:
        yield _bridge(switch, ends.bridge, birth=True)
        yield Write(u.enslave(ends.far, ends.bridge))


def _bridge(switch: Switch, index: int, *, birth: bool) -> Write:
    name = m.text(m.IFNAME, switch.bridge) if birth else b""
    about = name + m.number(m.MTU, switch.mtu) + m.number(m.GROUP, switch.group)
    return Write(u.bridge(about, index, birth=birth), _NO_BRIDGE)


def _dress(switch: Switch, ends: _Ends) -> Iterator[Write]:
    """Say all that must be said before the devices are up."""
    mtu, alias = m.number(m.MTU, switch.mtu), m.text(m.IFALIAS, switch.alias)
    if ends.bridge:
        yield _bridge(switch, ends.bridge, birth=False)
        yield Write(u.hairpin(ends.far))
    for index in filter(None, ends):
        # Silent before it is up: the host says nothing here but what it is asked for.
        yield Write(m.new(m.silent(), index=index), fine=NO_IPV6)
        # The lower end is the guests': were it to answer ARP, a reflecting bridge would bring the
        # guests two answers for each of the host's addresses.
        on = m.NOARP if index == ends.lower else 0
        yield Write(m.new(mtu, alias, index=index, on=on))


def _close(switch: Switch) -> None:
    """Keep the lower end out of the host's IPv6, and the others from learning from routers."""
    ipv6.disable(switch.name)
    ipv6.ignore_routers(*filter(None, (switch.far, switch.bridge)))


def _wake(ends: _Ends) -> Iterator[Write]:
    for index in filter(None, ends):
        # Again: an MTU that has become large enough for IPv6 has brought the defaults back.
        yield Write(m.new(m.silent(), index=index), fine=NO_IPV6)
        yield Write(m.new(index=index, on=m.UP))


def _addresses(switch: Switch) -> tuple[str, ...]:
    """Give the host's addresses, and IPv6's link-local one, which the kernel does not make here.

    Without one dnsmasq sends no router advertisements (RFC 4861, 4.2: it is their source).
    """
    six = switch.far_mac and any(":" in address for address in switch.addresses)
    return (*switch.addresses, f"{link_local(switch.far_mac)}/64") if six else switch.addresses


def _prove_bridge(index: int, switch: Switch) -> None:
    (have,) = links.at(index)
    if have.kind != "bridge" or have.group != switch.group:
        raise VmnetError(
            f'the device name "{have.name}" has been taken by something that is not vmnet\'s',
            fix=f"look at it with: ip -d link show dev {have.name}",
            status=Exit.CONFLICT,
        )
