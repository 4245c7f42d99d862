"""What the modes of a plan promise: who must reach whom, and who must not."""

from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from functools import cached_property
from itertools import permutations, product
from typing import TYPE_CHECKING

from provisioner.dataclass import dataclass
from provisioner.network import addressing
from provisioner.network.addressing import Nics, met_at
from provisioner.network.devices import host_mac, uplink_of
from provisioner.network.facts import Facts
from provisioner.network.spoofing.isolated import isolated_from
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
    # Whether the guest has other NICs on this network: then it is about one of them alone.
    source_shares: bool = False
    target_shares: bool = False
    due: "tuple[Address, ...]" = ()  # of a name that is asked for: what it is to resolve to

    @property
    def source_label(self) -> str:
        """The source as reports name it: VM.NUMBER where its VM has several NICs on the network."""
        return str(self.source_key) if self.source_shares else self.source

    @property
    def target_label(self) -> str:
        """The target as reports name it, as the source."""
        return str(self.target_key) if self.target_shares else self.target

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
        """Return what is promised from `source` to `target`, for each two NICs on a network.

        Each end is a VM or HOST. The work does not depend on how many other VMs the plan has.
        """
        for segment in self._segments:
            yield from segment.pairs(source, target)

    def everything(self) -> Iterator[Pair]:
        """Return every pair of ends that share a network, network by network."""
        for segment in self._segments:
            for ends in segment.directions():
                yield from segment.pairs(*ends)


def pairs(
    plan: "Plan", nics: Nics, facts: Facts, reflects: Mapping[str, bool] | None = None
) -> tuple[Pair, ...]:
    """Return every pair of NICs, and of a NIC and the host, that share a network.

    Each has what its modes promise; there is none of two NICs of one VM.
    """
    return tuple(Promises(plan, nics, facts, reflects).everything())


def _nics_on(
    plan: "Plan", network: "Network", nics: Nics, modes: Mapping[NicId, Mode]
) -> "dict[str, list[_Nic]]":
    """Return each VM's NICs on the network; `modes` are those that no plan can choose."""
    found: dict[str, list[_Nic]] = {}
    for key, nic in plan.nics_on(network):
        settings = settings_on(network, nic)
        mode = modes.get(key, settings.mode)
        up = nic.link is LinkState.UP
        kept = frozenset(isolated_from(plan, key, nics))
        end = _Nic(key, mode, settings.allow, up, nics[key], kept)
        found.setdefault(key.vm, []).append(end)
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
    ends: "Mapping[str, Sequence[_Nic]]"  # by VM
    met: "tuple[Address, ...]"
    host_mac: str
    reflects: bool | None = None  # measured

    @cached_property
    def allowed(self) -> Mapping[NicId, frozenset[str]]:
        """The MACs in the source list of each NIC."""
        return {
            nic.key: frozenset(addressing.source_macs(nic.allow, self.nics, self.host_mac))
            for nics in self.ends.values()
            for nic in nics
        }

    def directions(self) -> Iterator[tuple[str, str]]:
        """Return all pairs of guests, then each guest with the host, there and back."""
        yield from permutations(self.ends, 2)
        for vm in self.ends:
            yield HOST, vm
            yield vm, HOST

    def pairs(self, source: str, target: str) -> Iterator[Pair]:
        """Return what is promised of one direction; nothing where an end is not on this network."""
        if HOST in {source, target}:
            vm = target if source == HOST else source
            yield from filter(None, (self._with_host(source, e) for e in self.ends.get(vm, ())))
        elif source != target:
            for one, other in product(self.ends.get(source, ()), self.ends.get(target, ())):
                yield self._between(one, other)

    def _between(self, one: "_Nic", other: "_Nic") -> Pair:
        a, b = self._end(one, other.config.mac), self._end(other, one.config.mac)
        expected, why = self._promise(a, b, one, other)
        for end, far in ((other, one), (one, other)):
            if far.config.mac in end.isolated and one.up and other.up:
                name = end.key if self._shares(end) else end.key.vm
                expected, why = Expected.ISOLATED, ISOLATES.format(name)
                break
        return Pair(
            self.network.name,
            one.key.vm,
            other.key.vm,
            expected,
            why,
            other.config.static,
            nic=other.key.number,
            source_nic=one.key.number,
            source_shares=self._shares(one),
            target_shares=self._shares(other),
        )

    def _with_host(self, source: str, end: "_Nic") -> Pair | None:
        """Return what is promised of a guest's NIC and the host, one direction."""
        network, (vm, number) = self.network, end.key
        if network.granted:
            return None  # the uplink is root's, this user may send no frames there
        expected, why = self._promise(self._end(end, self.host_mac), host_end(network), end)
        if network.switch and expected is Expected.REACHES:
            why = _FAR_SIDE
        name, shares = network.name, self._shares(end)
        if source == HOST:
            at = end.config.static
            return Pair(name, HOST, vm, expected, why, at, nic=number, target_shares=shares)
        met = network.switch_addresses if network.switch else self.met
        if not met or not (end.config.static or end.config.dhcp):
            return None  # nobody knows where to ask, or from which address
        return Pair(name, vm, HOST, expected, why, met, number, number, source_shares=shares)

    def _promise(self, a: End, b: End, *nics: "_Nic") -> tuple[Expected, str]:
        """Return what is promised; only a measurement knows whether a NIC's switch reflects."""
        if down := next((nic for nic in nics if not nic.up), None):
            name = down.key if self._shares(down) else down.key.vm
            return Expected.ISOLATED, f"the link of {name} is down"
        switch = self.network.switch
        return promise(a, b, switch.hairpin if switch else self.reflects)

    def _end(self, nic: "_Nic", other_mac: str) -> End:
        return End(nic.mode, lists=other_mac in self.allowed[nic.key])

    def _shares(self, nic: "_Nic") -> bool:
        return len(self.ends[nic.key.vm]) > 1


@dataclass(frozen=True, slots=True)
class _Nic:
    key: NicId
    mode: Mode
    allow: tuple[str, ...]
    up: bool
    config: "NicConfig"
    isolated: frozenset[str]  # MACs whose frames it never gets


ISOLATES = "{} gets no frames of other guests of the plan (isolate)"
"""Why nothing reaches an end, whatever the modes let through."""

_NOBODY = ": no neighbour gets them"
_UNLESS = "unless the switch behind it sends frames back"


def promise(a: End, b: End, reflects: bool | None) -> tuple[Expected, str]:  # noqa: FBT001
    """Return what the modes promise of two ends, and why; `reflects` as `hops` takes it."""
    off, on = (mode_table.reach(a, b, hairpin=hairpin) for hairpin in (False, True))
    if reflects is not None:
        off = on = on if reflects else off
    if off.works != on.works:
        # Nobody has asked the switch yet, so nobody may say here that it reflects none.
        why = off.why.removesuffix(mode_table.NONE_REFLECTED)
        return Expected.EITHER, f"{why}{_NOBODY if why != off.why else ''}, {_UNLESS}"
    if not on.works and reflects and on.there is on.back is Flow.UNICAST:
        return Expected.UNICAST, on.why  # they may know each other from before
    return Expected.REACHES if on.works else Expected.ISOLATED, off.why
