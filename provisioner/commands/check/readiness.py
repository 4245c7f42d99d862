"""Find out which guests are up: by events of their agents, by probes for those that have none.

One thread owns the guests' states: it takes messages from a queue, those of the worker (events of
libvirt) and those of the threads that look for something and report what they have found.
"""

import math
import queue
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from provisioner.check import readiness
from provisioner.check.readiness import (
    NO_AGENT,
    AgentSeen,
    GuestReadiness,
    GuestState,
    Sign,
    SignState,
    WireSeen,
)
from provisioner.check.result import Finding
from provisioner.commands.check.endpoints import Endpoints
from provisioner.commands.check.readiness_probes import ReadinessProbes
from provisioner.errors import VmnetError
from provisioner.host.guest import console_log
from provisioner.host.guest.commands import Guests
from provisioner.host.machine import MACHINE
from provisioner.host.system.worker import Event
from provisioner.pattern import pattern
from provisioner.plan.ip import Address
from provisioner.plan.nic_id import NicId
from provisioner.reachability.pairs import Pair
from provisioner.text import one_line

_ADDRESS_POLL_S = 0.25
_LEARN_S = 20.0  # for a lease, of a guest that boots
_OLD_LEARN_S = 5.0  # of one that runs: it should have it
_FRESH_PAUSE_S = 15.0  # between answering ARP and opening the agent, in a guest that boots
_OLD_PAUSE_S = 4.0
_PING_S = 3.0  # for a sign of life: it takes milliseconds, at a load of 20 on two cores 0.5 s
_PING_AGAIN_S = 2.0  # of one that has just let a call of 5 s time out
_LEAST_PING_S = 1.0
_LOOK_AGAIN_S = 0.5  # for signs without events
_IPV6 = 6
_SLAAC = 64  # bits of a prefix that a guest makes itself an address in (RFC 2464, 4)
_PANIC_LINES = 200  # of its console: the trace of a panic is behind its message
_PANIC = pattern(r"Kernel panic - not syncing[^\n]*")

_T = TypeVar("_T")


class Readiness:
    """The guests of one check, each waited for; `news` is notified whenever a state changes.

    A guest that is waited for by other signs than its agent (check.readiness) is ready when all of
    them hold. `learned` are the dynamic addresses of NICs.
    """

    def __init__(
        self,
        ends: Endpoints,
        pairs: Iterable[Pair],
        probes: ReadinessProbes,
        tell: Callable[[str], None],
    ) -> None:
        self.news = threading.Condition()
        self.guests: dict[str, GuestReadiness] = {}
        self.learned = probes.learned
        self.errors: list[BaseException] = []
        self._ends = ends
        self._dynamic = {p.target_key for p in pairs if not p.addresses}
        self._tell = tell
        self.probes = probes
        self._own: dict[str, tuple[Sign, ...]] = {}
        self._messages: queue.SimpleQueue[Event | Callable[[], None]] = queue.SimpleQueue()
        self._booting: set[str] = set()  # VMs that may take their time
        self._pinged: set[str] = set()  # whose sign of life is awaited
        self._opened: set[str] = set()  # whose agent has come since they were last asked
        self._until = math.inf
        self._running = 0  # threads whose results are awaited
        self._over = threading.Event()
        self._started = 0.0

    def state(self, vm: str) -> GuestState:
        """Return how far a guest is."""
        return self.guests.get(vm, GuestReadiness()).state

    @property
    def awaited(self) -> int:
        """How many guests may still come up."""
        return len(self._in(GuestState.AWAITED))

    def settle(
        self, vms: Iterable[str], timeout_s: float, started: float, fresh: frozenset[str]
    ) -> None:
        """Wait until every VM is up or known to be down, at most `timeout_s` seconds.

        `started` is the time.monotonic() from which readiness is counted. `fresh` are the VMs that
        this command has started: older events are about those that they replace. Raises what any
        of the threads has raised.
        """
        end = self._until = time.monotonic() + timeout_s
        self._started = started
        self._booting = set(fresh)
        with self.news:
            self.guests = dict.fromkeys(vms, GuestReadiness())
        self._own = self.probes.own(self.guests)
        threading.Thread(target=self._forward_events, daemon=True).start()
        for vm in self.guests:
            self._ping(vm)
        for vm in self._own:
            self._start(partial(self._watch, vm, end), partial(self._take_signs, vm))
        looking = threading.Thread(
            target=self.guarded, args=(self._look_for_silent_agents, bool(fresh)), daemon=True
        )
        looking.start()
        self._take_messages(end, set(fresh))
        self._over.set()
        looking.join()
        for vm in self._in(GuestState.AWAITED):
            self._down(vm, GuestReadiness(GuestState.DOWN, "no sign of its guest agent"))
        if self.errors:
            raise self.errors[0]

    def addresses(self, key: NicId) -> tuple[Address, ...]:
        """Return the addresses of a NIC: those of the plan, else those that were learned."""
        return self.probes.addresses(key)

    def about(self, vm: str) -> Finding:
        """Return why a VM is not up."""
        guest = self.guests[vm]
        fix = guest.fix or f"look at what it said: vmnet logs {vm}"
        panic = self._panic(vm) if guest.state is GuestState.SILENT else ""
        why = f"{guest.why}; its console says: {panic}" if panic else guest.why
        return Finding(f"{vm} is not up: {why}", fix, guest.evidence, vm)

    def _panic(self, vm: str) -> str:
        """Return what a guest that is silent has said last of its kernel's end."""
        log = Path(self._ends.facts.home) / "console" / f"{vm}.log"
        found = _PANIC.findall(console_log.last_lines(log, _PANIC_LINES))
        return one_line(found[-1], 120) if found else ""

    def agent_failed(self, vm: str) -> None:
        """Look, after a call of a VM's agent that has failed, whether the VM still lives.

        If its agent hangs, it is measured at its macvtap from now on, or not at all when it does
        not answer on the wire either.
        """
        if self.state(vm) is not GuestState.READY:
            return
        seen, wire = self.probes.look_for_life(vm, _PING_AGAIN_S)
        if seen.answers:
            return
        with self.news:
            if self.state(vm) is GuestState.READY:
                self.guests[vm] = readiness.judged(vm, seen, wire)
                self.news.notify_all()

    def guarded(self, work: Callable[..., None], *args: object) -> None:
        """Do something in a thread of its own; what it raises is kept for the main thread."""
        try:
            work(*args)
        except Exception as error:  # noqa: BLE001  (raised again in the main thread)
            self.errors.append(error)

    def _start(self, work: Callable[[], _T], done: Callable[[_T], None]) -> None:
        """Do `work` in a thread of its own; `done` takes its result in the owner's thread."""

        def ended(outcome: Callable[[], None]) -> None:
            self._running -= 1
            outcome()

        def worked() -> None:
            try:
                outcome = partial(done, work())
            except Exception as error:  # noqa: BLE001  (raised again by settle)
                outcome = partial(self.errors.append, error)
            self._messages.put(partial(ended, outcome))

        self._running += 1
        threading.Thread(target=worked, daemon=True).start()

    def _forward_events(self) -> None:
        while True:
            self._messages.put(self._ends.worker.events.get())

    def _in(self, state: GuestState) -> list[str]:
        return sorted(vm for vm, guest in self.guests.items() if guest.state is state)

    def _take_messages(self, end: float, starting: set[str]) -> None:
        """Take messages until nothing is awaited; after `end` only results of running threads."""
        while True:
            left_s = end - time.monotonic()
            awaited = left_s > 0 and self._in(GuestState.AWAITED)
            if not awaited and not self._running:
                return
            try:
                message = self._messages.get(timeout=left_s if awaited else None)
            except queue.Empty:
                continue
            if isinstance(message, Event):
                if left_s > 0:
                    self._take_event(message, starting)
            else:
                message()

    def _take_event(self, event: Event, starting: set[str]) -> None:
        match event.kind:
            case "started":
                starting.discard(event.vm)
            case _ if event.vm in starting or event.vm not in self.guests:
                pass
            case "agent":
                self._opened.add(event.vm)
                if self.state(event.vm) is GuestState.AWAITED:
                    self._ping(event.vm)
            case "held":
                self._down(event.vm, GuestReadiness(GuestState.DOWN, event.detail))
            case _:
                why = f"it has ended ({event.detail})"
                self._down(event.vm, GuestReadiness(GuestState.DOWN, why))

    def _ping(self, vm: str) -> None:
        """Ask a VM for a sign of life, once at a time."""
        if vm not in self._pinged | self.probes.agents:
            self._pinged.add(vm)
            self._opened.discard(vm)
            within_s = max(_LEAST_PING_S, min(_PING_S, self._until - time.monotonic()))
            look = partial(self.probes.look_for_life, vm, within_s, boots=vm in self._booting)
            self._start(look, partial(self._take_ping, vm))

    def _take_ping(self, vm: str, looked: tuple[AgentSeen, WireSeen]) -> None:
        """Judge a guest by its sign of life; one that still boots may be late with it."""
        seen, wire = looked
        self._pinged.discard(vm)
        if seen.answers:
            self._agent_answers(vm)
        elif self.state(vm) is not GuestState.AWAITED:
            pass
        elif vm in self._booting or (seen.is_awaited and not wire.answered):
            # Its port opens with an event; of one that is open already there is none to come.
            self._booting.add(vm)
            opened = vm in self._opened or (seen.state and not seen.is_awaited)
            if opened and time.monotonic() < self._until:
                self._ping(vm)
        else:
            self._take_silence(vm, readiness.judged(vm, seen, wire))

    def _take_silence(self, vm: str, guest: GuestReadiness) -> None:
        """Take note that a VM's agent is silent; one that needs no agent is told by its signs."""
        signs = self._own.get(vm, ())
        if guest.state is GuestState.SILENT:
            self._down(vm, guest)
        elif lacking := [sign for sign in signs if readiness.needs_agent(sign)]:
            missing = dict.fromkeys(lacking, SignState(ok=False, why=guest.why))
            why = f"it lacks {readiness.missing(missing)}"
            self._down(vm, replace(guest, state=GuestState.NOT_READY, why=why))
        elif not signs:
            self._up(vm, guest)

    def _take_signs(self, vm: str, missing: Mapping[Sign, SignState]) -> None:
        if self.state(vm).is_down:
            return
        if missing:
            why = f"it lacks {readiness.missing(missing)}"
            self._down(vm, GuestReadiness(GuestState.NOT_READY, why))
        elif vm in self.probes.agents:
            self._rise(vm)
        else:
            self._up(vm, GuestReadiness(GuestState.AGENTLESS, NO_AGENT))

    def _take_addresses(self, vm: str, learned: Mapping[NicId, tuple[Address, ...]] | None) -> None:
        if learned is None:
            self._become(vm, GuestReadiness())
            self._ping(vm)
        else:
            self.learned |= learned
            self._up(vm, GuestReadiness(GuestState.READY))

    def _take_answering(self, answering: Mapping[str, WireSeen]) -> None:
        """Measure VMs at their macvtaps that answer on the wire, but whose agents do not come."""
        for vm, wire in sorted(answering.items()):
            self._up(vm, readiness.judged(vm, AgentSeen(answers=False), wire))

    def _agent_answers(self, vm: str) -> None:
        """Take note that a VM's agent answers, which may be one sign of several."""
        with self.news:
            self.probes.agents.add(vm)
            self.news.notify_all()
        if vm not in self._own:
            self._rise(vm)

    def _rise(self, vm: str) -> None:
        """Let a VM be up whose agent answers; one with dynamic addresses is asked for them first.

        Meanwhile others are attended to: a lease may be long in coming.
        """
        if self.state(vm) is not GuestState.AWAITED:
            return
        wanted = {key for key in self._dynamic if key.vm == vm}
        if wanted:
            self._become(vm, GuestReadiness(GuestState.LEARNING))
            self._start(partial(self._learn, vm, wanted), partial(self._take_addresses, vm))
        else:
            self._up(vm, GuestReadiness(GuestState.READY))

    def _up(self, vm: str, guest: GuestReadiness) -> None:
        learnt = guest.state is GuestState.READY and self.state(vm) is GuestState.LEARNING
        if self.state(vm) is not GuestState.AWAITED and not learnt:
            return
        but = f", but {NO_AGENT}: it is measured at its macvtap instead"
        after = f"{time.monotonic() - self._started:.1f} s"
        self._tell(f"{vm} is up after {after}{but if guest.state is GuestState.NO_AGENT else ''}")
        self._become(vm, guest)

    def _down(self, vm: str, guest: GuestReadiness) -> None:
        self._tell(f"{vm} is not up: {guest.why}")
        self._become(vm, guest)

    def _become(self, vm: str, guest: GuestReadiness) -> None:
        with self.news:
            self.guests[vm] = guest
            self.news.notify_all()

    def _watch(self, vm: str, end: float) -> dict[Sign, SignState]:
        """Look for a VM's own signs again and again, until all hold or one never will."""
        left = dict.fromkeys(self._own[vm], SignState(ok=False))
        while not self.state(vm).is_down:
            left = self.probes.left(vm, left, end)
            pause_s = min(_LOOK_AGAIN_S, end - time.monotonic())
            if not left or pause_s <= 0 or any(sign.over for sign in left.values()):
                break
            with self.news:
                self.news.wait(pause_s)
        return left

    def _learn(self, vm: str, wanted: set[NicId]) -> dict[NicId, tuple[Address, ...]] | None:
        """Ask the guest for the addresses that DHCP and router advertisements gave it.

        Return None when its agent has stopped answering.
        """
        within_s = _LEARN_S if vm in self._booting else _OLD_LEARN_S
        end = min(time.monotonic() + within_s, self._ends.worker.until or math.inf)
        pause = threading.Event()
        learned: dict[NicId, tuple[Address, ...]] = {}
        while wanted and time.monotonic() < end:
            try:
                found = self._ends.worker.do(MACHINE.guest, vm, Guests.addresses)
            except VmnetError:
                if time.monotonic() < end:
                    return None
                found = {}
            for key in list(wanted):
                learned[key] = found.get(self._ends.nics[key].mac, ())
                if learned[key] and self.due_versions(key) <= {a.version for a in learned[key]}:
                    wanted.discard(key)
            # The agent has no event for a lease.
            pause.wait(_ADDRESS_POLL_S if wanted else 0)
        return learned

    def due_versions(self, key: NicId) -> set[int]:
        """Return of which IP versions a NIC should get an address by itself."""
        config, network = self._ends.nics[key], self._ends.plan.network_of(key)
        if config.static:
            return set()
        prefixes = [x for x in network.subnet if x.version == _IPV6 and x.prefixlen == _SLAAC]
        six = config.ra and (prefixes or not config.dhcp)
        return ({4} if config.dhcp else set()) | ({6} if six else set())

    def _look_for_silent_agents(self, fresh: bool) -> None:  # noqa: FBT001
        """Find guests that answer on the wire, but whose agent does not come even so.

        An agent starts some time after the network of its guest: it is given a second look.
        """
        pause = _FRESH_PAUSE_S if fresh else _OLD_PAUSE_S
        before: dict[str, WireSeen] = {}
        while not self._over.wait(pause):
            left = set(self._in(GuestState.AWAITED)) - self._own.keys() - self._pinged
            alive = {vm: seen for vm, seen in self.probes.on_wire(left).items() if seen.answered}
            twice = {vm: seen for vm, seen in alive.items() if vm in before}
            self._messages.put(partial(self._take_answering, twice))
            before = alive
