"""The path of a frame from one end to another, step by step: where it passes, where it stops, why.

Where frames pass is what reachability.mode_table says; here it is put into words.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from provisioner import naming
from provisioner.dataclass import dataclass
from provisioner.errors import Exit, VmnetError
from provisioner.network import addressing
from provisioner.network.addressing import Nics
from provisioner.network.devices import host_device, host_mac, uplink_of
from provisioner.network.spoofing.isolated import isolated_from
from provisioner.plan.checks import GATEWAY, HOST
from provisioner.plan.choices import Mode, SpoofGuard
from provisioner.plan.ip import is_address
from provisioner.plan.nic_id import NicId
from provisioner.plan.nic_settings import settings_on
from provisioner.reachability import mode_table
from provisioner.reachability.mode_table import End, EndKind, Hop
from provisioner.reachability.pairs import ISOLATES, Expected, host_end, promise

if TYPE_CHECKING:
    from provisioner.plan.model import Network, Plan


@dataclass(frozen=True, slots=True)
class PathStep:
    """One place on the path; None: it depends on a switch that nobody has measured."""

    at: str
    what: str
    passes: bool | None = True


@dataclass(frozen=True, slots=True)
class Explanation:
    """The path there, the path back, and what comes of it."""

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
    mode: Mode | None = None
    device: str = ""
    mac: str = ""
    guard: SpoofGuard = SpoofGuard.OFF
    allowed: frozenset[str] = frozenset()
    isolated: frozenset[str] = frozenset()  # MACs whose frames it never gets

    def towards(self, other: "_NamedEnd") -> End:
        """Return this end for the mode table; no plan knows the MAC of a machine outside."""
        unknown = other.kind is EndKind.OUTSIDE and not other.mac
        return End(self.mode, None if unknown else other.mac in self.allowed, self.kind)


def explain(
    plan: "Plan", nics: Nics, source: str, target: str, *, reflects: bool | None = None
) -> Explanation:
    """Explain how `source` reaches `target`, each a VM, "host", "gateway" or an address.

    A VM stands for its first NIC on the network that both are on, VM.NUMBER for that NIC alone.
    `reflects` is whether the switch behind a NIC sends frames back, as far as anybody has
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
    nics = {name: _nics(plan, name) for name in (source, target)}
    for name, found in nics.items():
        if not (found or name in {*vms, HOST, GATEWAY, *plan.hosts} or is_address(name)):
            raise VmnetError(
                f'the plan {plan.name} has no VM "{name}"',
                fix=f"its VMs: {', '.join(vms)}; or host, gateway, a name of hosts:, an address",
                status=Exit.BAD_INPUT,
            )
    ends = [keys for keys in nics.values() if keys]
    if not ends or source == target or len({keys[0].vm for keys in ends}) < len(ends):
        raise VmnetError(
            "a way has two ends, one of them a VM at least",
            fix="as in: vmnet explain web1 db1",
            status=Exit.BAD_INPUT,
        )
    common = set.intersection(*({plan.nic(key).network for key in keys} for keys in ends))
    networks = [plan.network_of(key) for key in ends[0]]
    shared = [network for network in networks if network.name in common]
    if not shared:
        raise VmnetError(
            f"{source} and {target} share no network: only a router between them could help",
            fix="put both on one network, or explain the way to the gateway",
            status=Exit.BAD_INPUT,
        )
    machines = [plan.hosts[name] for name in (source, target) if name in plan.hosts]
    near = (n for n in shared if any(machine.on(n.subnet) for machine in machines))
    return next(near, shared[0])


def _nics(plan: "Plan", name: str) -> list[NicId]:
    """Return the NICs that VM or VM.NUMBER means, in the order of the plan."""
    return [key for key, _ in plan.nics() if name in {key.vm, str(key)}]


def _end(plan: "Plan", nics: Nics, network: "Network", name: str) -> _NamedEnd:
    mac = host_mac(plan, network)
    if name == HOST:
        host = host_end(network)
        return _NamedEnd(name, host.kind, host.mode, host_device(plan, network), mac)
    on = (key for key in _nics(plan, name) if plan.nic(key).network == network.name)
    if (key := next(on, None)) is None:
        remote = plan.hosts[name].nics if name in plan.hosts else ()
        known = (nic.mac for nic in remote if nic.network == network.name)
        return _NamedEnd(name, EndKind.OUTSIDE, mac=next(known, ""))
    settings = settings_on(network, plan.nic(key))
    return _NamedEnd(
        name,
        EndKind.GUEST,
        settings.mode,
        naming.macvtap(plan.name, *key),
        nics[key].mac,
        settings.spoof_guard,
        frozenset(addressing.source_macs(settings.allow, nics, mac)),
        frozenset(isolated_from(plan, key, nics)),
    )


def _steps(
    network: "Network",
    plan: str,
    a: _NamedEnd,
    b: _NamedEnd,
    reflects: bool | None,  # noqa: FBT001
) -> Iterator[PathStep]:
    """Follow a question that is asked of everybody, and then what goes to one MAC alone."""
    uplink = uplink_of(plan, network)
    switch = f"the switch of network {network.name}" if network.switch else f"behind {uplink}"
    yield PathStep(a.name, f"sends to {b.name}" + (f" from {a.mac}" if a.mac else ""))
    if a.kind is EndKind.GUEST:
        more = " and its addresses" if a.guard is SpoofGuard.STRICT else ""
        guard = _UNGUARDED if a.guard is SpoofGuard.OFF else _GUARDED
        yield PathStep(f"macvtap {a.device}", guard.format(a=a, more=more))
    for hop in mode_table.hops(a.towards(b), b.towards(a), reflects):
        what = _SENT_BY[a.mode] if hop is Hop.SENT else _HOPS[hop]
        withholding = b.mode if b.mode is Mode.PRIVATE else a.mode
        text = what.format(a=a, b=b, mac=a.mac or a.name, withholding=withholding, uplink=uplink)
        at = switch if hop in _AT_SWITCH else b.name if hop in _AT_TARGET else uplink
        yield PathStep(at, text, hop.passes)
        if hop in {Hop.HANDED_OVER, Hop.LISTED, Hop.DELIVERED}:
            yield _received(a, b)


def _received(a: _NamedEnd, b: _NamedEnd) -> PathStep:
    if a.mac in b.isolated:
        return PathStep(
            f"macvtap {b.device}", f"isolate: drops what comes from {a.mac}", passes=False
        )
    return PathStep(b.name, "gets it")


_UNGUARDED = "no spoof guard: takes every frame of its guest"
_GUARDED = "spoof guard ({a.guard}): lets pass what comes from {a.mac}{more}"
_SENT_BY = {
    None: "the host's own stack: what it sends goes out by the wire only",
    Mode.PRIVATE: "mode private: sends to the wire",
    Mode.VEPA: "mode vepa: sends to the wire",
    Mode.SOURCE: "mode source: sends to the wire",
    Mode.BRIDGE: "mode bridge: sends to the wire what is not for another bridge guest",
    Mode.PASSTHRU: "mode passthru: the uplink is the guest's, every frame goes to the wire",
}
_HOPS = {
    Hop.HANDED_OVER: "mode bridge: hands it from macvtap to macvtap, to {b.name}",
    Hop.EXCLUSIVE: "mode passthru takes the whole uplink: nothing is beside it",
    Hop.REFLECTED: "sends the frame back (hairpin on)",
    Hop.NOT_REFLECTED: "does not send frames back (hairpin off)",
    Hop.PERHAPS_REFLECTED: "may send the frame back or not: ask it with vmnet modes --uplink "
    "{uplink}",
    Hop.LISTED: "mode source: its list names {mac}",
    Hop.NOT_LISTED: "mode source: the list of {b.name} does not name {mac}: dropped",
    Hop.PERHAPS_LISTED: "mode source: passes only if the list of {b.name} names the MAC of "
    "{a.name}",
    Hop.WITHHELD: "mode {withholding}: broadcasts of a neighbour are withheld, so nobody can ask "
    "for a MAC; unicast to a known MAC passes",
    Hop.DELIVERED: "mode {b.mode}: hands it to {b.name}",
    Hop.SHARED_MAC: "passthru and the host have one MAC: no answer finds its way",
    Hop.OUTSIDE: "gets it by the wire",
    Hop.TO_HOST: "gets it from {uplink}, as from a machine outside",
    Hop.TO_HOST_UNICAST: "gets it from {uplink}, as from a machine outside",
    Hop.TAKEN_FROM_HOST: "passthru takes the uplink's frames from it",
}
"""What happens at each hop but the first, to a frame from `a` to `b`."""

_AT_SWITCH = {Hop.REFLECTED, Hop.NOT_REFLECTED, Hop.PERHAPS_REFLECTED}
_AT_TARGET = {Hop.OUTSIDE, Hop.TO_HOST, Hop.TO_HOST_UNICAST, Hop.TAKEN_FROM_HOST}


def _verdict(a: _NamedEnd, b: _NamedEnd, reflects: bool | None) -> tuple[str, str]:  # noqa: FBT001
    for one, other in ((b, a), (a, b)):
        if other.mac in one.isolated:
            return str(Expected.ISOLATED), ISOLATES.format(one.name)
    for one, other in ((a, b), (b, a)):
        if one.mode is Mode.SOURCE and one.towards(other).lists is None:
            why = f"mode source receives from {other.name} only if its MAC is in the list"
            return "depends on the list", why
    expected, why = promise(a.towards(b), b.towards(a), reflects)
    if expected is Expected.EITHER:
        return "depends on the switch", why
    behind = promise(a.towards(b), b.towards(a), reflects=True)[0]
    if reflects is None and behind is Expected.UNICAST:
        why += "; behind one that does, unicast to a known MAC passes"
    return str(expected), why
