"""vmnet events: what happens to a plan, as it happens, until somebody ends it.

The kernel tells of links, rules and processes. Of what libvirt does, its records tell: whenever one
is written the plan is looked at anew, by a `vmnet status` of its own, and what has changed of its
VMs is an event. So no libvirt is kept open, which would keep other commands from the plan.
"""

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Annotated, Final, TypedDict

from provisioner.commands.check.happenings import (
    EventSource,
    Happening,
    Happenings,
    WatchedVm,
    around,
)
from provisioner.commands.lifecycle.status_watch import StatusLook, look_of
from provisioner.commands.target import PlanTarget
from provisioner.dataclass import dataclass
from provisioner.host.libvirt import records
from provisioner.host.system.programs import Background

_TICK_S: Final = 0.25  # what has no event is looked at as often
_BACK_S: Final = 5.0  # between two questions to agents that have fallen silent
_ENDED: Final = frozenset({"not there", "stopped", "ended"})


class EventDocument(TypedDict):
    """Something that has happened to a plan."""

    plan: str
    time: Annotated[float, "When vmnet was told, in seconds since 1970."]
    source: EventSource
    kind: Annotated[str, "state, up, down, carrier, no carrier, gone, there, ended, silent …"]
    vm: str | None
    device: str | None
    text: Annotated[str, "The same in words."]


@dataclass(frozen=True, slots=True)
class EventWish:
    """When to end: after so many seconds, 0 for never; when no VM of the plan runs."""

    seconds: float = 0.0
    until_stopped: bool = False


def document(plan: str, happening: Happening, now: float) -> EventDocument:
    """Return what JSON has of an event; `now` is the time in seconds since 1970."""
    return EventDocument(
        plan=plan,
        time=round(now, 3),
        source=happening.source,
        kind=happening.kind,
        vm=happening.vm or None,
        device=happening.device or None,
        text=happening.text,
    )


def events(target: PlanTarget, words: Sequence[str], wish: EventWish) -> Iterator[Happening]:
    """Return what happens to a plan; the first events are the states of its VMs as they are now.

    `words` name the plan for `vmnet status`. Raises VmnetError when a look prints no report.
    """
    end = time.monotonic() + wish.seconds if wish.seconds else float("inf")
    with around(target) as happenings:
        yield from _until(_Events(target, words, happenings), end, until_stopped=wish.until_stopped)


def _until(events: "_Events", end: float, *, until_stopped: bool) -> Iterator[Happening]:
    with events.stack:
        while time.monotonic() < end:
            yield from events.within(min(_TICK_S, max(0.0, end - time.monotonic())))
            if until_stopped and events.are_over:
                return


class _Events:
    """What is known of a plan between two events."""

    def __init__(self, target: PlanTarget, words: Sequence[str], happenings: Happenings) -> None:
        self.stack = ExitStack()
        self._argv = [sys.executable, "-m", "provisioner", "status", "--json", *words]
        self._plan = target.name
        self._happenings = happenings
        self._running: Background | None = None
        self._states: dict[str, str] | None = None
        self._written: str | None = None  # libvirt's records, at the begin of the last look
        self._asked = time.monotonic()

    @property
    def are_over(self) -> bool:
        """Whether the last look has found no VM that runs."""
        known = self._states
        return known is not None and all(
            state.partition(" (")[0] in _ENDED for state in known.values()
        )

    def within(self, wait_s: float) -> Iterator[Happening]:
        """Return what happens within some seconds, as soon as something does."""
        running = self._running
        told = self._happenings.within(wait_s, running.pidfd if running else None)
        yield from told
        if running is None:
            yield from self._of_agents()
            written = records.digest(self._plan)
            if told or written != self._written:
                self._written = written
                self._running = self.stack.enter_context(Background(self._argv))
        elif running.has_ended:
            look = look_of(running.finished())
            self.stack.close()
            self._running = None
            yield from self._of_look(look)

    def _of_agents(self) -> Iterator[Happening]:
        yield from self._happenings.silences()
        if time.monotonic() - self._asked > _BACK_S:
            yield from self._happenings.answers()
            self._asked = time.monotonic()

    def _of_look(self, look: StatusLook) -> Iterator[Happening]:
        before, now = self._states or {}, dict(look.states)
        self._states = now
        for vm in (*now, *(before.keys() - now.keys())):
            was, state = before.get(vm), now.get(vm, "not there")
            if was != state:
                text = f"{vm}: {was} -> {state}" if was else f"{vm}: {state}"
                yield Happening(EventSource.LIBVIRT, "state", text, vm)
        vms = (WatchedVm(vm, pid, taps) for vm, pid, taps in look.vms)
        self._happenings.watch(vms, self._happenings.silent)
