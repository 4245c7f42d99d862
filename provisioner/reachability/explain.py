"""The way of a frame from one end to another, step by step: where it passes, where it stops, why.

Where frames pass is what reachability.mode_table says; here it is put into words.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from provisioner.errors import Exit, VmnetError
from provisioner.network import addressing
from provisioner.network.addressing import Nics
from provisioner.network.devices import host_device, host_mac, uplink_of
from provisioner.plan.checks import GATEWAY, HOST
from provisioner.plan.nic_settings import settings_on
from provisioner.reachability import mode_table
from provisioner.reachability.mode_table import End, EndKind, Hop
from provisioner.reachability.pairs import Expected, promise

if TYPE_CHECKING:
    from provisioner.plan.model import Network, Plan


_WITHHELD = (
    "broadcasts of a neighbour are withheld, so nobody can ask for a MAC; unicast to a known MAC "
    "passes"
)


@dataclass(frozen=True, slots=True)
class PathStep:
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
    there: tuple[PathStep, ...]
    back: tuple[PathStep, ...]
    verdict: str
    why: str


@dataclass(frozen=True, slots=True)
class _NamedEnd:
    """An end with its name, its device, and for a guest what its NIC lets pass."""

    name: str
    kind: EndKind
    mode: str = ""
    device: str = ""
    mac: str = ""
    guard: str = "off"
    allowed: frozenset[str] = frozenset()

    def towards(self, other: "_NamedEnd") -> End:
        """Return this end for the mode table; no plan knows the MAC of a machine outside."""
        unknown = other.kind is EndKind.OUTSIDE and not other.mac
        return End(self.mode, None if unknown else other.mac in self.allowed, self.kind)


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
    verdict, why = _verdict(a, b, reflects)
    there, back = (tuple(_steps(network, plan.name, *ends, reflects)) for ends in ((a, b), (b, a)))
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


def _end(plan: "Plan", nics: Nics, network: "Network", name: str) -> _NamedEnd:
    from provisioner import naming

    if any(vm.name == name for vm in plan.vms):
        key, nic = next(one for one in plan.nics_on(network) if one[0].vm == name)
        attached = settings_on(network, nic)
        host = host_mac(plan, network)
        return _NamedEnd(
            name,
            EndKind.GUEST,
            str(attached.mode),
            naming.macvtap(plan.name, *key),
            nics[key].mac,
            str(attached.spoof_guard),
            frozenset(addressing.heard(attached.allow, nics, host)),
        )
    if name == HOST and not network.switch and network.host_access is not None:
        device, mac = host_device(plan, network), host_mac(plan, network)
        return _NamedEnd(name, EndKind.GUEST, "bridge", device, mac)  # as good as a guest
    if name == HOST and not network.switch:
        return _NamedEnd(name, EndKind.HOST, device=uplink_of(plan.name, network))
    mac = host_mac(plan, network) if name == HOST else ""
    return _NamedEnd(name, EndKind.OUTSIDE, device=host_device(plan, network), mac=mac)


def _steps(
    network: "Network",
    plan: str,
    a: _NamedEnd,
    b: _NamedEnd,
    reflects: bool | None,  # noqa: FBT001
) -> Iterator[PathStep]:
    """Follow a question that is asked of everybody, and then what goes to one MAC alone."""
    uplink = uplink_of(plan, network)
    yield PathStep(a.name, f"sends to {b.name}" + (f" from {a.mac}" if a.mac else ""))
    if a.kind is EndKind.GUEST:
        yield PathStep(f"macvtap {a.device}", _guarded(a))
    for hop in mode_table.hops(a.towards(b), b.towards(a), reflects):
        at, what = _described(hop, network, uplink, a, b)
        yield PathStep(at, what, hop.passes)
        if hop in {Hop.HANDED_OVER, Hop.LISTED, Hop.DELIVERED}:
            yield PathStep(b.name, "gets it")


def _guarded(a: _NamedEnd) -> str:
    if a.guard == "off":
        return "no spoof guard: takes every frame of its guest"
    more = " and its addresses" if a.guard == "strict" else ""
    return f"spoof guard ({a.guard}): lets pass what comes from {a.mac}{more}"


def _described(
    hop: Hop, network: "Network", uplink: str, a: _NamedEnd, b: _NamedEnd
) -> tuple[str, str]:
    """Return where a hop is, and what happens there."""
    switch = f"the switch of network {network.name}" if network.switch else f"behind {uplink}"
    withholding = b.mode if b.mode == "private" else a.mode
    sender = a.mac or a.name
    described = {
        Hop.SENT: (uplink, _sent(a)),
        Hop.HANDED_OVER: (uplink, f"mode bridge: hands it from macvtap to macvtap, to {b.name}"),
        Hop.EXCLUSIVE: (uplink, "mode passthru takes the whole uplink: nothing is beside it"),
        Hop.REFLECTED: (switch, "sends the frame back (hairpin on)"),
        Hop.NOT_REFLECTED: (switch, "does not send frames back (hairpin off)"),
        Hop.PERHAPS_REFLECTED: (
            switch,
            f"may send the frame back or not: ask it with vmnet modes --uplink {uplink}",
        ),
        Hop.LISTED: (uplink, f"mode source: its list names {sender}"),
        Hop.NOT_LISTED: (
            uplink,
            f"mode source: the list of {b.name} does not name {sender}: dropped",
        ),
        Hop.PERHAPS_LISTED: (
            uplink,
            f"mode source: passes only if the list of {b.name} names the MAC of {a.name}",
        ),
        Hop.WITHHELD: (
            uplink,
            f"mode {withholding}: {_WITHHELD}",
        ),
        Hop.DELIVERED: (uplink, f"mode {b.mode}: hands it to {b.name}"),
        Hop.SHARED_MAC: (uplink, "passthru and the host have one MAC: no answer finds its way"),
        Hop.OUTSIDE: (b.name, "gets it by the wire"),
        Hop.TO_HOST: (b.name, f"gets it from {uplink}, as from a machine outside"),
        Hop.TO_HOST_UNICAST: (b.name, f"gets it from {uplink}, as from a machine outside"),
        Hop.TAKEN_FROM_HOST: (b.name, "passthru takes the uplink's frames from it"),
    }
    return described[hop]


def _sent(a: _NamedEnd) -> str:
    if a.kind is EndKind.HOST:
        return "the host's own stack: what it sends goes out by the wire only"
    if a.mode == "passthru":
        return "mode passthru: the uplink is the guest's, every frame goes to the wire"
    which = " what is not for another bridge guest" if a.mode == "bridge" else ""
    return f"mode {a.mode}: sends to the wire{which}"


def _verdict(a: _NamedEnd, b: _NamedEnd, reflects: bool | None) -> tuple[str, str]:  # noqa: FBT001
    for one, other in ((a, b), (b, a)):
        if one.mode == "source" and one.towards(other).lists is None:
            why = f"mode source receives from {other.name} only if its MAC is in the list"
            return "depends on the list", why
    expected, why = promise(a.towards(b), b.towards(a), reflects)
    if expected is Expected.EITHER:
        return "depends on the switch", why
    behind = promise(a.towards(b), b.towards(a), reflects=True)[0]
    if reflects is None and behind is Expected.UNICAST:
        why += "; behind one that does, unicast to a known MAC passes"
    return str(expected), why
