"""Which pairs are measured together while guests come up."""

import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest

from provisioner.check.readiness import GuestState
from provisioner.commands.check import batches
from provisioner.commands.check.batches import Batches
from provisioner.plan.checks import HOST
from provisioner.reachability.pairs import Expected, Pair

VMS = "abcdefghij"
LONG_S = 30.0


@dataclass
class Guests:
    """Guests whose states a test sets."""

    states: dict[str, GuestState] = field(
        default_factory=lambda: dict.fromkeys(VMS, GuestState.AWAITED)
    )
    news: threading.Condition = field(default_factory=threading.Condition)

    @property
    def awaited(self) -> int:
        return sum(state is GuestState.AWAITED for state in self.states.values())

    def state(self, vm: str) -> GuestState:
        return self.states.get(vm, GuestState.AWAITED)

    def become(self, vms: Iterable[str], state: GuestState = GuestState.READY) -> None:
        with self.news:
            self.states |= dict.fromkeys(vms, state)
            self.news.notify_all()


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as made:
        yield made


def pairs(source: str, targets: Iterable[str]) -> list[Pair]:
    others = (target for target in targets if target != source)
    return [Pair("lan", source, target, Expected.REACHES, "they can", ()) for target in others]


def targets(batch: tuple[list[Pair], list[Pair]]) -> str:
    return "".join(pair.target for pair in batch[1])


def asked(pool: ThreadPoolExecutor, found: Batches) -> Iterator[Future[str]]:
    """Return each batch as what is still to come."""
    each = iter(found)
    while True:
        yield pool.submit(lambda: targets(next(each)))


def test_the_first_two_guests_are_measured_at_once_and_all_others_with_the_last(
    pool: ThreadPoolExecutor,
) -> None:
    guests = Guests()
    coming = asked(pool, Batches("a", pairs("a", VMS), VMS, guests))
    guests.become("ab")
    assert next(coming).result(LONG_S) == "b"
    last = next(coming)
    for some in ("c", "defghi"):
        guests.become(some)
        with pytest.raises(TimeoutError):
            last.result(0.2)
    guests.become("j")
    assert last.result(LONG_S) == "cdefghij"


def test_a_guest_that_is_alone_waits_for_another_one(pool: ThreadPoolExecutor) -> None:
    guests = Guests()
    coming = asked(pool, Batches("a", [*pairs("a", "b"), *pairs("a", ["gateway"])], VMS, guests))
    guests.become("a")
    first = next(coming)
    with pytest.raises(TimeoutError):
        first.result(0.2)
    guests.become("b")
    assert first.result(LONG_S) == "bgateway"


def test_a_last_guest_that_dies_delays_nobody(pool: ThreadPoolExecutor) -> None:
    guests = Guests()
    coming = asked(pool, Batches("a", pairs("a", "abcdefghi"), VMS, guests))
    guests.become("abcdefghi")
    last = next(coming)
    with pytest.raises(TimeoutError):
        last.result(0.2)
    guests.become("j", GuestState.DOWN)
    assert last.result(LONG_S) == "bcdefghi"


def test_guests_that_never_come_delay_nobody_for_long(
    pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "_COMPANY_S", 0.3)
    guests = Guests()
    coming = asked(pool, Batches("a", pairs("a", VMS), VMS, guests))
    guests.become("abcd")
    assert next(coming).result(LONG_S) == "bcd"
    waits = next(coming)
    guests.become("e")
    assert waits.result(LONG_S) == "e"


def test_the_host_asks_at_once(pool: ThreadPoolExecutor) -> None:
    guests = Guests()
    coming = asked(pool, Batches(HOST, pairs(HOST, VMS), VMS, guests))
    for some in ("abcd", "e", "f"):
        guests.become(some)
        assert next(coming).result(LONG_S) == some


def test_pairs_with_a_guest_that_is_down_are_lost_at_once() -> None:
    guests = Guests()
    guests.become("abc")
    found = iter(Batches("a", pairs("a", "abcd"), VMS, guests))
    assert targets(next(found)) == "bc"
    guests.become("d", GuestState.DOWN)
    lost, now = next(found)
    assert ([pair.target for pair in lost], now) == (["d"], [])
    assert list(found) == []
