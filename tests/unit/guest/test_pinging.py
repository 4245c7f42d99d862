"""Which pings count as lost, by what a guest prints while they come in late."""

from ipaddress import ip_address

import pytest

from provisioner.check.loss import Loss, PingCount
from provisioner.host.guest import pinging
from provisioner.host.guest.pinging import Pinging
from tests.unit.guest.test_ping_output import counters

NEAR, SILENT = ip_address("10.77.0.2"), ip_address("10.77.0.9")
ONE_OF_TWO = "64 bytes from 10.77.0.2: seq=1 ttl=64 time=1.0 ms\n"


class Guest:
    """A guest whose kernel has had so many answers at each look; it sends `sent` pings in all."""

    def __init__(self, sent: int, *answered: int) -> None:
        self.asked: list[list[str]] = []
        self._sent = sent
        self._answered = iter(answered)

    def send(self, words: list[str], takes_s: float) -> bytes:
        self.asked.append(words)
        before = counters(0, 0, 7) + ONE_OF_TWO if takes_s else ""
        return (before + counters(self._sent, next(self._answered), 7)).encode()

    @property
    def looks(self) -> int:
        return sum(len(words) == 2 for words in self.asked)


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pinging, "_LOOK_EVERY_S", 0.25 / 16)
    monkeypatch.setattr(pinging, "_LEAST_WAIT_S", 4 * 0.25 / 16)
    monkeypatch.setattr(pinging, "_ROUND_TRIPS", 0)


def loss(guest: Guest, *silent: object) -> Loss:
    targets = {NEAR: 1} | dict.fromkeys((SILENT,) if silent else (), 2)
    counts = {NEAR: PingCount(2, 20)}
    return Pinging(send=guest.send, targets=targets, counts=counts).done()[NEAR].loss


def test_answers_are_waited_for_as_long_as_some_come() -> None:
    guest = Guest(2, 0, 0, 1, 1, 1, 1, 2)
    assert loss(guest) == Loss(2, 0)
    assert guest.looks == len(guest.asked) - 1 == 6


def test_what_never_comes_is_lost_and_counted() -> None:
    guest = Guest(2, *[1] * 5, *[1] * 5)
    assert loss(guest).lost
    assert len(guest.asked) - guest.looks == 2


def test_pings_of_others_in_the_guest_that_nobody_answers_delay_nothing() -> None:
    looks = (counters(number, 1, 7) for number in range(3, 100))

    def send(_: list[str], takes_s: float) -> bytes:
        before = counters(0, 0, 7) + ONE_OF_TWO if takes_s else ""
        return (before + next(looks)).encode()

    assert Pinging(send=send, targets={NEAR: 1}, counts={NEAR: PingCount(2, 20)}).done()


def test_nobody_waits_for_the_answers_of_those_that_are_silent() -> None:
    guest = Guest(4, 2)
    assert loss(guest, SILENT) == Loss(2, 0)
    assert len(guest.asked) == 1


def test_a_gateway_that_loses_small_packets_alone_is_suspected() -> None:
    large = "1480 bytes from 10.77.0.2: seq={} ttl=64 time=1.0 ms\n"
    asked: list[list[str]] = []

    def send(words: list[str], takes_s: float) -> bytes:
        asked.append(words)
        before = counters(0, 0, 7) + ONE_OF_TWO if takes_s else ""
        text = before + "".join(map(large.format, (0, 1))) + counters(4, 3, 7)
        return text.encode()

    counts = {NEAR: PingCount(2, 20, outside=True)}
    Pinging(send=send, targets={NEAR: 1}, sizes={NEAR: 1500}, counts=counts).done()
    assert [words for words in asked if ",20," in words[-1]]
