"""What the host forbids, said before the host is asked."""

from collections.abc import Iterator
from difflib import get_close_matches
from ipaddress import ip_network
from typing import TYPE_CHECKING

from provisioner.core import names
from provisioner.core.facts import Facts, Link
from provisioner.core.networks import Nics, uplink_of
from provisioner.core.resources import Key, Resources
from provisioner.core.text import one_line
from provisioner.errors import Exit, VmnetError

if TYPE_CHECKING:
    from provisioner.core.model import Network, Plan
    from provisioner.core.places import Places


def complaints(
    plan: "Plan", places: "Places", nics: Nics, facts: Facts, owned: Resources
) -> list[VmnetError]:
    """List every reason why this plan cannot be brought up on this host."""
    out: list[VmnetError] = []
    for network in plan.networks:
        if network.switch:
            out += _switch(plan, network, places, facts, owned)
        else:
            out += _uplink(plan, network, places, nics, facts)
    out += _devices_taken(plan, places, facts, owned)
    out += _domains_taken(plan, places, facts)
    return out


def warnings(plan: "Plan", facts: Facts) -> list[str]:
    """List what will work otherwise than one may think."""
    out = []
    for network in plan.networks:
        link = facts.link(network.uplink) if network.uplink else None
        if link and not (link.up and link.carrier):
            what = "has no carrier" if link.up else "is down"
            out.append(
                f"uplink {link.name} {what}: guests on {network.name} reach nobody outside "
                f"until it comes up"
            )
    return out


def _uplink(
    plan: "Plan", network: "Network", places: "Places", nics: Nics, facts: Facts
) -> Iterator[VmnetError]:
    where = places.where("networks", network.name, "uplink")
    name = network.uplink or ""
    link = facts.link(name)
    if not link:
        yield VmnetError(
            f'there is no network device "{name}" on this host',
            where=where,
            fix=_instead(name, facts),
            status=Exit.BAD_INPUT,
        )
        return
    if refusal := _unfit(link, facts):
        what, fix, status = refusal
        yield VmnetError(what, where=where, fix=fix, status=status)
        return
    yield from _mtu(plan, network, places, link)
    yield from _macs(plan, network, places, nics, facts, link)


def _unfit(link: Link, facts: Facts) -> tuple[str, str, Exit] | None:
    if link.name == "lo" or link.mac == "00:00:00:00:00:00":
        return (
            f'"{link.name}" is a loopback device: no frame leaves it',
            "use a network card, or `switch: true` for a network of the plan's own",
            Exit.BAD_INPUT,
        )
    if not link.ethernet:
        return (
            f'"{link.name}" is not an Ethernet device: a macvtap needs one',
            "use an Ethernet network card, or `switch: true`",
            Exit.HOST_CANNOT,
        )
    if link.kind in {"macvtap", "macvlan"}:
        lower = facts.link_at(link.lower)
        return (
            f'"{link.name}" is a {link.kind} itself: the kernel would silently use what is below',
            f"use {lower.name if lower else 'the device it sits on'} as the uplink",
            Exit.BAD_INPUT,
        )
    if master := facts.link_at(link.master):
        return (
            f'"{link.name}" is a port of "{master.name}": the kernel puts no macvtap on a port',
            f"use {master.name} as the uplink",
            Exit.CONFLICT,
        )
    for other in facts.links:
        if other.lower == link.index and other.mode == "passthru":
            return (
                f'"{link.name}" is used exclusively by the passthru "{one_line(other.name)}"',
                "use another uplink, or take that device away",
                Exit.CONFLICT,
            )
    return None


def _mtu(plan: "Plan", network: "Network", places: "Places", link: Link) -> Iterator[VmnetError]:
    asked = [(network.mtu, ("networks", network.name, "mtu"))]
    asked += [
        (nic.mtu, ("vms", vm.name, "nics", i, "mtu"))  # type: ignore[misc]
        for vm in plan.vms
        for i, nic in enumerate(vm.nics)
        if nic.network == network.name
    ]
    for mtu, path in asked:
        if mtu and mtu > link.mtu:
            yield VmnetError(
                f"an MTU of {mtu} is above the uplink's: {link.name} has {link.mtu}",
                where=places.where(*path),
                fix=f"write {link.mtu} or less, or raise it: ip link set dev {link.name} mtu {mtu}",
                status=Exit.BAD_INPUT,
            )


def _macs(
    plan: "Plan", network: "Network", places: "Places", nics: Nics, facts: Facts, link: Link
) -> Iterator[VmnetError]:
    """The kernel finds a MAC that is taken only when the device is set up, with EADDRINUSE."""
    ours = names.group(plan.name)
    taken = {link.mac: link.name} | {
        x.mac: x.name for x in facts.links if x.lower == link.index and x.group != ours
    }
    for vm in plan.vms:
        for i, nic in enumerate(vm.nics):
            mac = nics[vm.name, i].mac
            if nic.network == network.name and mac in taken:
                yield VmnetError(
                    f'the MAC {mac} is already in use on {link.name}, by "{one_line(taken[mac])}"',
                    where=places.where("vms", vm.name, "nics", i, "mac"),
                    fix="give this NIC another MAC",
                    status=Exit.CONFLICT,
                )


def _switch(
    plan: "Plan", network: "Network", places: "Places", facts: Facts, owned: Resources
) -> Iterator[VmnetError]:
    lower, far = names.switch_ends(plan.name, network.name)
    bridge = names.bridge(plan.name, network.name)
    mine = {far, bridge} if ("switch", lower) in owned else set()
    for subnet in network.subnet:
        for route in facts.routes:
            if route.network == "default" or route.device in mine or route.device == "":
                continue
            if subnet.overlaps(other := ip_network(route.network, strict=False)):
                yield VmnetError(
                    f'the subnet {subnet} of network "{network.name}" overlaps the route {other} '
                    f"that this host has through {one_line(route.device)}",
                    where=places.where("networks", network.name, "subnet"),
                    fix="choose a subnet that the host does not use (see: ip route)",
                    status=Exit.CONFLICT,
                )


def _devices_taken(
    plan: "Plan", places: "Places", facts: Facts, owned: Resources
) -> Iterator[VmnetError]:
    """Names that something which is not ours has: it is never touched."""
    links = {x.name: x for x in facts.links} | {x.altname: x for x in facts.links if x.altname}
    for name, (key, path) in _devices(plan).items():
        if name in links and key not in owned:
            link = links[name]
            yield VmnetError(
                f'the device name "{name}" is taken by a {link.kind or "device"} that vmnet did '
                f"not make for this plan (group {link.group:#x})",
                where=places.where(*path),
                fix=f"rename the plan, or take that device away: ip link del dev {name}",
                status=Exit.CONFLICT,
            )


def _devices(plan: "Plan") -> dict[str, tuple[Key, tuple[str | int, ...]]]:
    """Give every device name of the plan, the resource it belongs to, and its place in the plan."""
    out: dict[str, tuple[Key, tuple[str | int, ...]]] = {}
    for vm in plan.vms:
        for i in range(len(vm.nics)):
            tap = names.macvtap(plan.name, vm.name, i)
            for name in (tap, names.altname(plan.name, vm.name, i)):
                out[name] = (("macvtap", tap), ("vms", vm.name, "nics", i))
    for network in plan.networks:
        if network.switch:
            for end in names.switch_ends(plan.name, network.name):
                key = ("switch", uplink_of(plan.name, network))
                out[end] = (key, ("networks", network.name))
    return out


def _domains_taken(plan: "Plan", places: "Places", facts: Facts) -> Iterator[VmnetError]:
    for vm in plan.vms:
        name, uuid = names.domain(plan.name, vm.name), names.domain_uuid(plan.name, vm.name)
        for foreign in facts.foreign_domains:
            if name == foreign.name or uuid == foreign.uuid:
                yield VmnetError(
                    f'libvirt already has a domain "{one_line(foreign.name)}" that vmnet did not '
                    "make for this plan",
                    where=places.where("vms", vm.name),
                    fix="rename the plan or the VM; vmnet never touches a domain of somebody else",
                    status=Exit.CONFLICT,
                )


def _instead(name: str, facts: Facts) -> str:
    fit = [x.name for x in facts.links if not _unfit(x, facts)]
    close = get_close_matches(name, fit, n=1)
    guess = f'did you mean "{one_line(close[0])}"? ' if close else ""
    listed = ", ".join(one_line(x) for x in fit[:12]) or "none"
    return f"{guess}devices that can be an uplink here: {listed}; or write `switch: true`"
