"""Guests that are let go one after another, as many at a time as the cores can carry.

An emulated guest takes a core to itself while it boots. Ten at once on two cores are all up at the
end; two at a time the first are up long before that, and the last no later.
"""

import os
import threading
import time
from collections.abc import Callable
from typing import Final

from provisioner.errors import VmnetError
from provisioner.guest.domain import Domain

_BOOT_S: Final = 20.0  # after which a guest that is not up yet keeps no other waiting
_EMPTY_S: Final = 5.0  # letting one go takes milliseconds, unless its QEMU hangs


class StartQueue:
    """Emulated guests whose QEMUs are there, paused; `let_go` has a domain run, by its name.

    Each keeps its core until its agent answers, until it has ended, or for 20 seconds. Nobody waits
    for one whose agent would not tell, nor for one that KVM runs. The last of all go together, as
    many as there are cores beside those that boot: nobody comes after them who would be kept
    waiting. `failed(vm, why)` is called for a guest that could not be let go later.
    """

    def __init__(
        self,
        let_go: Callable[[str], None],
        failed: Callable[[str, str], None],
        cores: int | None = None,
    ) -> None:
        self._let_go = let_go
        self._failed = failed
        self._cores = len(os.sched_getaffinity(0)) if cores is None else cores
        self._change = threading.Condition()
        self._coming = 0
        self._waiting: dict[str, str] = {}  # VM and domain, the first first
        self._booting: dict[str, float] = {}  # VM, and when nobody waits for it any more
        self._thread: threading.Thread | None = None

    def expect(self, number: int) -> None:
        """Take note of how many guests will be added."""
        with self._change:
            self._coming = number

    def add(self, domain: Domain) -> None:
        """Let a guest go now, or when its turn comes. Raises VmnetError when it cannot be now."""
        boots = domain.accel == "tcg" and domain.image.agent
        with self._change:
            waits = boots and (bool(self._waiting) or not self._has_core())
            self._coming = max(0, self._coming - 1)
            self._change.notify_all()
            if waits:
                self._waiting[domain.vm] = domain.name
                self._work()
                return
            if boots:
                self._booting[domain.vm] = time.monotonic() + _BOOT_S
        try:
            self._let_go(domain.name)
        except VmnetError:
            self.is_up(domain.vm)
            raise

    def is_up(self, vm: str) -> None:
        """Take note that a guest is up, or will never be: it needs its core no longer."""
        with self._change:
            self._booting.pop(vm, None)
            self._change.notify_all()

    def waiting(self) -> frozenset[str]:
        """Return the VMs whose turn has not come."""
        with self._change:
            return frozenset(self._waiting)

    def empty(self) -> None:
        """Let all go that still wait; return when they run."""
        with self._change:
            self._cores = len(self._waiting) + len(self._booting)
            self._change.notify_all()
            self._change.wait_for(lambda: not self._waiting, _EMPTY_S)

    def _has_core(self) -> bool:
        now = time.monotonic()
        self._booting = {vm: end for vm, end in self._booting.items() if end > now}
        are_last = len(self._waiting) + self._coming <= self._cores
        return len(self._booting) < self._cores or are_last

    def _work(self) -> None:
        # libvirt tells of agents in the thread that it also answers in: nothing is asked there.
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, daemon=True, name="starts")
            self._thread.start()

    def _run(self) -> None:
        while True:
            with self._change:
                while self._waiting and not self._has_core():
                    end = min(self._booting.values())
                    self._change.wait(max(0.0, end - time.monotonic()))
                if not self._waiting:
                    self._thread = None
                    return
                vm, name = next(iter(self._waiting.items()))
                self._booting[vm] = time.monotonic() + _BOOT_S
            try:
                self._let_go(name)
            except VmnetError as error:
                self.is_up(vm)
                self._failed(vm, error.what)
            with self._change:
                del self._waiting[vm]  # not before: who looks meanwhile is to know why it is paused
                self._change.notify_all()
