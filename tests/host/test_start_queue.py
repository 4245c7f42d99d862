"""Guests that wait for a core before they run."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest

from provisioner.errors import VmnetError
from provisioner.guest.domain import Domain
from provisioner.host.guest import start_queue
from provisioner.host.guest.start_queue import StartQueue
from tests.builders.domain import WEB

PATIENCE_S = 10.0


@dataclass
class Host:
    """What a queue lets go, and what it says of those it cannot."""

    ran: list[str] = field(default_factory=list)
    failed: list[tuple[str, str]] = field(default_factory=list)
    stuck: frozenset[str] = frozenset()
    news: threading.Condition = field(default_factory=threading.Condition)

    def run(self, name: str) -> None:
        with self.news:
            if name in self.stuck:
                raise VmnetError(f"{name} hangs", fix="end it")
            self.ran.append(name)
            self.news.notify_all()

    def fail(self, vm: str, why: str) -> None:
        with self.news:
            self.failed.append((vm, why))
            self.news.notify_all()

    def sees(self, what: Callable[[], bool], within_s: float = PATIENCE_S) -> bool:
        with self.news:
            return self.news.wait_for(what, within_s)


def guest(vm: str, accel: str = "tcg", *, agent: bool = True) -> Domain:
    image = replace(WEB.image, agent=agent)
    return replace(WEB, name=f"lab-{vm}", vm=vm, accel=accel, image=image)


@pytest.fixture
def host() -> Host:
    return Host()


def queue_of(host: Host, cores: int, *vms: str, more: int = 9) -> StartQueue:
    queue = StartQueue(host.run, host.fail, cores)
    queue.expect(len(vms) + more)
    for vm in vms:
        queue.add(guest(vm))
    return queue


def test_as_many_run_at_once_as_there_are_cores(host: Host) -> None:
    queue = queue_of(host, 2, *"abcd")
    assert host.ran == ["lab-a", "lab-b"]
    assert queue.waiting() == {"c", "d"}
    assert not host.sees(lambda: len(host.ran) > 2, 0.2)


def test_the_next_runs_when_one_is_up_or_has_ended(host: Host) -> None:
    queue = queue_of(host, 2, *"abcd")
    queue.is_up("b")
    assert host.sees(lambda: host.ran == ["lab-a", "lab-b", "lab-c"])
    queue.is_up("b")  # it is told twice: its core is free once
    assert not host.sees(lambda: len(host.ran) > 3, 0.2)
    queue.is_up("a")
    assert host.sees(lambda: len(host.ran) == 4)
    assert queue.waiting() == frozenset()


def test_the_last_go_together(host: Host) -> None:
    queue = queue_of(host, 2, *"abcdef", more=0)
    assert host.ran == ["lab-a", "lab-b"]
    queue.is_up("a")
    assert host.sees(lambda: host.ran == ["lab-a", "lab-b", "lab-c"])
    queue.is_up("b")
    assert host.sees(lambda: len(host.ran) == 6)


def test_few_go_at_once(host: Host) -> None:
    queue_of(host, 2, *"abcd", more=0)
    assert host.sees(lambda: len(host.ran) == 4)


def test_one_that_comes_late_does_not_pass_those_that_wait(host: Host) -> None:
    queue = queue_of(host, 1, *"ab")
    queue.add(guest("c"))
    queue.is_up("a")
    assert host.sees(lambda: host.ran == ["lab-a", "lab-b"])
    queue.is_up("b")
    assert host.sees(lambda: host.ran == ["lab-a", "lab-b", "lab-c"])


def test_a_guest_that_is_not_up_in_time_keeps_no_other_waiting(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(start_queue, "_BOOT_S", 0.3)
    began = time.monotonic()
    queue_of(host, 1, *"abc")
    assert host.sees(lambda: len(host.ran) == 3)
    assert time.monotonic() - began >= 0.6


@pytest.mark.parametrize("other", [guest("k", "kvm"), guest("n", agent=False)], ids=["kvm", "mute"])
def test_nobody_waits_for_what_needs_no_core_or_never_tells(host: Host, other: Domain) -> None:
    queue = queue_of(host, 1, "a", "b")
    queue.add(other)
    assert host.ran == ["lab-a", other.name]
    queue.is_up("a")
    assert host.sees(lambda: host.ran[-1] == "lab-b")


def test_all_run_when_the_queue_is_emptied(host: Host) -> None:
    queue = queue_of(host, 1, *"abcd")
    queue.empty()
    assert host.ran == ["lab-a", "lab-b", "lab-c", "lab-d"]
    queue.empty()
    assert len(host.ran) == 4


def test_one_that_cannot_run_is_told_and_keeps_no_other_waiting(host: Host) -> None:
    host.stuck = frozenset({"lab-b"})
    queue = queue_of(host, 1, *"abc")
    queue.is_up("a")
    assert host.sees(lambda: host.ran == ["lab-a", "lab-c"])
    assert host.failed == [("b", "lab-b hangs")]


def test_one_that_cannot_run_now_is_an_error_and_keeps_no_core(host: Host) -> None:
    host.stuck = frozenset({"lab-a"})
    queue = queue_of(host, 1)
    with pytest.raises(VmnetError, match="lab-a hangs"):
        queue.add(guest("a"))
    queue.add(guest("b"))
    assert host.ran == ["lab-b"]
