"""Which guests are up: their agents' events, a look for those that have none, learnt addresses."""

import math
import queue
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from ipaddress import ip_address
from typing import TYPE_CHECKING

from provisioner.check import readiness
from provisioner.check.readiness import Held, Sign
from provisioner.check.result import Finding
from provisioner.commands.check.readiness_probes import Signs
from provisioner.errors import VmnetError
from provisioner.host.guest.commands import Guests
from provisioner.host.machine import MACHINE
from provisioner.host.probe import address_claims
from provisioner.host.system.worker import Event, Worker
from provisioner.network.devices import Nics, uplink_of
from provisioner.reachability.pairs import Pair

if TYPE_CHECKING:
    from provisioner.plan.ip import Address
    from provisioner.plan.model import Plan

_ADDRESS_POLL_S = 0.25
_LEARN_S = 20.0
_LOOK_S = 2.0  # for an answer to ARP or ND
_FRESH_PAUSE_S = 15.0  # between answering ARP and opening the agent, in a guest that boots
_OLD_PAUSE_S = 4.0
_IPV6 = 6

MUTE = "its guest agent does not answer"
_AWAKE, _SETTLED = "mute", "settled"
_LOOK_AGAIN_S = 0.5  # for signs that no event tells of


class Readiness:
    """The guests of one check, each waited for; `news` is notified whenever one is settled.

    `ready` are those that can be measured: with an agent, or, when they are in `mute`, without one
    but alive on the wire. `down` says of the others why they are not. Whoever is waited for by
    other signs than the agent (check.readiness) is ready when all of them hold; `plain` are those
    of them that have no agent and are none the worse for it.
    """

    def __init__(
        self,
        plan: "Plan",
        pairs: Sequence[Pair],
        nics: Nics,
        worker: Worker,
        tell: Callable[[str], None],
        signs: Signs,
    ) -> None:
        self.news = threading.Condition()
        self.ready: set[str] = set()
        self.mute: dict[str, str] = {}
        self.plain: set[str] = set()
        self.lacking: set[str] = set()  # down for want of a sign: nothing need be wrong with them
        self.down: dict[str, str] = {}
        self.learned: dict[tuple[str, int], tuple[str, ...]] = {}
        self.errors: list[BaseException] = []
        self._plan = plan
        self._dynamic = {(p.target, p.nic) for p in pairs if not p.addresses}
        self._nics = nics
        self._worker = worker
        self._tell = tell
        self._learning: dict[str, threading.Thread] = {}
        self._signs = signs
        self._own: dict[str, tuple[Sign, ...]] = {}
        self._over = threading.Event()
        self._started = 0.0

    def settle(
        self, vms: Iterable[str], timeout_s: float, started: float, fresh: frozenset[str]
    ) -> None:
        """Wait until every VM is ready or known to be down, at most `timeout_s` seconds.

        `started` is the time.monotonic() from which readiness is told. `fresh` are the VMs that
        this command has started: older events are about those that they replace.
        """
        end = time.monotonic() + timeout_s
        self._started = started
        awaited = set(vms)
        self._own = self._signs.own(awaited)
        for vm in self._worker.do(MACHINE.agents):
            self._agent(vm)
        watching = [
            threading.Thread(target=self.guarded, args=(self._watch, vm, end)) for vm in self._own
        ]
        for watch in watching:
            watch.start()
        look = threading.Thread(
            target=self.guarded, args=(self._look_for_mute, awaited, bool(fresh)), daemon=True
        )
        look.start()
        self._await(awaited, end, set(fresh))
        for watch in watching:
            watch.join()
        self._over.set()
        for learning in self._learning.values():
            learning.join()
        look.join()
        for vm in sorted(self._left(awaited) - self._learning.keys()):
            self._gone(vm, "no sign of its guest agent")

    def about(self, vm: str) -> Finding:
        """Say why a VM is not up."""
        what = f"{vm} is not up: {self.down[vm]}"
        return Finding(what, f"look at what it said: vmnet logs {vm}", about=vm)

    def guarded(self, work: Callable[..., None], *args: object) -> None:
        """Do something in a thread of its own; what it raises is kept for the main thread."""
        try:
            work(*args)
        except Exception as error:  # noqa: BLE001  (raised again in the main thread)
            self.errors.append(error)

    def _left(self, vms: set[str]) -> set[str]:
        return vms - self.ready - self.down.keys()

    def _await(self, vms: set[str], end: float, unborn: set[str]) -> None:
        while self._left(vms) - self._learning.keys():
            try:
                event = self._worker.events.get(timeout=max(0.0, end - time.monotonic()))
            except queue.Empty:
                return
            match event.kind:
                case "started":
                    unborn.discard(event.vm)
                case _ if event.vm in unborn or event.vm not in vms:
                    continue
                case "agent":
                    self._agent(event.vm)
                case "settled":
                    continue  # a sign, not an event, has decided
                case "mute":
                    self._accept(event.vm)
                case _:
                    self._gone(event.vm, f"it has ended ({event.detail})")

    def _agent(self, vm: str) -> None:
        """Take note that a VM's agent answers, which may be one sign of several."""
        with self.news:
            self._signs.agents.add(vm)
            self.news.notify_all()
        if vm not in self._own:
            self._rise(vm)

    def _watch(self, vm: str, end: float) -> None:
        """Look for a VM's own signs again and again, until all hold or one never will."""
        left = dict.fromkeys(self._own[vm], Held(ok=False))
        while left and vm not in self.down:
            left = self._signs.left(vm, left, end)
            wait = min(_LOOK_AGAIN_S, end - time.monotonic())
            if any(held.over for held in left.values()) or (left and wait <= 0):
                break
            with self.news:
                self.news.wait(wait if left else 0)
        if vm in self.down:
            return
        if left:
            self.lacking.add(vm)
            self._gone(vm, f"it lacks {readiness.missing(left)}")
        elif vm in self._signs.agents:
            self._rise(vm)
        else:
            self.plain.add(vm)
            self._accept(vm)
        self._worker.events.put(Event(vm, _SETTLED))

    def _rise(self, vm: str) -> None:
        """Take note that a VM's agent answers; one with dynamic addresses is asked for them first.

        Meanwhile others are attended to: a lease may be long in coming.
        """
        if vm in self.ready or vm in self._learning:
            return
        wanted = {nic for name, nic in self._dynamic if name == vm}
        if not wanted:
            self._up(vm)
            return
        thread = threading.Thread(target=self.guarded, args=(self._learn, vm, wanted))
        self._learning[vm] = thread
        thread.start()

    def _up(self, vm: str) -> None:
        self._tell(f"{vm} is up after {time.monotonic() - self._started:.1f} s")
        with self.news:
            self.ready.add(vm)
            self.news.notify_all()

    def _accept(self, vm: str) -> None:
        """Take a VM as it is that answers on the wire, but whose agent does not come."""
        if vm in self.ready or vm in self.down:
            return
        but = "" if vm in self.plain else f", but {MUTE}: it is measured at its macvtap instead"
        self._tell(f"{vm} is up after {time.monotonic() - self._started:.1f} s{but}")
        with self.news:
            self.mute[vm] = MUTE
            self.ready.add(vm)
            self.news.notify_all()

    def _gone(self, vm: str, why: str) -> None:
        self._tell(f"{vm} is not up: {why}")
        with self.news:
            self.down[vm] = why
            self.ready.discard(vm)
            self.news.notify_all()

    def _learn(self, vm: str, wanted: set[int]) -> None:
        """Ask the guest for the addresses that DHCP and router advertisements gave it."""
        end = min(time.monotonic() + _LEARN_S, self._worker.until or math.inf)
        pause = threading.Event()
        while wanted and time.monotonic() < end:
            try:
                told = self._worker.do(MACHINE.guest, vm, Guests.addresses)
            except VmnetError:
                told = {}
            for nic in list(wanted):
                found = told.get(self._nics[vm, nic].mac, ())
                self.learned[vm, nic] = found
                if self._awaited(vm, nic) <= {ip_address(one).version for one in found}:
                    wanted.discard(nic)
            # The agent has no event for a lease.
            pause.wait(_ADDRESS_POLL_S if wanted else 0)
        self._up(vm)

    def _awaited(self, vm: str, nic: int) -> set[int]:
        """Say of which IP versions a NIC should get an address by itself."""
        config = self._nics[vm, nic]
        network = self._plan.network(self._plan.vm(vm).nics[nic].network)
        six = config.ra and any(subnet.version == _IPV6 for subnet in network.subnet)
        return ({4} if config.dhcp else set()) | ({6} if six or not config.dhcp else set())

    def _look_for_mute(self, vms: set[str], fresh: bool) -> None:  # noqa: FBT001
        """Find guests that answer on the wire, but whose agent does not come even so.

        An agent starts some time after the network of its guest: it is given a second look.
        """
        pause = _FRESH_PAUSE_S if fresh else _OLD_PAUSE_S
        before: set[str] = set()
        while not self._over.wait(pause) and (
            left := self._left(vms) - self._learning.keys() - self._own.keys()
        ):
            alive = self._alive(left)
            for vm in sorted(alive & before):
                self._worker.events.put(Event(vm, _AWAKE))
            before = alive

    def _alive(self, vms: set[str]) -> set[str]:
        """Ask for the addresses of these VMs, on the LAN and by a synthetic wire."""
        asked: dict[str, dict[Address, str]] = {}
        homes: dict[tuple[str, Address], str] = {}
        for vm in vms:
            for number, nic in enumerate(self._plan.vm(vm).nics):
                network = self._plan.network(nic.network)
                if network.granted:
                    continue  # this user may send no frames there
                config, uplink = self._nics[vm, number], uplink_of(self._plan.name, network)
                for address in map(ip_address, config.static):
                    asked.setdefault(uplink, {})[address] = config.mac
                    homes[uplink, address] = vm
        found: set[str] = set()
        for uplink, wanted in asked.items():
            try:
                heard = self._worker.do(address_claims.claims, uplink, wanted, _LOOK_S)
            except VmnetError:
                continue  # the uplink is down, say: nobody can be heard there
            found |= {homes[uplink, a] for a, macs in heard.macs.items() if wanted[a] in macs}
        return found
