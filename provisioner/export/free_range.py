"""Addresses of a network that no guest of the plan has or may get: for machines beside them."""

from collections.abc import Iterable, Iterator
from ipaddress import ip_network
from typing import TYPE_CHECKING

from provisioner.dataclass import dataclass
from provisioner.errors import VmnetError, bad_input
from provisioner.network.addressing import gateways_of, met_at
from provisioner.network.frames import link_local
from provisioner.plan import pools

if TYPE_CHECKING:
    from provisioner.network.addressing import Nics
    from provisioner.plan.ip import Address, Subnet
    from provisioner.plan.model import Network, Plan

_IPV4 = 4
_HALF = (1 << 64) - 1
_LEAST = {4: 2, 6: 8}  # bits of a range's own numbers


@dataclass(frozen=True, slots=True)
class FreeRange:
    """A part of a subnet that is free, and the subnet's gateway, if it has one."""

    subnet: "Subnet"
    range: "Subnet"
    gateway: "Address | None"

    @property
    def ends(self) -> "tuple[Address, Address]":
        """The first and the last address of it that a machine can have."""
        skipped = int(self.range.network_address == self.subnet.network_address)
        last = int(
            self.range.version == _IPV4
            and self.range.broadcast_address == self.subnet.broadcast_address
        )
        return self.range[skipped], self.range[-1 - last]


def free_ranges(
    plan: "Plan",
    nics: "Nics",
    network: "Network",
    others: "Iterable[Address]",
    wanted: "Iterable[Subnet]" = (),
) -> list[FreeRange]:
    """Return a free range of each subnet of a network: one of `wanted`, else the largest there is.

    What guests have or may get is not free, nor the gateway, this host's own addresses, those of
    the plan's machines, and `others`. Raises VmnetError where a subnet has no such range, or a
    wanted one is not free.
    """
    named = list(wanted)
    found = []
    for subnet in network.subnet:
        own = [one for one in named if one.version == subnet.version and _within(one, subnet)]
        named = [one for one in named if one not in own]
        taken = list(_taken(plan, nics, network, subnet, others))
        for_guests = pools.ends(network, subnet)
        if not own or any(pool.subnet == subnet for pool in pools.of(network)):
            taken.insert(0, for_guests)
        free = own[0] if own else _largest(subnet, taken)
        if free is None:
            raise bad_input(
                f"{network.name}: guests may get any address of {subnet}",
                f"give them a part of it, as pool: {subnet[2]}-{subnet[9]}, or name a range that "
                "is free: --range CIDR",
            )
        if meets := next((one for one in taken if _meets(free, one)), None):
            first, last = (subnet[n - int(subnet.network_address)] for n in meets)
            raise bad_input(
                f"--range {free} meets {first}-{last}, which is taken or for guests",
                f"name another part of {subnet}, or give guests a smaller pool: in the plan",
            )
        gateway = next((g for g in gateways_of(network) if g in subnet), None)
        found.append(FreeRange(subnet, free, gateway))
    if named:
        raise bad_input(
            f"--range {named[0]} lies in no subnet of {network.name}, or a second one does",
            f"its subnets: {', '.join(map(str, network.subnet)) or 'none'}",
        )
    return found


def network_named(plan: "Plan", name: str) -> "Network":
    """Return the network that is meant; its name may be left out when there is only one.

    Raises VmnetError when the plan has no such network.
    """
    names = [network.name for network in plan.networks]
    if not name and len(names) == 1:
        return plan.networks[0]
    if name not in names:
        what = f'the plan has no network "{name}"' if name else "which network is meant?"
        raise bad_input(what, f"name one of {', '.join(names)}: --network NAME")
    return plan.network(name)


def refuse_exclusive(network: "Network", program: str) -> None:
    """Raise VmnetError where another program can have no macvlan beside the guests.

    Modes passthru and source share no uplink so, and of devices of vmnet net the plan knows the
    label alone.
    """
    if network.granted:
        raise VmnetError(
            f"{network.name} is made of devices of vmnet net, whose NIC the plan does not name",
            fix="name another network with --network, one with an uplink or a switch",
        )
    if network.mode.is_exclusive or network.mode.has_source_list:
        raise VmnetError(
            f"{network.name} has mode {network.mode}, beside which {program} can have no macvlan",
            fix="name another network with --network, one of mode bridge, private or vepa",
        )


def _taken(
    plan: "Plan",
    nics: "Nics",
    network: "Network",
    subnet: "Subnet",
    others: "Iterable[Address]",
) -> Iterator[tuple[int, int]]:
    """Return the first and the last number of each part that is not free."""
    of_machines = (a for machine in plan.hosts.values() for a in machine.addresses)
    of_guests = (one.ip for key, _ in plan.nics_on(network) for one in nics[key].addresses)
    of_host = (*network.switch_addresses, *met_at(plan).get(network.name, ()))
    for one in (*gateways_of(network), *of_host, *of_machines, *of_guests, *others):
        if one in subnet:
            yield int(one), int(one)
    slaac = network.slaac and subnet.version != _IPV4
    for key, _ in plan.nics_on(network) if slaac else ():
        # By SLAAC a guest makes the rest of its address from its MAC, as its link-local one.
        number = int(subnet.network_address) | int(link_local(nics[key].mac)) & _HALF
        yield number, number


def _largest(subnet: "Subnet", taken: "list[tuple[int, int]]") -> "Subnet | None":
    """Return the largest block of a subnet that meets nothing, the last one of several."""
    gaps = []
    edges = [int(subnet.network_address), int(subnet.broadcast_address)]
    at = edges[0]
    for first, last in sorted([*taken, *((edge, edge) for edge in edges)]):
        if first > at:
            gaps.append((at, first - 1))
        at = max(at, last + 1)
    best: tuple[int, int] | None = None  # bits, first number
    for first, last in gaps:
        for bits in range(subnet.max_prefixlen - subnet.prefixlen, _LEAST[subnet.version] - 1, -1):
            start = ((last + 1) >> bits << bits) - (1 << bits)
            if start >= first:
                best = max(best or (0, 0), (bits, start))
                break
    if best is None:
        return None
    bits, start = best
    address = subnet[start - int(subnet.network_address)]
    return ip_network(f"{address}/{subnet.max_prefixlen - bits}")


def _within(one: "Subnet", subnet: "Subnet") -> bool:
    return one.network_address in subnet and one.prefixlen >= subnet.prefixlen


def _meets(one: "Subnet", taken: tuple[int, int]) -> bool:
    return taken[0] <= int(one.broadcast_address) and int(one.network_address) <= taken[1]
