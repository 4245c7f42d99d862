"""What will work otherwise than one may think: said, and done all the same."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from provisioner.network import uplink
from provisioner.network.addressing import assign
from provisioner.network.devices import uplink_now, uplink_of
from provisioner.network.facts import ELSEWHERE, Facts
from provisioner.network.spoofing.wire import left_open
from provisioner.plan.choices import SpoofGuard
from provisioner.plan.nic_settings import settings_of
from provisioner.reconcile.known_wire import wire_of
from provisioner.text import one_line

if TYPE_CHECKING:
    from provisioner.plan.model import Network, Nic, Plan, Vm
    from provisioner.plan.nic_settings import NicSettings


def warnings(plan: "Plan", facts: Facts) -> list[str]:
    """List what will work otherwise than one may think, each once."""
    found = [*of_uplinks(plan, facts)]
    found += [w for network in plan.networks for w in _network(network, facts)]
    if facts.ipv6_locked and any(not network.granted for network in plan.networks):
        found.append(
            f"{facts.ipv6_locked}: a router on the wire may give this host routes through vmnet's "
            "devices (in a container: start it with --sysctl net.ipv6.conf.default.accept_ra=0)"
        )
    for vm in plan.vms:
        if vm.password:
            found.append(
                f"{vm.name}: its password is given in the clear, for whoever reads the plan or "
                "its variable: password_hash would do (openssl passwd -6), or ssh_keys alone"
            )
        for number, nic in enumerate(vm.nics):
            found += (f"{vm.name}, NIC {number}: {w}" for w in _nic(vm, nic, plan, facts))
    found += _left_open(plan)
    return list(dict.fromkeys(found))


def of_uplinks(plan: "Plan", facts: Facts) -> Iterator[str]:
    """Return what has become of NICs that a plan's guests are on: down, gone, renamed, moved."""
    for network in plan.networks:
        if not network.uplink:
            continue
        link, who = facts.link(network.uplink), f"guests on {network.name}"
        now = uplink_now(plan, network, facts)
        if link and not (link.up and link.carrier):
            what = "has no carrier" if link.up else "is down"
            yield f"uplink {link.name} {what}: {who} reach nobody outside until it comes up"
        elif link:
            continue
        elif now == ELSEWHERE:
            yield f"uplink {network.uplink} is in another network namespace; {who} use it there"
        elif now != uplink_of(plan.name, network):
            yield (
                f"uplink {network.uplink} is called {one_line(now)} now: {who} go on; write "
                f"uplink: {one_line(now)}, or give it its name back"
            )
        else:
            yield (
                f"uplink {network.uplink} is gone: {who} are cut off; when it is there again, "
                "vmnet up plugs them in anew"
            )


def _network(network: "Network", facts: Facts) -> Iterator[str]:
    link = facts.link(network.uplink) if network.uplink else None
    if link and network.take_over and uplink.carries_default(link, facts):
        yield f"{link.name} carries this host's default route: the host loses it to the guest"
    if network.switch and not network.switch.nat and facts.firewall.no_filter:
        yield (
            f"{network.name} is kept apart only while this host forwards nothing: "
            f"{facts.firewall.no_filter}"
        )
    if network.switch and (network.switch.nat or network.switch.hairpin):
        who, what = "guests", "do not get out"
        if not network.switch.nat:
            who, what = "frames", "may not be reflected"
        for chain in facts.firewall.drops:
            yield (
                f"{chain} drops what this host forwards: {who} on {network.name} {what} until it "
                "is told otherwise (Docker: iptables -I DOCKER-USER -i 'mv+' -j ACCEPT and "
                "iptables -I DOCKER-USER -o 'mv+' -j ACCEPT)"
            )


def _nic(vm: "Vm", nic: "Nic", plan: "Plan", facts: Facts) -> Iterator[str]:
    network, how = plan.network(nic.network), settings_of(plan, nic)
    if how.mode.has_source_list:
        yield from _sources(network, how, facts)
    if how.queues > vm.cpus:
        yield f"{how.queues} queues for {vm.cpus} CPU{'s'[: vm.cpus > 1]}: the others stay idle"
    if nic.mac and not nic.mac.is_local:
        yield (
            f"the MAC {nic.mac} belongs to a maker of cards: a real one may bear it; those that "
            "begin with 02 are free for all"
        )
    if how.spoof_guard is SpoofGuard.MAC and facts.firewall.no_guard and not network.granted:
        yield f"nothing keeps it from forging MACs: {facts.firewall.no_guard}"


def _left_open(plan: "Plan") -> Iterator[str]:
    """Return what guests can forge all the same at strict."""
    strict = [k for k, nic in plan.nics() if settings_of(plan, nic).spoof_guard == "strict"]
    nics = assign(plan) if strict else {}
    for key in strict:
        open_to = left_open(nics[key], wire_of(plan, key, nics))
        if plan.network_of(key).granted:
            yield (
                f"{key.vm}, NIC {key.number}: spoof_guard: strict leaves it any address on a "
                "granted device, since root has not said which are its own"
            )
        elif open_to:
            yield (
                f"{key.vm}, NIC {key.number}: spoof_guard: strict leaves it {' and '.join(open_to)}"
                "; never one that the plan knows as another's"
            )


def _sources(network: "Network", how: "NicSettings", facts: Facts) -> Iterator[str]:
    if not how.allow:
        yield "in mode source it hears only whom its list names, and that is empty: it is deaf"
    twice = sorted({one for one in how.allow if how.allow.count(one) > 1})
    if twice:
        yield f"its list names {', '.join(map(one_line, twice))} twice"
    link = facts.link(network.uplink or "")
    if link is None or not link.addresses:
        return
    routers = {r.gateway_mac for r in facts.routes if r.device == link.name and r.gateway_mac}
    for one in how.allow:
        if one in routers:
            yield (
                f"its list names {one}, the router that this host uses through {link.name}, too: "
                "while no guest runs there, the host hears its answers twice"
            )
