"""What the modes demand of the NICs of a plan, each with the settings that hold for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provisioner.dataclass import dataclass
from provisioner.plan.choices import Mode, SpoofGuard
from provisioner.plan.nic_settings import decided_at, may_meet, settings_on
from provisioner.plan.placing.carriers import candidates, is_placed, uplink_on
from provisioner.plan.problem import Path, Problem
from provisioner.plan.scalars import ISOLATE_PLAN, meant, quoted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from provisioner.plan.model import Network, Nic, Plan
    from provisioner.plan.nic_id import NicId
    from provisioner.plan.nic_settings import NicSettings

MOST_SOURCES = 1024


@dataclass(frozen=True, slots=True)
class Placed:
    """One NIC with its id, its network, and the settings that hold for it."""

    key: NicId
    network: Network
    nic: Nic
    how: NicSettings


def mode_problems(plan: Plan) -> Iterator[Problem]:
    """Check NICs and networks by the modes of their macvtaps."""
    nics = placed(plan)
    wires: dict[tuple[str, ...], list[Placed]] = {}
    for one in nics:
        wires.setdefault(wire_of(one.network), []).append(one)
        yield from _nic(one)
    yield from _isolated(nics)
    for (uplink, *_), wire in (_by_host(plan, nics) if is_placed(plan) else wires).items():
        yield from _alone(wire, uplink)
    for network in plan.networks:
        there = wires.get(wire_of(network), [])
        yield from _without_host(network, there)
        yield from _network(network, [one for one in there if one.network is network])
    yield from _sources(plan, nics, wires)


def placed(plan: Plan) -> list[Placed]:
    """Return every NIC whose network the plan has."""
    known = {network.name: network for network in plan.networks}
    return [
        Placed(key, known[nic.network], nic, settings_on(known[nic.network], nic))
        for key, nic in plan.nics()
        if nic.network in known
    ]


def wire_of(network: Network) -> tuple[str, ...]:
    """Return what is the same for networks that share one wire: uplink and VLAN, or the switch."""
    if network.uplink:
        return (network.uplink, str(network.vlan or ""))
    return (f"switch {network.name}",)  # no NIC's name has a space


def _by_host(plan: Plan, nics: Sequence[Placed]) -> dict[tuple[str, ...], list[Placed]]:
    """Return the NICs that are on one wire of one host for certain, by what that is called."""
    wires: dict[tuple[str, ...], list[Placed]] = {}
    for one in nics:
        hosts = candidates(plan, plan.vm(one.key.vm))
        if one.network.switch:
            wires.setdefault(wire_of(one.network), []).append(one)
        elif len(hosts) == 1:
            nic = f"{uplink_on(plan, hosts[0], one.network)} of host {hosts[0]}"
            wires.setdefault((nic, str(one.network.vlan or "")), []).append(one)
    return wires


def _alone(wire: Sequence[Placed], uplink: str) -> Iterator[Problem]:
    """Refuse what the kernel answers with EINVAL: passthru beside anything, both ways."""
    alone = [one for one in wire if one.how.mode.is_exclusive]
    beside = [one for one in wire if not one.how.mode.is_exclusive]
    pairs = [(one, alone[0]) for one in alone[1:]]
    if alone and beside:
        pairs.append((alone[0], beside[0]))
    for one, other in pairs:
        yield Problem(
            (*one.key.path, "mode"),
            f"mode passthru takes {uplink} for this NIC alone, and another NIC is on it",
            "give one of them another uplink, or both a mode other than passthru",
            (*other.key.path, "mode"),
        )


def _without_host(network: Network, wire: Sequence[Placed]) -> Iterator[Problem]:
    """Refuse host access beside passthru, where no NIC of its network is refused for it."""
    alone = [one for one in wire if one.how.mode.is_exclusive]
    own = any(one.network is network for one in wire)
    if network.host_access is not None and alone and not own:
        yield Problem(
            ("networks", network.name, "host_access"),
            f"mode passthru takes {network.uplink} for one NIC alone: the host has no access "
            "beside it",
            "leave host_access out, or use a mode other than passthru",
            (*alone[0].key.path, "mode"),
        )


def _isolated(nics: Sequence[Placed]) -> Iterator[Problem]:
    """Refuse isolation that nobody can keep: it knows guests by MACs that they must not forge."""
    isolating = [one for one in nics if one.how.isolate]
    if not isolating:
        return
    first = isolating[0]
    where = decided_at(first.key, first.nic, "isolate")
    for one in isolating:
        if one.network.granted:
            yield Problem(
                decided_at(one.key, one.nic, "isolate"),
                f"network {one.network.name} is made of devices that root has made, and no user "
                "sets rules there",
                "leave isolate out, or use an uplink or a switch",
                ("networks", one.network.name, "granted"),
            )
    for one in nics:
        known = (x for x in isolating if ISOLATE_PLAN in x.how.isolate)
        meets = one.how.isolate or any(may_meet(one.network, x.network) for x in known)
        if meets and one.how.spoof_guard is SpoofGuard.OFF:
            yield Problem(
                decided_at(one.key, one.nic, "spoof_guard"),
                f"NIC {one.key} may take any MAC, and isolate knows guests by theirs",
                "use spoof_guard: mac, or leave isolate out",
                where,
            )


def _nic(one: Placed) -> Iterator[Problem]:
    mode, nic, path = one.how.mode, one.nic, one.key.path
    if nic.mac and mode.takes_uplink_mac:
        # The kernel passes over the MAC at creation; set later, it is given to the uplink as well.
        yield Problem(
            (*path, "mac"),
            "a NIC in mode passthru bears the MAC of its uplink: no other can be given",
            "leave mac out, or use another mode",
            decided_at(one.key, nic, "mode"),
        )
    if nic.promisc is False and not mode.is_exclusive:
        yield _useless((*path, "promisc"), "promisc: false", Mode.PASSTHRU, mode)
    if nic.allow is not None and not mode.has_source_list:
        yield _useless((*path, "allow"), "a list of sources", Mode.SOURCE, mode)
    if nic.ether_types and one.how.spoof_guard is not SpoofGuard.STRICT:
        yield _opens_nothing((*path, "ether_types"), one.how.spoof_guard)
    if one.network.host_access is not None and not mode.reaches_host_access:
        yield Problem(
            decided_at(one.key, nic, "mode"),
            "host access works in mode bridge only: the kernel lets nothing pass between the host "
            f"and a guest of mode {mode}",
            "use mode: bridge, leave host_access out, or use a switch: there the host is reached "
            "in every mode",
            ("networks", one.network.name, "host_access"),
        )


def _network(network: Network, there: Sequence[Placed]) -> Iterator[Problem]:
    """Check settings of a network that none of its NICs can have a use for."""
    modes = {network.mode, *(one.how.mode for one in there)}
    home: Path = ("networks", network.name)
    if not network.promisc and Mode.PASSTHRU not in modes:
        yield _useless((*home, "promisc"), "promisc: false", Mode.PASSTHRU, network.mode)
    if network.take_over and Mode.PASSTHRU not in modes:
        yield _useless((*home, "take_over"), "take_over", Mode.PASSTHRU, network.mode)
    if network.allow and Mode.SOURCE not in modes:
        yield _useless((*home, "allow"), "a list of sources", Mode.SOURCE, network.mode)
    guards = {network.spoof_guard, *(one.how.spoof_guard for one in there)}
    if network.ether_types and SpoofGuard.STRICT not in guards:
        yield _opens_nothing((*home, "ether_types"), network.spoof_guard)


def _opens_nothing(path: Path, guard: SpoofGuard) -> Problem:
    return Problem(
        path,
        f"ether_types opens nothing: spoof_guard: {guard} lets every EtherType through",
        "use spoof_guard: strict, or leave ether_types out",
    )


def _useless(path: Path, what: str, wanted: Mode, mode: Mode) -> Problem:
    return Problem(
        path,
        f"{what} means nothing in mode {mode}",
        f"use mode: {wanted}, or leave {path[-1]} out",
    )


def _sources(
    plan: Plan, nics: Sequence[Placed], wires: dict[tuple[str, ...], list[Placed]]
) -> Iterator[Problem]:
    sizes = {vm.name: len(vm.nics) for vm in plan.vms}
    on_wire = {wire: {one.key.vm for one in there} for wire, there in wires.items()}
    lists: list[tuple[Path, Network, tuple[str, ...]]] = [
        (("networks", network.name, "allow"), network, network.allow) for network in plan.networks
    ]
    lists += [((*one.key.path, "allow"), one.network, one.nic.allow or ()) for one in nics]
    for path, network, allow in lists:
        yield from _of_vms(path, network, allow, on_wire.get(wire_of(network), set()), sizes)
        many = sum(sizes.get(one.removeprefix("vm:"), 1) for one in allow)
        if many > MOST_SOURCES:
            yield Problem(
                path,
                f"a list of {many} sources is too long: each frame is looked up in it",
                f"list at most {MOST_SOURCES}, or use another mode",
            )


def _of_vms(
    path: Path,
    network: Network,
    allow: Sequence[str],
    there: set[str],
    sizes: dict[str, int],
) -> Iterator[Problem]:
    """Check the VMs of a list; on a switch, frames come from nobody but the host and VMs on it."""
    for at, one in enumerate(allow):
        name = one.removeprefix("vm:")
        if not one.startswith("vm:"):
            continue
        if name not in sizes:
            few = [*sizes][:12]
            more = f" and {len(sizes) - len(few)} more" if len(sizes) > len(few) else ""
            yield Problem(
                (*path, at),
                f"there is no VM {quoted(name)}",
                f"{meant(name, sizes)}VMs of this plan: {', '.join(few)}{more}",
            )
        elif network.switch and name not in there:
            yield Problem(
                (*path, at),
                f"VM {name} has no NIC on the switch of network {network.name}",
                "take it out of the list, or give it a NIC there",
            )
