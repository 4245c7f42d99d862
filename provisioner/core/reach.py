"""Who must reach whom: what the modes promise, and whether what was measured keeps it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import permutations
from typing import TYPE_CHECKING

from provisioner.core import attachments, granted, truth
from provisioner.core.addresses import met_at
from provisioner.core.evidence import Finding, Probed, Vantage
from provisioner.core.facts import Facts
from provisioner.core.networks import Nics, host_mac, uplink_of

if TYPE_CHECKING:
    from provisioner.core.addresses import NicConfig
    from provisioner.core.model import Network, Plan
    from provisioner.core.netvalues import Address

HOST = "host"
GATEWAY = "gateway"
_FAR_SIDE = "the far side of the switch is the host's"


class Expected(StrEnum):
    """What a plan promises of a pair."""

    REACHES = "reaches"
    ISOLATED = "must not reach"
    EITHER = "as measured"
    UNICAST = "unicast only"  # no broadcast passes; who knows the other's MAC may reach it


@dataclass(frozen=True, slots=True)
class Pair:
    """One direction between two ends on one network."""

    network: str
    source: str  # a VM, or "host"
    target: str
    expected: Expected
    why: str
    addresses: tuple[str, ...]  # the target's static ones; empty where DHCP gives them
    nic: int = 0  # the target's NIC (the source's, when the target is no guest)
    source_nic: int = 0
    asked: str = "ping"  # or what a check of the user's asks: "tcp/22", "mtu 1500" …
    within_s: float = 0.0  # the user's deadline; 0: what is usual
    version: int = 0  # of IP, when one alone is asked about


@dataclass(frozen=True, slots=True)
class Result:
    """What was measured of one pair and one address."""

    pair: Pair
    address: str
    reached: bool | None  # None: it could not be measured
    seconds: float | None = None
    note: str = ""
    by: Vantage | None = None
    tries: int = 1  # pings it took until one was answered
    wrong: str = ""  # what is wrong with it although it came through, as too small an MTU
    finding: Finding | None = None  # why it is not as promised
    seen: Probed | None = None  # of a check that the user has written

    @property
    def kept(self) -> bool:
        """Tell whether the promise was kept; what could not be measured never counts as kept."""
        match self.pair.expected:
            case Expected.REACHES:
                return self.reached is True and not self.wrong
            case Expected.ISOLATED:
                return self.reached is False
            case Expected.EITHER | Expected.UNICAST:
                return self.reached is not None

    @property
    def observed(self) -> str:
        """Say what was seen."""
        match self.reached:
            case True:
                return self.wrong or "reaches"
            case False:
                return "no answer"
            case None:
                return "not measured"


def pairs(
    plan: "Plan", nics: Nics, facts: Facts, reflects: Mapping[str, bool] | None = None
) -> tuple[Pair, ...]:
    """List every pair of ends that share a network, with what its modes promise.

    `reflects` says of uplinks what a measurement has found of the switch behind them; the promise
    of a pair that depends on an unmeasured switch is EITHER.
    """
    met = met_at(plan)
    modes = {key: link.mode for key, link in granted.devices(plan, facts).items()}
    return tuple(
        pair
        for network in plan.networks
        for pair in _on(
            _Wire(plan, network, nics, modes, (reflects or {}).get(uplink_of(plan.name, network))),
            met.get(network.name, ()),
            host_mac(plan, network, facts),
        )
    )


@dataclass(frozen=True, slots=True)
class _Wire:
    """A network, and the NICs on it; `modes` are those that are not the plan's to choose."""

    plan: "Plan"
    network: "Network"
    nics: Nics
    modes: Mapping[tuple[str, int], str]
    reflects: bool | None = None  # measured

    def ends(self) -> "dict[str, _Nic]":
        """Give each VM's first NIC on the network."""
        return {
            vm.name: _Nic(
                i,
                self.modes.get((vm.name, i), nic.mode or self.network.mode),
                attachments.of(self.network, nic).allow,
                nic.link == "up",
                self.nics[vm.name, i],
            )
            for vm in self.plan.vms
            for i, nic in reversed(list(enumerate(vm.nics)))
            if nic.network == self.network.name
        }


def _on(wire: _Wire, met: "tuple[Address, ...]", host: str) -> Iterator[Pair]:
    network, nics, ends = wire.network, wire.nics, wire.ends()
    heard = {vm: frozenset(attachments.heard(end.allow, nics, host)) for vm, end in ends.items()}
    for (a, one), (b, other) in permutations(ends.items(), 2):
        expected, why = _promise(
            wire,
            lambda hairpin, one=one, other=other, a=a, b=b: truth.guests(  # type: ignore[misc]
                _end(one, heard[a], other.config.mac),
                _end(other, heard[b], one.config.mac),
                hairpin=hairpin,
            ),
            cut=[vm for vm, end in ((a, one), (b, other)) if not end.up],
        )
        yield Pair(network.name, a, b, expected, why, other.config.static, other.number, one.number)
    if network.granted:
        return  # whose uplink is root's business: this user may send no frames there
    for vm, end in ends.items():
        yield from _with_host(wire, vm, end, _end(end, heard[vm], host), met)


def _with_host(
    wire: _Wire, vm: str, end: "_Nic", there: truth.End, met: "tuple[Address, ...]"
) -> Iterator[Pair]:
    """Pair a guest with the host, which is behind the switch, beside the guest, or on its NIC."""
    network = wire.network
    cut = [] if end.up else [vm]
    at = tuple(str(a.ip) for a in network.switch.host) if network.switch else tuple(map(str, met))
    if network.switch:
        expected, why = _promise(wire, lambda _: truth.to_outside(there), cut)
        why = why if cut or expected is not Expected.REACHES else _FAR_SIDE
    elif met:
        sibling = truth.End("bridge")
        expected, why = _promise(wire, lambda on: truth.guests(there, sibling, hairpin=on), cut)
    else:
        expected, why = _promise(wire, lambda on: truth.from_host(there, hairpin=on), cut)
    yield Pair(network.name, HOST, vm, expected, why, end.config.static, end.number)
    if at and (end.config.static or end.config.dhcp):
        yield Pair(network.name, vm, HOST, expected, why, at, end.number, end.number)


@dataclass(frozen=True, slots=True)
class _Nic:
    number: int
    mode: str
    allow: tuple[str, ...]
    up: bool
    config: "NicConfig"


def _end(nic: _Nic, heard: frozenset[str], other: str) -> truth.End:
    listed = other in heard
    return truth.End(nic.mode, lists_peer=listed, lists_host=listed, lists_outside=listed)


def _promise(
    wire: _Wire, of: Callable[[bool], truth.Reach], cut: Sequence[str]
) -> tuple[Expected, str]:
    """Say what is promised; nobody but a measurement knows whether a NIC's switch reflects."""
    known = wire.reflects
    if cut:
        return Expected.ISOLATED, f"the link of {cut[0]} is down"
    off, on = of(False), of(True)  # noqa: FBT003
    if wire.network.switch:
        known = wire.network.switch.hairpin
    if known is not None:
        off = on = on if known else off
    if off.works == on.works:
        if not on.works and known and on.there is on.back is truth.Flow.UNICAST:
            return Expected.UNICAST, on.why  # they may know each other from before
        return (Expected.REACHES if on.works else Expected.ISOLATED), off.why
    return Expected.EITHER, f"{off.why}, unless the switch behind it sends frames back"


def measured_by_guest(
    everything: tuple[Pair, ...], learned: Mapping[tuple[str, int], tuple[str, ...]]
) -> dict[str, list[tuple[Pair, str]]]:
    """Give each guest its own list of targets: pairs with one address each."""
    out: dict[str, list[tuple[Pair, str]]] = {}
    for pair in everything:
        if pair.source != HOST:
            for address in pair.addresses or learned.get((pair.target, pair.nic), ()):
                out.setdefault(pair.source, []).append((pair, address))
    return out
