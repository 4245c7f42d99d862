"""The way of a frame from one end to another, step by step: where it passes, where it stops, why.

The steps are those of the kernel's macvlan.c; a test holds that they end as
reachability.mode_table says.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from provisioner.errors import Exit, VmnetError
from provisioner.network import addressing
from provisioner.network.devices import Nics, host_device, host_mac, uplink_of
from provisioner.plan import nic_settings
from provisioner.plan.checks import GATEWAY, HOST
from provisioner.reachability import mode_table
from provisioner.reachability.mode_table import Flow
from provisioner.reachability.pairs import Expected

if TYPE_CHECKING:
    from provisioner.plan.model import Network, Plan


@dataclass(frozen=True, slots=True)
class Step:
    """One place on the way; None: it depends on a switch that nobody has measured."""

    at: str
    what: str
    passes: bool | None = True


@dataclass(frozen=True, slots=True)
class Explanation:
    """The way there, the way back, and what comes of it."""

    source: str
    target: str
    network: str
    there: tuple[Step, ...]
    back: tuple[Step, ...]
    verdict: str
    why: str


@dataclass(frozen=True, slots=True)
class _End:
    """One end: a guest with its card, the host's stack, or a machine outside."""

    name: str
    kind: str  # "guest", "host" (on the uplink itself), "outside"
    mode: str = ""
    device: str = ""
    mac: str = ""
    guard: str = "off"
    heard: frozenset[str] = frozenset()

    def lists(self, other: "_End") -> bool:
        return other.mac in self.heard


def explain(
    plan: "Plan", nics: Nics, source: str, target: str, *, reflects: bool | None = None
) -> Explanation:
    """Explain how `source` reaches `target`, each a VM, "host", "gateway" or an address.

    `reflects` says whether the switch behind a NIC sends frames back, as far as anybody has
    measured it. Raises VmnetError when one of them is not in the plan.
    """
    network = _network(plan, source, target)
    if network.switch:
        reflects = network.switch.hairpin
    a, b = (_end(plan, nics, network, name) for name in (source, target))
    there = tuple(_way(network, uplink_of(plan.name, network), a, b, reflects))
    back = tuple(_way(network, uplink_of(plan.name, network), b, a, reflects))
    verdict, why = _verdict(a, b, reflects)
    return Explanation(source, target, network.name, there, back, verdict, why)


def _network(plan: "Plan", source: str, target: str) -> "Network":
    vms = {vm.name: vm for vm in plan.vms}
    ends = [vms[name] for name in (source, target) if name in vms]
    machines = [plan.hosts[name] for name in (source, target) if name in plan.hosts]
    for name in (source, target):
        outside = name in {HOST, GATEWAY, *plan.hosts} or _is_outside(name)
        if name not in vms and not outside:
            raise VmnetError(
                f'the plan {plan.name} has no VM "{name}"',
                fix=f"its VMs: {', '.join(vms)}; or host, gateway, a name of hosts:, an address",
                status=Exit.BAD_INPUT,
            )
    if not ends or source == target:
        raise VmnetError(
            "a way has two ends, one of them a VM at least",
            fix="as in: vmnet explain web1 db1",
            status=Exit.BAD_INPUT,
        )
    shared = [
        nic.network
        for nic in ends[0].nics
        if all(nic.network in {other.network for other in vm.nics} for vm in ends)
    ]
    if not shared:
        raise VmnetError(
            f"{source} and {target} share no network: only a router between them could help",
            fix="put both on one network, or explain the way to the gateway",
            status=Exit.BAD_INPUT,
        )
    near = {n.name for n in plan.networks if any(m.on(n.subnet) for m in machines)}
    return plan.network(next((name for name in shared if name in near), shared[0]))


def _is_outside(name: str) -> bool:
    return name.replace(".", "").isdigit() or ":" in name


def _end(plan: "Plan", nics: Nics, network: "Network", name: str) -> _End:
    from provisioner import naming

    vms = {vm.name: vm for vm in plan.vms}
    if name in vms:
        at = next(i for i, nic in enumerate(vms[name].nics) if nic.network == network.name)
        attached = nic_settings.of(network, vms[name].nics[at])
        host = host_mac(plan, network)
        return _End(
            name,
            "guest",
            str(attached.mode),
            naming.macvtap(plan.name, name, at),
            nics[name, at].mac,
            str(attached.spoof_guard),
            frozenset(addressing.heard(attached.allow, nics, host)),
        )
    if name == HOST and not network.switch and network.host_access is not None:
        device, mac = host_device(plan, network), host_mac(plan, network)
        return _End(name, "guest", "bridge", device, mac)  # a sibling, as good as a guest
    if name == HOST and not network.switch:
        return _End(name, "host", device=uplink_of(plan.name, network))
    mac = host_mac(plan, network) if name == HOST else ""
    return _End(name, "outside", device=host_device(plan, network), mac=mac)


def _way(
    network: "Network",
    uplink: str,
    a: _End,
    b: _End,
    reflects: bool | None,  # noqa: FBT001
) -> Iterator[Step]:
    """Follow a question that is asked of everybody, and then what goes to one MAC alone."""
    yield Step(a.name, f"sends to {b.name}" + (f" from {a.mac}" if a.mac else ""))
    if a.kind == "guest":
        yield Step(f"macvtap {a.device}", _guarded(a))
        if a.mode == b.mode == "bridge" and b.kind == "guest":
            yield Step(uplink, f"mode bridge: hands it from macvtap to macvtap, to {b.name}")
            yield Step(b.name, "gets it")
            return
        yield Step(uplink, _sent_out(a))
    if a.kind == "host":
        yield Step(uplink, "the host's own stack: what it sends goes out by the wire only")
    if a.kind != "outside" and b.kind != "outside":
        yield _reflection(network, uplink, reflects)
        if reflects is False:
            return
    yield from _received(uplink, a, b)


def _guarded(a: _End) -> str:
    if a.guard == "off":
        return "no spoof guard: takes every frame of its guest"
    more = " and its addresses" if a.guard == "strict" else ""
    return f"spoof guard ({a.guard}): lets pass what comes from {a.mac}{more}"


def _sent_out(a: _End) -> str:
    if a.mode == "passthru":
        return "mode passthru: the uplink is the guest's, every frame goes to the wire"
    return f"mode {a.mode}: sends to the wire" + (
        " what is not for another bridge guest" if a.mode == "bridge" else ""
    )


def _reflection(network: "Network", uplink: str, reflects: bool | None) -> Step:  # noqa: FBT001
    switch = f"the switch of network {network.name}" if network.switch else f"behind {uplink}"
    match reflects:
        case True:
            return Step(switch, "sends the frame back (hairpin on)")
        case False:
            return Step(switch, "does not send frames back (hairpin off)", passes=False)
        case None:
            what = f"may send the frame back or not: ask it with vmnet modes --uplink {uplink}"
            return Step(switch, what, None)


def _received(uplink: str, a: _End, b: _End) -> Iterator[Step]:
    if b.kind == "outside":
        yield Step(b.name, "gets it by the wire")
        return
    local = a.kind != "outside"
    if b.kind == "host":
        if a.mode == "passthru":
            yield Step(b.name, "passthru takes the uplink's frames from it", passes=False)
        else:
            yield Step(b.name, f"gets it from {uplink}, as from a machine outside")
        return
    yield from _handed(uplink, a, b, local=local)


def _handed(uplink: str, a: _End, b: _End, *, local: bool) -> Iterator[Step]:
    if b.mode == "source" and _is_unknown(a):
        what = f"mode source: passes only if the list of {b.name} names the MAC of {a.name}"
        yield Step(uplink, what, None)
        return
    if b.mode == "source":
        if b.lists(a):
            yield Step(uplink, f"mode source: its list names {a.mac or a.name}")
            yield Step(b.name, "gets it")
        else:
            what = f"mode source: the list of {b.name} does not name {a.mac or a.name}: dropped"
            yield Step(uplink, what, passes=False)
        return
    if b.mode == "passthru" and a.kind == "host":
        yield Step(
            uplink, "passthru and the host bear one MAC: no answer finds its way", passes=False
        )
        return
    withheld = (
        local and a.kind == "guest" and (b.mode == "private" or a.mode in {"private", "source"})
    )
    if withheld:
        what = (
            f"mode {b.mode if b.mode == 'private' else a.mode}: broadcasts of a neighbour are "
            "withheld, so nobody can ask for a MAC; unicast to a known MAC passes"
        )
        yield Step(uplink, what, passes=False)
        return
    yield Step(uplink, f"mode {b.mode}: hands it to {b.name}")
    yield Step(b.name, "gets it")


def _reach(a: _End, b: _End, *, reflects: bool) -> mode_table.Reach:
    def end(one: _End, other: _End) -> mode_table.End:
        listed = one.lists(other)
        return mode_table.End(one.mode, listed, listed, listed)

    match (a.kind, b.kind):
        case ("guest", "guest"):
            return mode_table.guests(end(a, b), end(b, a), hairpin=reflects)
        case ("guest", "host"):
            return mode_table.to_host(end(a, b), hairpin=reflects)
        case ("host", "guest"):
            return mode_table.from_host(end(b, a), hairpin=reflects)
        case ("guest", _):
            return mode_table.to_outside(end(a, b))
        case _:
            return mode_table.from_outside(end(b, a))


def _is_unknown(end: _End) -> bool:
    """Tell whether an end is a machine outside, whose MAC no plan knows."""
    return end.kind == "outside" and not end.mac


def _verdict(a: _End, b: _End, reflects: bool | None) -> tuple[str, str]:  # noqa: FBT001
    for one, other in ((a, b), (b, a)):
        if one.mode == "source" and _is_unknown(other):
            why = f"mode source hears {other.name} only if its MAC is in the list"
            return "depends on the list", why
    off, on = (_reach(a, b, reflects=one) for one in (False, True))
    if reflects is not None:
        off = on = on if reflects else off
    if off.works != on.works:
        return "depends on the switch", f"{off.why}, unless the switch behind it sends frames back"
    if on.works:
        return str(Expected.REACHES), on.why
    both = {on.there, on.back}
    if both == {Flow.UNICAST}:
        why = (
            on.why
            if reflects
            else f"{off.why}; behind one that does, unicast to a known MAC passes"
        )
        return (str(Expected.UNICAST) if reflects else str(Expected.ISOLATED)), why
    return str(Expected.ISOLATED), off.why
