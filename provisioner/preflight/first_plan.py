"""The plan that vmnet init writes: what fits a host, with the reason for each value.

It is a beginning, so it takes what works most often: guests in mode bridge on the NIC that leads
out, and where no NIC can carry them, on a switch that vmnet makes.
"""

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import field
from ipaddress import IPv4Interface, IPv4Network
from itertools import islice
from typing import Final

from provisioner.dataclass import dataclass
from provisioner.doctor import network as doctor
from provisioner.network import uplink
from provisioner.network.facts import Facts, Link
from provisioner.plan.choices import Mode
from provisioner.plan.ip import Address
from provisioner.plan.load.variables import literal
from provisioner.text import one_line

_POOL: Final = 16  # addresses
_LEAST_FREE: Final = 4
_SWITCHES: Final = IPv4Network("10.77.0.0/16")
_NO_SUBNET: Final = "169.254.77.0/24"
_HEAD: Final = (
    "# A plan for this host, by vmnet init. Look what it would do with vmnet plan, then: vmnet up"
)
_VMS: Final = """
vms:
  # micro boots from memory, in seconds; vmnet image ls has others, for which 1G is usual.
  vm: {count: 2, image: micro, nics: [lan]}
"""


@dataclass(frozen=True, slots=True)
class HostNetworks:
    """What is known of the networks that a host is on, by the names of its NICs."""

    leased: Collection[str] = ()  # have an IPv4 address that runs out: of a DHCP server
    gateways: Mapping[str, Address] = field(default_factory=dict)  # IPv4's
    met: Collection[Address] = ()  # that the host has exchanged frames with
    drivers: Mapping[str, str] = field(default_factory=dict)
    dmi: Collection[str] = ()  # the firmware's strings


def first_plan(facts: Facts, around: HostNetworks, wanted: str = "") -> str:
    """Return the text of a plan for a host, on the NIC that is wanted, else on the best one.

    Raises VmnetError when the NIC that is wanted is not there, or cannot carry guests.
    """
    refused: list[str] = []
    lines: list[str] = []
    for link in _named(wanted, facts) if wanted else _candidates(facts):
        bad = _problem(link, facts)
        if not bad:
            why = "The NIC that vmnet init was told to take." if wanted else _why(link, facts)
            lines = [f"# {why}", *_on_nic(link, facts, around)]
            break
        if wanted:
            raise bad.error()
        refused.append(f"# Not {one_line(link.name)}: {bad.what}.")
    lines = lines or [*_on_switch(facts)]
    indented = (f"    {one_line(line, 1000)}\n" for line in (*refused, *lines))
    return f"{_HEAD}\nname: lab\n\nnetworks:\n  lan:\n{''.join(indented)}{_VMS}"


def _named(name: str, facts: Facts) -> list[Link]:
    link = facts.link(name)
    if link is None:
        raise uplink.missing(name, facts).error()
    return [link]


def _problem(link: Link, facts: Facts) -> uplink.Refusal | None:
    return uplink.device_problem(link, facts) or uplink.wireless_problem(link, Mode.BRIDGE)


def _why(link: Link, facts: Facts) -> str:
    if uplink.carries_default(link, facts):
        return "The NIC with this host's default route."
    return "The first NIC with carrier: this host has no default route that guests could use."


def _candidates(facts: Facts) -> Iterator[Link]:
    """Return the NICs that may carry guests: where the default route leads, then with carrier."""
    routed = dict.fromkeys(route.device for route in facts.routes if route.is_default)
    first = [link for name in routed if (link := facts.link(name))]
    yield from first
    for link in facts.links:
        if link not in first and link.up and link.carrier and doctor.may_carry(link):
            yield link


def _on_nic(link: Link, facts: Facts, around: HostNetworks) -> Iterator[str]:
    name = one_line(link.name)
    if not (link.up and link.carrier):
        yield "# It is down, or has no carrier, now: see to that before vmnet up."
    if found := doctor.platform(around.drivers.get(link.name, ""), around.dmi):
        yield f"# It is one of {found.name}, which often drops frames from MACs that it did not"
        yield f"# give out. Ask the switch: vmnet doctor --uplink {name}"
    yield f"uplink: {_quoted(link.name)}"
    yield "# Guests reach the LAN and each other. What other modes do: vmnet modes"
    if passthru := uplink.passthru_problem(link, facts):
        yield f"# Not passthru: {passthru.what}."
    else:
        yield "# passthru would do, too: one guest alone gets this NIC, and the host goes without."
    yield "mode: bridge"
    yield from _addressing(link, around)


def _addressing(link: Link, around: HostNetworks) -> Iterator[str]:
    own = next((one for one in link.addresses if isinstance(one, IPv4Interface)), None)
    if link.name in around.leased:
        yield "# This host has a lease there, so there is a DHCP server; what it gives out only it"
        yield "# knows. Guests take leases too. The kernel keeps them from this host, unless they"
        yield "# get fixed addresses of a pool outside the server's range, and host_access: true."
        yield "addressing: dhcp"
    elif own is None:
        yield "# This host has no IPv4 address there: guests get link-local ones among themselves."
        yield f"subnet: {_NO_SUBNET}"
    elif pool := _pool(own, link, around):
        yield "# This host's own address there is fixed, so guests get fixed ones."
        yield f"subnet: {own.network}"
        if gateway := around.gateways.get(link.name):
            yield f"gateway: {gateway}"
        yield "# The last ones that this host has met nobody at. If a DHCP server is there, compare"
        yield "# them with its range. vmnet up asks for each before it gives it to a guest."
        yield f"pool: {pool}"
        yield "# The kernel keeps guests and their host apart on a NIC. This adds a macvlan with an"
        yield "# address of the pool, so that vmnet ssh works; take it out to keep them apart."
        yield "host_access: true"
    else:
        yield f"# {own.network} has no room for fixed addresses: guests ask for leases."
        yield "addressing: dhcp"


def _pool(own: IPv4Interface, link: Link, around: HostNetworks) -> str:
    """Return FIRST-LAST of the last free addresses of a subnet in a row; "" where too few are."""
    network = own.network
    if network.num_addresses < 2 * _LEAST_FREE:
        return ""
    taken = {str(one) for one in around.met} | {str(one.ip) for one in link.addresses}
    taken |= {str(one) for one in around.gateways.values()}
    run: list[str] = []
    last = int(network.broadcast_address) - 1
    # The first half is where gateways, servers and most DHCP ranges begin.
    lower = int(network.network_address) + network.num_addresses // 2
    for number in islice(range(last, lower, -1), 4096):
        address = str(IPv4Network(number).network_address)
        run = [] if address in taken else [address, *run]
        if len(run) == min(_POOL, network.num_addresses // 4):
            return f"{run[0]}-{run[-1]}"
    return ""


def _on_switch(facts: Facts) -> Iterator[str]:
    known = [route.network for route in facts.routes if not route.is_default]
    known += [one.network for link in facts.links for one in link.addresses]
    used = [network for network in known if isinstance(network, IPv4Network)]
    subnets = _SWITCHES.subnets(new_prefix=24)
    free = (one for one in subnets if not any(map(one.overlaps, used)))
    yield "# No NIC of this host can carry guests: a switch that vmnet makes needs none. Guests get"
    yield "# out through this host (nat), and take leases and names from it (dhcp)."
    yield "switch: {nat: true, dhcp: true}"
    yield "# No route of this host leads there."
    yield f"subnet: {next(free, _SWITCHES)}"


def _quoted(name: str) -> str:
    """Return a device's name as YAML, whatever stands in it: JSON is."""
    plain = name.isascii() and name.isalnum() and not name.isdigit()
    return name if plain else json.dumps(literal(name), ensure_ascii=False)
