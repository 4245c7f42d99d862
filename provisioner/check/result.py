"""The result of one measurement, and what was found where."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

from provisioner.check.isolation import NOT_LOOKED, Lack, lack, seen
from provisioner.dataclass import dataclass
from provisioner.plan.checks import What
from provisioner.reachability.pairs import Expected, Pair

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from provisioner.check.isolation import Control
    from provisioner.check.loss import Loss
    from provisioner.plan.ip import Address

_NAMED: Final = 4  # of the ways that lose packets


@dataclass(frozen=True, slots=True)
class Result:
    """What was measured of one pair and one address."""

    pair: Pair
    address: Address | None
    reached: bool | None  # None: it could not be measured
    seconds: float | None = None
    note: str = ""
    by: Vantage | None = None
    tries: int = 1  # pings it took until one was answered
    loss: Loss | None = None  # of its pings
    vanished: int = 0  # bytes of the IP packets that do not pass although others do
    wrong: str = ""  # what is wrong with it although it came through
    finding: Finding | None = None  # why it is not as promised
    seen: Probed | None = None  # of a check that the user has written
    control: Control | None = None  # of a silence that is expected
    missing: int = 0  # the IP version of the address that the target should have got, and has not
    measured: tuple[float, float] | None = None  # from when to when, by time.time()

    @property
    def met(self) -> bool:
        """Whether the expectation was met; what was not measured or not shown never counts so."""
        match self.pair.expected:
            case Expected.REACHES:
                return self.reached is True and not self.wrong
            case Expected.EITHER if self.reached:
                return True
            case _ if self.refused:
                return self.pair.or_refused
            case _:
                return self.reached is False and not self.not_shown

    @property
    def is_silence(self) -> bool:
        """Whether nothing has come back, and that is right if a control shows what it means."""
        return (
            self.reached is False and self.pair.expected is not Expected.REACHES
        ) and not self.refused

    @property
    def not_shown(self) -> Lack | None:
        """What is missing for a silence that is expected to count as isolation; None: nothing."""
        if not self.is_silence:
            return None
        return lack(self.pair.source, self.pair.target, self.control or NOT_LOOKED)

    @property
    def around(self) -> tuple[str, ...]:
        """What was seen around a silence that is expected, a line each; nothing of others."""
        if not (self.control and self.is_silence):
            return ()
        return seen(self.pair.source, self.pair.target, self.control)

    @property
    def refused(self) -> bool:
        """Whether the target answered, but not with what was asked for: packets pass both ways."""
        if self.seen is None or self.reached is not False:
            return False
        asked = self.pair.asked
        other_status = asked.what is What.HTTP and not asked.number and bool(self.seen.value)
        return self.seen.refused or other_status

    @property
    def observed(self) -> str:
        """What was observed, in a few words."""
        match self.reached:
            case True:
                lossy = self.loss and self.loss.lost
                return self.wrong or (f"reaches, {self.loss}" if lossy else "reaches")
            case False if self.refused:
                return (self.seen and self.seen.value) or "refused"
            case False:
                return "not shown" if self.not_shown else "no answer"
            case None if self.missing:
                return no_address(self.missing)
            case None:
                return "not measured"


def no_address(version: int) -> str:
    """Return what it is called when a NIC has not got an address of an IP version by itself."""
    return "no DHCP lease" if version == IPV4 else "no IPv6 address by router advertisement"


class Vantage(StrEnum):
    """Where a measurement was made from."""

    AGENT = "inside the guest"  # a program that the guest agent ran
    MACVTAP = "at its macvtap"  # frames sent and received in the guest's place, its stack not asked
    HOST = "the host's own stack"
    PEER = "another host, by ssh"


IPV4 = 4

NO_LOGIN = "cannot log in to"
"""How a note begins that says why nothing was measured from another machine."""


OWN_MTU = "the guest's own MTU is"
"""How a note begins that says why packets of a size are not even sent."""


@dataclass(frozen=True, slots=True)
class Probed:
    """What came of one check that the user has written, as the measuring program reports it."""

    reached: bool | None  # None: it could not be tested
    seconds: float | None = None
    value: str = ""  # "940 Mbit/s", "status 200"
    note: str = ""
    sent: int = 0
    answered: int = 0
    largest: int = 0  # bytes of the largest IP packet that came through; 0: not tried
    refused: bool = False


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong, in one sentence; the command that fixes it; what was seen.

    Who answers for one of `addresses` is not known because of it.
    """

    what: str
    fix: str
    evidence: tuple[str, ...] = ()
    about: str = ""  # the VM, network or uplink it is about
    addresses: tuple[Address, ...] = ()


def loss_notes(results: Iterable[Result]) -> Iterator[str]:
    """Return what is to be said of losses that no limit forbids, a line for each network."""
    lossy: dict[str, list[str]] = {}
    for r in results:
        if r.met and r.loss and r.loss.lost:
            pair = r.pair
            lossy.setdefault(pair.network, []).append(f"{pair.source} -> {pair.target} {r.loss}")
    for network, ways in lossy.items():
        more = f" and {len(ways) - _NAMED} more" if len(ways) > _NAMED else ""
        yield (
            f"network {network} loses packets, not more than its max_loss allows: "
            f"{', '.join(ways[:_NAMED])}{more}"
        )
