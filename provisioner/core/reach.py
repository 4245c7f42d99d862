"""Who must reach whom: what the modes promise, and whether what was measured keeps it.

The truth table was measured on Linux 6.18 for every pair of modes (docs/modes.md).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import permutations
from typing import TYPE_CHECKING

from provisioner.core.desired import Nics, uplink_of

if TYPE_CHECKING:
    from provisioner.core.model import Network, Plan

HOST = "host"


class Expected(StrEnum):
    """What a plan promises of a pair."""

    REACHES = "reaches"
    ISOLATED = "must not reach"
    EITHER = "as measured"


@dataclass(frozen=True, slots=True)
class Pair:
    """One direction between two ends on one network."""

    network: str
    source: str  # a VM, or "host"
    target: str
    expected: Expected
    why: str
    addresses: tuple[str, ...]  # the target's static ones; empty where DHCP gives them
    nic: int = 0  # the target's NIC (the source's, when the target is the host)


@dataclass(frozen=True, slots=True)
class Result:
    """What was measured of one pair and one address."""

    pair: Pair
    address: str
    reached: bool | None  # None: it could not be measured
    seconds: float | None = None
    note: str = ""

    @property
    def kept(self) -> bool:
        """Tell whether the promise was kept; what could not be measured never counts as kept."""
        match self.pair.expected:
            case Expected.REACHES:
                return self.reached is True
            case Expected.ISOLATED:
                return self.reached is False
            case Expected.EITHER:
                return self.reached is not None

    @property
    def observed(self) -> str:
        """Say what was seen."""
        match self.reached:
            case True:
                return "reaches"
            case False:
                return "no answer"
            case None:
                return "not measured"


def pairs(plan: "Plan", nics: Nics) -> tuple[Pair, ...]:
    """List every pair of ends that share a network, with what its modes promise."""
    return tuple(pair for network in plan.networks for pair in _on(plan, network, nics))


def _on(plan: "Plan", network: "Network", nics: Nics) -> Iterator[Pair]:
    ends = {
        vm.name: (i, str(nic.mode or network.mode), _addresses(nics, vm.name, i))
        for vm in plan.vms
        for i, nic in reversed(list(enumerate(vm.nics)))
        if nic.network == network.name
    }
    for (a, (_, mode, _)), (b, (nic, other, addresses)) in permutations(ends.items(), 2):
        expected, why = _guests(mode, other, switch=network.switch is not None)
        yield Pair(network.name, a, b, expected, why, addresses, nic)
    for vm, (nic, _, addresses) in ends.items():
        if network.switch:
            why = "the far end of the switch is the host's"
            host = tuple(str(a.ip) for a in network.switch.host)
            yield Pair(network.name, HOST, vm, Expected.REACHES, why, addresses, nic)
            if addresses:
                yield Pair(network.name, vm, HOST, Expected.REACHES, why, host, nic)
        else:
            why = (
                f"the kernel keeps {uplink_of(plan.name, network)} and the macvtaps on it apart, "
                "unless the switch behind it sends frames back"
            )
            yield Pair(network.name, HOST, vm, Expected.EITHER, why, addresses, nic)


def _addresses(nics: Nics, vm: str, i: int) -> tuple[str, ...]:
    return tuple(str(a.ip) for a in nics[vm, i].addresses)


def _guests(a: str, b: str, *, switch: bool) -> tuple[Expected, str]:
    """Say what two guests on one uplink can do (measured: facts of macvlan, Linux 6.18)."""
    match {a, b}:
        case modes if modes == {"bridge"}:
            return Expected.REACHES, "bridge mode hands frames from macvtap to macvtap"
        case modes if "private" in modes:
            return Expected.ISOLATED, "private mode drops frames of its neighbours"
        case _ if switch:
            return Expected.ISOLATED, "vepa sends all frames out, and this switch reflects none"
        case _:
            return Expected.EITHER, "vepa needs a switch that reflects frames (802.1Qbg)"


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
