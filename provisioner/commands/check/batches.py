"""Which pairs of one source are measured together, as guests come up one after another.

A batch takes some 0.2 s of an emulated guest's processor however small it is, and a twentieth for
each address. Thirty guests that come up two at a time would ping each two new ones, thirty times
fifteen batches, while the rest still boots and needs the processors. So the first two guests are
measured as soon as they are up, and all other pairs wait for company: for the last guest.
"""

import math
import threading
import time
from collections.abc import Collection, Iterator, Sequence
from typing import Protocol

from provisioner.check.readiness import GuestState
from provisioner.reachability.pairs import Pair

_FIRST = 2
_COMPANY_S = 10.0  # since a guest came up: one that never does delays nobody for longer


class Awaited(Protocol):
    """Guests that come up; `news` is notified whenever the state of one changes."""

    news: threading.Condition

    @property
    def awaited(self) -> int:
        """How many may still come up."""

    def state(self, vm: str) -> GuestState:
        """Return how far a guest is."""


class Batches:
    """The pairs of one source, `vms` being the VMs of the plan.

    What a guest is to ask waits for company; the host and other machines ask at once.
    """

    def __init__(
        self, source: str, pairs: Sequence[Pair], vms: Collection[str], readiness: Awaited
    ) -> None:
        self._left = [p for p in pairs if p.source == source]
        self._vms = vms
        self._readiness = readiness
        self._has_work = source in vms

    def __iter__(self) -> Iterator[tuple[list[Pair], list[Pair]]]:
        """Yield those that never can be measured, since an end is down, and those that can be."""
        while self._left:
            with self._readiness.news:
                self._await()
                lost, now = self._lost(), self._measurable()
            self._left = [p for p in self._left if p not in now and p not in lost]
            yield lost, now

    def _await(self) -> None:
        end, waiting = math.inf, 0
        while not self._lost():
            if now := len(self._measurable()):
                if now > waiting:
                    end, waiting = time.monotonic() + _COMPANY_S, now
                if not self._waits() or time.monotonic() >= end:
                    return
            left_s = max(0.0, end - time.monotonic())
            self._readiness.news.wait(None if math.isinf(left_s) else left_s)

    def _waits(self) -> bool:
        """Return whether more company is to be had."""
        if not self._has_work or not self._readiness.awaited:
            return False
        return sum(self._readiness.state(vm).is_up for vm in self._vms) != _FIRST

    def _is_up(self, end: str) -> bool:
        """Return whether an end can be measured; nobody waits for what is not a VM of the plan."""
        return self._readiness.state(end).is_up or end not in self._vms

    def _measurable(self) -> list[Pair]:
        return [p for p in self._left if self._is_up(p.source) and self._is_up(p.target)]

    def _lost(self) -> list[Pair]:
        state = self._readiness.state
        return [p for p in self._left if state(p.source).is_down or state(p.target).is_down]
