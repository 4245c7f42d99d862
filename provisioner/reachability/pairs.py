"""What the modes of a plan promise: who must reach whom, and who must not."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from itertools import permutations
from typing import TYPE_CHECKING

from provisioner.network import addressing
from provisioner.network.addressing import Nics, met_at
from provisioner.network.devices import host_mac, uplink_of
from provisioner.network.facts import Facts
from provisioner.network.standalone import granted
from provisioner.plan.checks import HOST, PING, CheckSpec
from provisioner.plan.choices import LinkState, Mode
from provisioner.plan.nic_id import NicId
from provisioner.plan.nic_settings import settings_on
from provisioner.reachability import mode_table
from provisioner.reachability.mode_table import End, Flow

if TYPE_CHECKING:
    from provisioner.network.addressing import NicConfig
    from provisioner.plan.ip import Address
    from provisioner.plan.model import Network, Plan

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
    # The target's static ones; empty where DHCP gives them, None where what is asked has a name.
    addresses: "tuple[Address | None, ...]"
    nic: int = 0  # the target's NIC (the source's, when the target is not a guest)
    source_nic: int = 0
    asked: CheckSpec = PING
    within_s: float = 0.0  # the user's deadline; 0: what is usual
    version: int = 0  # of IP, when one alone is asked about
    or_refused: bool = False  # what refuses counts as isolated, as the user has written

    @property
    def source_key(self) -> NicId:
        """The source's NIC; no plan has it when the source is not a guest."""
        return NicId(self.source, self.source_nic)

    @property
    def target_key(self) -> NicId:
        """The target's NIC; no plan has it when the target is not a guest."""
        return NicId(self.target, self.nic)


class Promises:
    """What the modes of a plan promise, one pair of ends after the other.

    `reflects` says of uplinks what a measurement has found of the switch behind them; the promise
    of a pair that depends on an unmeasured switch is EITHER.
    """

    def __init__(
        self, plan: "Plan", nics: Nics, facts: Facts, reflects: Mapping[str, bool] | None = None
    ) -> None:
        self.plan, self.nics = plan, nics
        met = met_at(plan)
        modes = {key: Mode(link.mode) for key, link in granted.devices(plan, facts).items()}
        measured = reflects or {}
        self._segments = [
            _Segment(
                network,
                nics,
                _nics_on(plan, network, nics, modes),
                met.get(network.name, ()),
                host_mac(plan, network, facts),
                measured.get(uplink_of(plan.name, network)),
            )
            for network in plan.networks
        ]

    def between(self, source: str, target: str) -> Iterator[Pair]:
        """Return what is promised from `source` to `target`, one pair for each shared network.

        Each end is a VM or HOST. The work does not depend on how many other VMs the plan has.
        """
        return filter(None, (segment.pair(source, target) for segment in self._segments))

    def everything(self) -> Iterator[Pair]:
        """Return every pair of ends that share a network, network by network."""
        for segment in self._segments:
            yield from filter(None, (segment.pair(*ends) for ends in segment.directions()))


def pairs(
    plan: "Plan", nics: Nics, facts: Facts, reflects: Mapping[str, bool] | None = None
) -> tuple[Pair, ...]:
    """Return every pair of ends that share a network, with what its modes promise."""
    return tuple(Promises(plan, nics, facts, reflects).everything())


def _nics_on(
    plan: "Plan", network: "Network", nics: Nics, modes: Mapping[NicId, Mode]
) -> "dict[str, _Nic]":
    """Return each VM's first NIC on the network; `modes` are those that no plan can choose."""
    found: dict[str, _Nic] = {}
    for key, nic in plan.nics_on(network):
        settings = settings_on(network, nic)
        mode = modes.get(key, settings.mode)
        up = nic.link is LinkState.UP
        found.setdefault(key.vm, _Nic(key.number, mode, settings.allow, up, nics[key]))
    return found


def host_end(network: "Network") -> End:
    """Return the host as guests meet it: behind the switch, beside them, or on their NIC."""
    if network.switch:
        return mode_table.OUTSIDE
    # A macvlan of the host's is as good as a guest.
    return mode_table.HOST if network.host_access is None else End(Mode.BRIDGE)


@dataclass(frozen=True)
class _Segment:
    """A network, the NICs on it, and the host's end: its addresses `met` and its MAC."""

    network: "Network"
    nics: Nics
    ends: "Mapping[str, _Nic]"
    met: "tuple[Address, ...]"
    host_mac: str
    reflects: bool | None = None  # measured

    @cached_property
    def allowed(self) -> Mapping[str, frozenset[str]]:
        """The MACs in the source list of each VM."""
        return {
            vm: frozenset(addressing.source_macs(end.allow, self.nics, self.host_mac))
            for vm, end in self.ends.items()
        }

    def directions(self) -> Iterator[tuple[str, str]]:
        """Return all pairs of guests, then each guest with the host, there and back."""
        yield from permutations(self.ends, 2)
        for vm in self.ends:
            yield HOST, vm
            yield vm, HOST

    def pair(self, source: str, target: str) -> Pair | None:
        """Return what is promised of one direction; None where one end is not on this network."""
        if HOST in {source, target}:
            return self._with_host(source, target)
        one, other = self.ends.get(source), self.ends.get(target)
        if not one or not other or one is other:
            return None
        a, b = self._end(source, other.config.mac), self._end(target, one.config.mac)
        expected, why = self._promise(a, b, source, target)
        return Pair(
            self.network.name,
            source,
            target,
            expected,
            why,
            other.config.static,
            nic=other.number,
            source_nic=one.number,
        )

    def _with_host(self, source: str, target: str) -> Pair | None:
        """Return what is promised of a guest and the host, one direction."""
        network, vm = self.network, target if source == HOST else source
        end = self.ends.get(vm)
        if not end or network.granted:
            return None  # granted: the uplink is root's, this user may send no frames there
        expected, why = self._promise(self._end(vm, self.host_mac), host_end(network), vm)
        if network.switch and expected is Expected.REACHES:
            why = _FAR_SIDE
        if source == HOST:
            return Pair(network.name, HOST, vm, expected, why, end.config.static, nic=end.number)
        at = network.switch_addresses if network.switch else self.met
        if not at or not (end.config.static or end.config.dhcp):
            return None  # nobody knows where to ask, or from which address
        nic = end.number
        return Pair(network.name, vm, HOST, expected, why, at, nic=nic, source_nic=nic)

    def _promise(self, a: End, b: End, *vms: str) -> tuple[Expected, str]:
        """Return what is promised; only a measurement knows whether a NIC's switch reflects."""
        if down := next((vm for vm in vms if not self.ends[vm].up), ""):
            return Expected.ISOLATED, f"the link of {down} is down"
        switch = self.network.switch
        return promise(a, b, switch.hairpin if switch else self.reflects)

    def _end(self, vm: str, other_mac: str) -> End:
        return End(self.ends[vm].mode, lists=other_mac in self.allowed[vm])


@dataclass(frozen=True, slots=True)
class _Nic:
    number: int
    mode: Mode
    allow: tuple[str, ...]
    up: bool
    config: "NicConfig"


def promise(a: End, b: End, reflects: bool | None) -> tuple[Expected, str]:  # noqa: FBT001
    """Return what the modes promise of two ends, and why; `reflects` as `hops` takes it."""
    off, on = (mode_table.reach(a, b, hairpin=hairpin) for hairpin in (False, True))
    if reflects is not None:
        off = on = on if reflects else off
    if off.works != on.works:
        return Expected.EITHER, f"{off.why}, unless the switch behind it sends frames back"
    if not on.works and reflects and on.there is on.back is Flow.UNICAST:
        return Expected.UNICAST, on.why  # they may know each other from before
    return Expected.REACHES if on.works else Expected.ISOLATED, off.why
