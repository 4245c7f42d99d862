"""What must hold among the networks and VMs of a plan."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, TypeVar

from provisioner import naming
from provisioner.plan import pools
from provisioner.plan.nic_settings import DEFAULT_MTU, mac_of
from provisioner.plan.problem import Path, Problem
from provisioner.plan.rules.modes import mode_problems, wire_of
from provisioner.plan.rules.network import inside, least_mtu, prefix, small_mtu
from provisioner.plan.rules.placement import placement_problems
from provisioner.plan.scalars import meant, quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from provisioner.plan.ip import Address, Subnet
    from provisioner.plan.model import Network, Nic, Plan

_T = TypeVar("_T")

MOST_VMS = 1000
MOST_NICS = 64


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
    yield from placement_problems(plan)
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
        for name, count in Counter(part.name for part in parts).items():
            for _ in range(count - 1):
                yield Problem((kind, name), f"two {kind} are named {name}", "rename one of them")


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
            (other, wide), (path, subnet) = sorted(
                (furthest, place), key=lambda place: order[place[0]]
            )
            yield Problem(
                path,
                f"subnet {subnet} overlaps {wide} of network {other[1]}",
                "give each network a subnet of its own",
                other,
            )
            continue  # one subnet holds the other: the larger came first and reaches furthest
        furthest = place


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
        yield from inside(place, "address", given.ip, network)
        yield from prefix(place, given, network)
        yield from _taken_by_network(place, network, given.ip)


def _large_mtu(path: Path, nic: Nic, network: Network) -> Iterator[Problem]:
    most = network.mtu or (DEFAULT_MTU if network.switch else None)
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
    for key, there, whose in (
        (("gateway",), network.gateway, "the gateway's"),
        (("switch", "host"), network.switch_addresses, "the switch host's"),
        (("host_access",), network.host_access or (), "the host's own: host_access"),
    ):
        if one in there:
            yield Problem(
                path,
                f"address {one} is {whose}",
                "choose another address",
                ("networks", network.name, *key, there.index(one)),
            )
            return


def _same_macs(plan: Plan) -> Iterator[Problem]:
    """Compare given and derived MACs alike; a passthru NIC has its uplink's."""
    modes = {network.name: network.mode for network in plan.networks}
    macs = []
    for key, nic in plan.nics():
        mode = nic.mode or modes.get(nic.network)
        if not (mode and mode.takes_uplink_mac):
            macs.append((mac_of(plan, key, nic), (*key.path, "mac")))
    for mac, path, other in _repeated(macs):
        yield Problem(path, f"MAC {mac} is given twice", "leave one out: vmnet derives it", other)


def _same_taps(plan: Plan) -> Iterator[Problem]:
    taps = [(naming.macvtap(plan.name, *key), key.path) for key, _ in plan.nics()]
    for tap, path, other in _repeated(taps):
        what = f"the derived name {tap} fits two NICs"
        yield Problem(path, what, f"rename {path[1]}", other)


def _same_addresses(plan: Plan) -> Iterator[Problem]:
    """Check that addresses differ on one wire: networks of one uplink share theirs."""
    wires = {network.name: wire_of(network) for network in plan.networks}
    addresses = [
        ((wires.get(nic.network), given.ip), (*key.path, "address", at))
        for key, nic in plan.nics()
        for at, given in enumerate(nic.address or ())
    ]
    for (_, ip), path, other in _repeated(addresses):
        yield Problem(path, f"address {ip} is given twice", "choose another address", other)


def _repeated(values: Iterable[tuple[_T, Path]]) -> Iterator[tuple[_T, Path, Path]]:
    """Return each value that came before, with its path and the path of the first."""
    first: dict[_T, Path] = {}
    for value, path in values:
        if (other := first.setdefault(value, path)) != path:
            yield value, path, other


def _room(plan: Plan) -> Iterator[Problem]:
    for network in plan.networks:
        there = [nic for _, nic in plan.nics_on(network)]
        for pool in pools.of(network):
            host = network.host_access == ()
            wanting = sum(map(pool.wants, there)) + host
            free = pool.free(pool.assigned(there))
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
