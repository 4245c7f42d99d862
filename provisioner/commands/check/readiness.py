"""Find out which guests are up: by events of their agents, by probes for those that have none.

One thread owns the guests' states: it takes messages from a queue, those of the worker (events of
libvirt) and those of the threads that look for something and report what they have found.
"""

import math
import queue
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial
from typing import TypeVar

from provisioner.check import readiness
from provisioner.check.readiness import GuestReadiness, GuestState, Sign, SignState
from provisioner.check.result import Finding
from provisioner.commands.check.endpoints import Endpoints
from provisioner.commands.check.readiness_probes import ReadinessProbes
from provisioner.errors import VmnetError
from provisioner.host.guest.commands import Guests
from provisioner.host.machine import MACHINE
from provisioner.host.system.worker import Event
from provisioner.plan.ip import Address
from provisioner.plan.nic_id import NicId
from provisioner.reachability.pairs import Pair

_ADDRESS_POLL_S = 0.25
_LEARN_S = 20.0
_LOOK_S = 2.0  # for an answer to ARP or ND
_FRESH_PAUSE_S = 15.0  # between answering ARP and opening the agent, in a guest that boots
_OLD_PAUSE_S = 4.0
_LOOK_AGAIN_S = 0.5  # for signs without events
_IPV6 = 6

NO_AGENT = "its guest agent does not answer"

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
        self.learned: dict[NicId, tuple[Address, ...]] = {}
        self.errors: list[BaseException] = []
        self._ends = ends
        self._dynamic = {p.target_key for p in pairs if not p.addresses}
        self._tell = tell
        self._probes = probes
        self._own: dict[str, tuple[Sign, ...]] = {}
        self._messages: queue.SimpleQueue[Event | Callable[[], None]] = queue.SimpleQueue()
        self._running = 0  # threads whose results are awaited
        self._over = threading.Event()
        self._started = 0.0

    def state(self, vm: str) -> GuestState:
        """Return how far a guest is."""
        return self.guests.get(vm, GuestReadiness()).state

    def settle(
        self, vms: Iterable[str], timeout_s: float, started: float, fresh: frozenset[str]
    ) -> None:
        """Wait until every VM is up or known to be down, at most `timeout_s` seconds.

        `started` is the time.monotonic() from which readiness is counted. `fresh` are the VMs that
        this command has started: older events are about those that they replace. Raises what any
        of the threads has raised.
        """
        end = time.monotonic() + timeout_s
        self._started = started
        with self.news:
            self.guests = dict.fromkeys(vms, GuestReadiness())
        self._own = self._probes.own(self.guests)
        threading.Thread(target=self._forward_events, daemon=True).start()
        for vm in self._ends.worker.do(MACHINE.agents):
            self._agent_answers(vm)
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
            self._down(vm, GuestState.DOWN, "no sign of its guest agent")
        if self.errors:
            raise self.errors[0]

    def addresses(self, key: NicId) -> tuple[Address, ...]:
        """Return the addresses of a NIC: those of the plan, else those that were learned."""
        return self._ends.nics[key].static or self.learned.get(key, ())

    def about(self, vm: str) -> Finding:
        """Return why a VM is not up."""
        what = f"{vm} is not up: {self.guests[vm].why}"
        return Finding(what, f"look at what it said: vmnet logs {vm}", about=vm)

    def agent_lost(self, vm: str, why: str) -> None:
        """Measure a VM at its macvtap from now on: its agent hangs, or has died meanwhile."""
        with self.news:
            if self.state(vm) is GuestState.READY:
                self.guests[vm] = GuestReadiness(GuestState.NO_AGENT, why)

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
                self._agent_answers(event.vm)
            case _:
                self._down(event.vm, GuestState.DOWN, f"it has ended ({event.detail})")

    def _take_signs(self, vm: str, missing: Mapping[Sign, SignState]) -> None:
        if self.state(vm).is_down:
            return
        if missing:
            self._down(vm, GuestState.NOT_READY, f"it lacks {readiness.missing(missing)}")
        elif vm in self._probes.agents:
            self._rise(vm)
        else:
            self._up(vm, GuestState.AGENTLESS)

    def _take_addresses(self, vm: str, learned: Mapping[NicId, tuple[Address, ...]]) -> None:
        self.learned |= learned
        self._up(vm, GuestState.READY)

    def _take_answering(self, vms: Collection[str]) -> None:
        """Measure VMs at their macvtaps that answer on the wire, but whose agents do not come."""
        for vm in sorted(vms):
            self._up(vm, GuestState.NO_AGENT)

    def _agent_answers(self, vm: str) -> None:
        """Take note that a VM's agent answers, which may be one sign of several."""
        with self.news:
            self._probes.agents.add(vm)
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
            self._up(vm, GuestState.READY)

    def _up(self, vm: str, state: GuestState) -> None:
        learnt = state is GuestState.READY and self.state(vm) is GuestState.LEARNING
        if self.state(vm) is not GuestState.AWAITED and not learnt:
            return
        but = f", but {NO_AGENT}: it is measured at its macvtap instead"
        after = f"{time.monotonic() - self._started:.1f} s"
        self._tell(f"{vm} is up after {after}{but if state is GuestState.NO_AGENT else ''}")
        self._become(vm, GuestReadiness(state, "" if state is GuestState.READY else NO_AGENT))

    def _down(self, vm: str, state: GuestState, why: str) -> None:
        self._tell(f"{vm} is not up: {why}")
        self._become(vm, GuestReadiness(state, why))

    def _become(self, vm: str, guest: GuestReadiness) -> None:
        with self.news:
            self.guests[vm] = guest
            self.news.notify_all()

    def _watch(self, vm: str, end: float) -> dict[Sign, SignState]:
        """Look for a VM's own signs again and again, until all hold or one never will."""
        left = dict.fromkeys(self._own[vm], SignState(ok=False))
        while not self.state(vm).is_down:
            left = self._probes.left(vm, left, end)
            wait = min(_LOOK_AGAIN_S, end - time.monotonic())
            if not left or wait <= 0 or any(sign.over for sign in left.values()):
                break
            with self.news:
                self.news.wait(wait)
        return left

    def _learn(self, vm: str, wanted: set[NicId]) -> dict[NicId, tuple[Address, ...]]:
        """Ask the guest for the addresses that DHCP and router advertisements gave it."""
        end = min(time.monotonic() + _LEARN_S, self._ends.worker.until or math.inf)
        pause = threading.Event()
        learned: dict[NicId, tuple[Address, ...]] = {}
        while wanted and time.monotonic() < end:
            try:
                found = self._ends.worker.do(MACHINE.guest, vm, Guests.addresses)
            except VmnetError:
                found = {}
            for key in list(wanted):
                learned[key] = found.get(self._ends.nics[key].mac, ())
                if self._awaited_versions(key) <= {a.version for a in learned[key]}:
                    wanted.discard(key)
            # The agent has no event for a lease.
            pause.wait(_ADDRESS_POLL_S if wanted else 0)
        return learned

    def _awaited_versions(self, key: NicId) -> set[int]:
        """Return of which IP versions a NIC should get an address by itself."""
        config, network = self._ends.nics[key], self._ends.plan.network_of(key)
        six = config.ra and any(subnet.version == _IPV6 for subnet in network.subnet)
        return ({4} if config.dhcp else set()) | ({6} if six or not config.dhcp else set())

    def _look_for_silent_agents(self, fresh: bool) -> None:  # noqa: FBT001
        """Find guests that answer on the wire, but whose agent does not come even so.

        An agent starts some time after the network of its guest: it is given a second look.
        """
        pause = _FRESH_PAUSE_S if fresh else _OLD_PAUSE_S
        before: set[str] = set()
        while not self._over.wait(pause) and (
            left := set(self._in(GuestState.AWAITED)) - self._own.keys()
        ):
            alive = {key.vm for key in self._ends.who_answers(left, _LOOK_S).alive}
            self._messages.put(partial(self._take_answering, alive & before))
            before = alive
