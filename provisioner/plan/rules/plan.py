"""What must hold among the networks and VMs of a plan."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provisioner import naming
from provisioner.plan import pools
from provisioner.plan.nic_settings import mac_of
from provisioner.plan.problem import Path, Problem
from provisioner.plan.rules.modes import mode_problems, wire_of
from provisioner.plan.rules.network import least_mtu, small_mtu
from provisioner.plan.rules.subnet import inside, prefix
from provisioner.plan.scalars import meant, quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from provisioner.plan.ip import Address, Subnet
    from provisioner.plan.mac import Mac
    from provisioner.plan.model import Network, Nic, Plan
    from provisioner.plan.nic_id import NicId

MOST_VMS = 1000
MOST_NICS = 64
_MTU_OF_A_SWITCH = 1500  # what network.devices gives one that says nothing else


def plan_problems(plan: Plan) -> Iterator[Problem]:
    """Check what spans networks and VMs."""
    yield from _sizes(plan)
    same = tuple(_same_names(plan))
    yield from same
    if same:
        return  # what follows tells parts apart by their names
    yield from _overlaps(plan)
    yield from _nics(plan)
    yield from mode_problems(plan)
    yield from _same_macs(plan)
    yield from _same_taps(plan)
    yield from _same_addresses(plan)
    yield from _room(plan)


def _sizes(plan: Plan) -> Iterator[Problem]:
    if not plan.networks:
        yield Problem(
            ("networks",), "the plan has no networks", "add one, as in lan: {uplink: eno1}"
        )
    if not plan.vms:
        yield Problem(("vms",), "the plan has no VMs", "add one, as in web: {nics: [lan]}")
    if len(plan.vms) > MOST_VMS:
        yield Problem(
            ("vms",), f"the plan has {len(plan.vms)} VMs", f"use at most {MOST_VMS} in one plan"
        )
    for vm in plan.vms:
        path = ("vms", vm.name, "nics")
        if not vm.nics:
            yield Problem(path, f"VM {vm.name} has no NICs", "add one, as in nics: [lan]")
        if len(vm.nics) > MOST_NICS:
            yield Problem(
                path, f"VM {vm.name} has {len(vm.nics)} NICs", f"use at most {MOST_NICS} in one VM"
            )


def _same_names(plan: Plan) -> Iterator[Problem]:
    for kind, parts in (("networks", plan.networks), ("vms", plan.vms)):
        seen = set()
        for part in parts:
            if part.name in seen:
                yield Problem(
                    (kind, part.name), f"two {kind} are named {part.name}", "rename one of them"
                )
            seen.add(part.name)


def _overlaps(plan: Plan) -> Iterator[Problem]:
    """Sweep the subnets from low to high; each is compared with the furthest one before it."""
    places: list[tuple[Path, Subnet]] = [
        (("networks", network.name, "subnet", at), subnet)
        for network in plan.networks
        for at, subnet in enumerate(network.subnet)
    ]
    order = {path: number for number, (path, _) in enumerate(places)}
    places.sort(key=lambda place: (place[1].version, int(place[1].network_address)))
    furthest: tuple[Path, Subnet] | None = None
    for place in places:
        if furthest and place[1].version == furthest[1].version and furthest[1].overlaps(place[1]):
            first, second = sorted((furthest, place), key=lambda place: order[place[0]])
            yield from _overlap(first, second)
            continue  # one subnet holds the other: the larger came first and reaches furthest
        furthest = place


def _overlap(first: tuple[Path, Subnet], second: tuple[Path, Subnet]) -> Iterator[Problem]:
    if first[0][1] != second[0][1]:
        yield Problem(
            second[0],
            f"subnet {second[1]} overlaps {first[1]} of network {first[0][1]}",
            "give each network a subnet of its own",
            first[0],
        )


def _nics(plan: Plan) -> Iterator[Problem]:
    known = {network.name: network for network in plan.networks}
    for key, nic in plan.nics():
        if nic.network in known:
            yield from _nic(key.path, nic, known[nic.network])
        elif known:
            yield Problem(
                (*key.path, "network"),
                f"there is no network {quoted(nic.network)}",
                f"{meant(nic.network, known)}networks of this plan: {', '.join(known)}",
            )


def _nic(path: Path, nic: Nic, network: Network) -> Iterator[Problem]:
    if nic.mtu is not None and nic.mtu < least_mtu(network):
        yield small_mtu((*path, "mtu"), nic.mtu, network)
    yield from _large_mtu((*path, "mtu"), nic, network)
    for at, given in enumerate(nic.address or ()):
        place = (*path, "address", at)
        yield from inside(place, "address", given.ip, network.subnet)
        yield from prefix(place, given, network.subnet)
        yield from _taken_by_network(place, network, given.ip)


def _large_mtu(path: Path, nic: Nic, network: Network) -> Iterator[Problem]:
    most = network.mtu or (_MTU_OF_A_SWITCH if network.switch else None)
    if nic.mtu is None or most is None or nic.mtu <= most:
        return
    if network.mtu:
        yield Problem(
            path,
            f"an MTU of {nic.mtu} is above the {most} of {network.name}",
            f"use at most {most}",
            ("networks", network.name, "mtu"),
        )
    else:
        yield Problem(
            path,
            f"an MTU of {nic.mtu} is above the {most} of a switch that says nothing else",
            f"use at most {most}, or write mtu: {nic.mtu} at network {network.name}",
            ("networks", network.name, "switch"),
        )


def _taken_by_network(path: Path, network: Network, one: Address) -> Iterator[Problem]:
    home = ("networks", network.name)
    hosts = [host.ip for host in network.switch.host] if network.switch else []
    if one in network.gateway:
        other: Path = (*home, "gateway", network.gateway.index(one))
        yield Problem(path, f"address {one} is the gateway's", "choose another address", other)
    elif one in hosts:
        other = (*home, "switch", "host", hosts.index(one))
        yield Problem(path, f"address {one} is the switch host's", "choose another address", other)
    elif one in (network.host_access or ()):
        other = (*home, "host_access", (network.host_access or ()).index(one))
        yield Problem(
            path, f"address {one} is the host's own: host_access", "choose another address", other
        )


def _same_macs(plan: Plan) -> Iterator[Problem]:
    """Compare given and derived MACs alike; a passthru NIC has its uplink's."""
    modes = {network.name: network.mode for network in plan.networks}
    macs: dict[Mac, NicId] = {}
    for key, nic in plan.nics():
        mode = nic.mode or modes.get(nic.network)
        if mode and mode.takes_uplink_mac:
            continue
        mac = mac_of(plan, key, nic)
        other = macs.setdefault(mac, key)
        if other is not key:
            yield Problem(
                (*key.path, "mac"),
                f"MAC {mac} is given twice",
                "leave one out: vmnet derives it",
                (*other.path, "mac"),
            )


def _same_taps(plan: Plan) -> Iterator[Problem]:
    taps: dict[str, NicId] = {}
    for key, _ in plan.nics():
        tap = naming.macvtap(plan.name, *key)
        other = taps.setdefault(tap, key)
        if other is not key:
            yield Problem(
                key.path,
                f"the derived name {tap} fits two NICs",
                f"rename {key.vm}",
                other.path,
            )


def _same_addresses(plan: Plan) -> Iterator[Problem]:
    """Addresses must differ on one wire: networks of one uplink share theirs."""
    wires = {network.name: wire_of(network) for network in plan.networks}
    seen: dict[object, Path] = {}
    for key, nic in plan.nics():
        for at, given in enumerate(nic.address or ()):
            place = (*key.path, "address", at)
            other = seen.setdefault((wires.get(nic.network), given.ip), place)
            if other is not place:
                yield Problem(
                    place, f"address {given.ip} is given twice", "choose another address", other
                )


def _room(plan: Plan) -> Iterator[Problem]:
    for network in plan.networks:
        there = [nic for _, nic in plan.nics_on(network)]
        for pool in pools.of(network):
            host = network.host_access == ()
            wanting = sum(map(pool.wants, there)) + host
            free = pool.free(pool.given(there))
            if wanting > free:
                yield Problem(
                    ("networks", network.name, *_named_room(network, pool)),
                    f"network {network.name} has {max(free, 0)} free addresses,"
                    f" its NICs{' and the host' if host else ''} want {wanting}",
                    "widen the pool or the subnet, or use fewer VMs",
                )


def _named_room(network: Network, pool: pools.Pool) -> Path:
    if network.pool is not None and network.pool[0].version == pool.subnet.version:
        return ("pool",)
    return ("subnet", network.subnet.index(pool.subnet))
