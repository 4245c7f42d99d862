"""What the host forbids, said before the host is asked."""

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

from provisioner import naming
from provisioner.errors import Exit, VmnetError
from provisioner.network import uplink
from provisioner.network.devices import uplink_now, uplink_of
from provisioner.network.facts import ELSEWHERE, Link
from provisioner.network.standalone import granted
from provisioner.network.standalone.device import mark_of
from provisioner.plan.choices import SpoofGuard, Vhost
from provisioner.plan.nic_settings import decided_at, settings_on
from provisioner.plan.rules.network import least_mtu
from provisioner.preflight import conflicts
from provisioner.preflight.hosted_plan import HostedPlan
from provisioner.resource import Resources
from provisioner.text import one_line

if TYPE_CHECKING:
    from provisioner.plan.choices import Mode
    from provisioner.plan.model import Network
    from provisioner.plan.problem import Path


_HOSTS_FILE = VmnetError(
    "hosts_file: only root can write /etc/hosts",
    fix="leave hosts_file out (vmnet export hosts prints the lines), or run vmnet as root",
    status=Exit.HOST_CANNOT,
)
_GUARDS = tuple(map(str, SpoofGuard))


def complaints(on: HostedPlan, owned: Resources) -> list[VmnetError]:
    """List every reason why a plan cannot be brought up; `owned` is what it has on the host."""
    out: list[VmnetError] = []
    for network in on.plan.networks:
        if network.granted:
            continue
        out += _switch(on, network, owned) if network.switch else _uplink(on, network)
    out += _granted(on)
    out += _datapaths(on)
    out += conflicts.devices_taken(on, owned)
    out += conflicts.domains_taken(on)
    out += conflicts.tables_taken(on)
    out += _vlans(on)
    if on.plan.hosts_file and on.facts.user:
        where = on.places.where("hosts_file")
        out.append(_HOSTS_FILE.at(where))
    return out


def _uplink(on: HostedPlan, network: "Network") -> Iterator[VmnetError]:
    where = on.places.where("networks", network.name, "uplink")
    name, facts = network.uplink or "", on.facts
    link = facts.link(name)
    if not link:
        now = uplink_now(on.plan, network, facts)
        if now not in {uplink_of(on.plan.name, network), ELSEWHERE}:
            yield uplink.renamed(name, now).error(where)
            return
        missing = uplink.missing(name, facts)
        yield missing._replace(fix=f"{missing.fix}; or write `switch: true`").error(where)
        return
    # What vmnet has made for this plan goes before anything comes in its place.
    own = on.own_devices
    if network.vlan:
        refusal = uplink.lower_problem(link, facts)
    else:
        refusal = uplink.device_problem(link, facts, own)
    if refusal:
        yield refusal.error(where)
        return
    yield from _modes(on, network, link)
    yield from _mtu(on, network, link)
    yield from macs_taken(on, network)
    there = on.device_of(network)
    beside = uplink.siblings(there, facts) if there else ()
    yield from _routed(on, network, {name, *own, *beside})
    yield from conflicts.addresses_taken(on, network)


def _switch(on: HostedPlan, network: "Network", owned: Resources) -> Iterator[VmnetError]:
    lower, peer = naming.switch_ends(on.plan.name, network.name)
    ends = {peer, naming.bridge(on.plan.name, network.name)} if ("switch", lower) in owned else ()
    # Another network of the plan may have had the subnet until now.
    yield from _routed(on, network, {*ends, *on.own_devices})
    yield from conflicts.addresses_taken(on, network)


def _modes(on: HostedPlan, network: "Network", link: Link) -> Iterator[VmnetError]:
    """Check each mode that is used on an uplink, where the plan says so."""
    under = on.device_of(network) if network.vlan else link
    refused: set[Mode] = set()
    for key, nic in on.plan.nics_on(network):
        mode = settings_on(network, nic).mode
        if mode in refused:
            continue
        refusal = uplink.wireless_problem(link, mode)
        if refusal is None and under is not None:  # a VLAN that is still to be made bears nothing
            own, take_over = on.own_devices, network.take_over
            refusal = uplink.mode_problem(under, on.facts, mode, own, take_over=take_over)
        if refusal:
            refused.add(mode)
            yield refusal.error(on.places.where(*decided_at(key, nic, "mode")))


def _mtu(on: HostedPlan, network: "Network", link: Link) -> Iterator[VmnetError]:
    if refusal := uplink.least_mtu_problem(least_mtu(network), link):
        yield refusal.error(on.places.where("networks", network.name, "uplink"))
        return
    asked: list[tuple[int | None, Path]] = [(network.mtu, ("networks", network.name))]
    asked += [(nic.mtu, key.path) for key, nic in on.plan.nics_on(network)]
    for mtu, path in asked:
        if mtu and (refusal := uplink.mtu_problem(mtu, link)):
            yield refusal.error(on.places.where(*path, "mtu"))


def macs_taken(on: HostedPlan, network: "Network") -> Iterator[VmnetError]:
    """List the NICs whose MAC another device on the network's uplink has."""
    link = on.device_of(network)
    if link is None:
        return  # a VLAN that is still to be made: nobody is on it
    taken = uplink.taken_macs(link, on.facts, on.own_devices)
    for key, nic in on.plan.nics_on(network):
        if settings_on(network, nic).mode.takes_uplink_mac:
            continue
        if refusal := uplink.mac_problem(on.nics[key].mac, link, taken):
            yield refusal.error(on.places.where(*key.path, "mac"))


def _vlans(on: HostedPlan) -> Iterator[VmnetError]:
    tagged = [network for network in on.plan.networks if network.vlan]
    if tagged and on.facts.no_vlan:
        yield on.error(
            ("networks", tagged[0].name, "vlan"),
            f'network "{tagged[0].name}" is a VLAN: {on.facts.no_vlan}',
            "load the module where the kernel has it: modprobe 8021q",
        )


def _datapaths(on: HostedPlan) -> Iterator[VmnetError]:
    """Check what is wanted of the host's datapath and what it does not have."""
    firewall = on.facts.firewall
    for network in on.plan.networks:
        if network.does_nat and firewall.no_nat:
            yield on.error(
                ("networks", network.name, "switch", "nat"),
                f'network "{network.name}" wants NAT: {firewall.no_nat}',
                "fix that, or leave nat out",
            )
        closes = network.switch is not None and network.switch.host_services is not None
        if closes and firewall.no_filter:
            yield on.error(
                ("networks", network.name, "switch", "host_services"),
                f'network "{network.name}" closes this host to its guests: {firewall.no_filter}',
                "fix that, or leave host_services out",
            )
        for key, nic in on.plan.nics_on(network):
            how = settings_on(network, nic)
            if how.spoof_guard is SpoofGuard.STRICT and firewall.no_guard:
                yield on.error(
                    decided_at(key, nic, "spoof_guard"),
                    f"spoof_guard: strict cannot be kept here: {firewall.no_guard}",
                    "fix that, or use spoof_guard: off and know that guests can forge frames",
                )
            if how.isolate and firewall.no_guard:
                yield on.error(
                    decided_at(key, nic, "isolate"),
                    f"isolate cannot be kept here: {firewall.no_guard}",
                    "fix that, or leave isolate out and know that guests meet where modes let them",
                )
            if how.vhost is Vhost.ON and not on.facts.vhost:
                yield on.error(
                    decided_at(key, nic, "vhost"),
                    "vhost: on cannot be had: /dev/vhost-net is missing or may not be opened",
                    "load it with modprobe vhost_net, or write vhost: auto",
                )


def _routed(on: HostedPlan, network: "Network", through: Collection[str]) -> Iterator[VmnetError]:
    """List subnets with another route on the host: its own packets would never come here."""
    ways = [(route.network, route) for route in on.facts.routes if not route.is_default]
    for at, subnet in enumerate(network.subnet):
        # The longest prefix wins: a wide route elsewhere, to a VPN say, takes nothing away.
        own = [to.prefixlen for to, r in ways if r.device in through and to.overlaps(subnet)]
        for other, route in ways:
            if route.device in {*through, ""} or other.prefixlen < min(own, default=0):
                continue
            if subnet.overlaps(other):
                yield on.error(
                    ("networks", network.name, "subnet", at),
                    f'the subnet {subnet} of network "{network.name}" overlaps the route {other} '
                    f"that this host has through {one_line(route.device)}",
                    "choose a subnet that the host does not use (see: ip route)",
                    Exit.CONFLICT,
                )


def _granted(on: HostedPlan) -> Iterator[VmnetError]:
    """List the networks for which there are too few devices."""
    for network in on.plan.networks:
        if not network.granted:
            continue
        have = len(granted.labelled(network.granted, on.facts))
        want = len(list(on.plan.nics_on(network)))
        if have < want:
            yield on.error(
                ("networks", network.name, "granted"),
                f'network "{network.name}" has {want} NICs, and {have or "no"} device'
                f'{"" if have == 1 else "s"} labelled "{network.granted}" may be used by this user',
                "let root make them: vmnet net create --uplink NIC --mode MODE --owner USER "
                f"--label {network.granted} --count {want - have}",
            )
    given = granted.devices(on.plan, on.facts)
    for key, nic in on.plan.nics():
        network = on.plan.network_of(key)
        said = nic.spoof_guard or network.spoof_guard
        asked = nic.spoof_guard is not None or "spoof_guard" in network.model_fields_set
        mark = mark_of(given[key].alias) if key in given else None
        if asked and mark and _GUARDS.index(mark.guard or "off") < _GUARDS.index(said):
            yield on.error(
                decided_at(key, nic, "spoof_guard"),
                f"spoof_guard: {said} is for root to set on granted devices, and "
                f"{given[key].name} has {mark.guard or 'none'}",
                "leave spoof_guard out, or let root make the device with it: vmnet net create "
                f"--uplink NIC --mode MODE --owner USER --label {network.granted} "
                f"--spoof-guard {said}",
            )
