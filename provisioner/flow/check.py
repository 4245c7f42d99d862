"""Wait for the guests and measure who reaches whom, each pair as soon as both of its ends are up.

The guests boot for seconds, one after another; what is measured meanwhile costs no time.
"""

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING

from provisioner.core.networks import Nics, host_device
from provisioner.core.reach import HOST, Expected, Pair, Result
from provisioner.errors import VmnetError
from provisioner.host import probe
from provisioner.host.worker import Worker

if TYPE_CHECKING:
    from provisioner.core.model import Plan

_TRIES = {Expected.REACHES: 4, Expected.ISOLATED: 2, Expected.EITHER: 2}
_HOST_DEADLINE_S = {Expected.REACHES: 4.0, Expected.ISOLATED: 1.0, Expected.EITHER: 1.0}
_ADDRESS_POLL_S = 0.25
_LEARN_S = 20.0
_IPV6 = 6

Target = tuple[Pair, str]
Address = IPv4Address | IPv6Address
Macs = dict[Address, str]


class Check:
    """One check of a plan: threads for the guests and the host, one condition they wait on."""

    def __init__(
        self,
        plan: "Plan",
        pairs: Sequence[Pair],
        nics: Nics,
        worker: Worker,
        tell: Callable[[str], None],
    ) -> None:
        self._plan = plan
        self._pairs = pairs
        self._nics = nics
        self._worker = worker
        self._tell = tell
        self._news = threading.Condition()
        self._ready: set[str] = set()
        self._down: dict[str, str] = {}
        self._learning: dict[str, threading.Thread] = {}
        self._learned: dict[tuple[str, int], tuple[str, ...]] = {}
        self._results: list[Result] = []
        self._errors: list[BaseException] = []

    def run(
        self,
        vms: Sequence[str],
        timeout_s: float,
        started: float,
        fresh: frozenset[str] = frozenset(),
    ) -> list[Result]:
        """Measure every pair; a VM that is not up in `timeout_s` seconds has its pairs unmeasured.

        `started` is the time.monotonic() from which a guest's readiness is told. `fresh` are the
        VMs that this command has started: older events are about those that they replace.
        """
        end = time.monotonic() + timeout_s
        sources = {p.source for p in self._pairs}
        threads = [
            threading.Thread(target=self._guarded, args=(self._measure_from, vm), daemon=True)
            for vm in vms
            if vm in sources
        ]
        threads.append(
            threading.Thread(target=self._guarded, args=(self._measure_host,), daemon=True)
        )
        for thread in threads:
            thread.start()
        for vm in self._worker.do("agents"):
            self._rise(vm, started)
        self._await_agents(set(vms), end, started, set(fresh))
        for learning in self._learning.values():
            learning.join()
        for vm in set(vms) - self._ready - self._down.keys():
            self._gone(vm, "no sign of its guest agent")
        for thread in threads:
            thread.join()
        if self._errors:
            raise self._errors[0]
        order = {id(p): n for n, p in enumerate(self._pairs)}
        return sorted(self._results, key=lambda r: order[id(r.pair)])

    @property
    def down(self) -> dict[str, str]:
        """The VMs that are not up, and what is known of each."""
        return dict(self._down)

    def _await_agents(self, vms: set[str], end: float, started: float, unborn: set[str]) -> None:
        import queue

        while vms - self._ready - self._down.keys() - self._learning.keys():
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
                    self._rise(event.vm, started)
                case _:
                    self._gone(event.vm, f"it has ended ({event.detail})")

    def _rise(self, vm: str, started: float) -> None:
        """Take note that a VM's agent answers; one with dynamic addresses is asked for them first.

        Meanwhile others are attended to: a lease may be long in coming.
        """
        if vm in self._ready or vm in self._learning:
            return
        if not any(p.target == vm and not p.addresses for p in self._pairs):
            self._up(vm, started)
            return
        thread = threading.Thread(target=self._guarded, args=(self._learn, vm, started))
        self._learning[vm] = thread
        thread.start()

    def _up(self, vm: str, started: float) -> None:
        self._tell(f"{vm} is up after {time.monotonic() - started:.1f} s")
        with self._news:
            self._ready.add(vm)
            self._news.notify_all()

    def _gone(self, vm: str, why: str) -> None:
        self._tell(f"{vm} is not up: {why}")
        with self._news:
            self._down[vm] = why
            self._news.notify_all()

    def _learn(self, vm: str, started: float) -> None:
        """Ask the guest for the addresses that DHCP and router advertisements gave it."""
        wanted = {p.nic for p in self._pairs if p.target == vm and not p.addresses}
        end = time.monotonic() + _LEARN_S
        pause = threading.Event()
        while wanted and time.monotonic() < end:
            try:
                told = self._worker.do("guest", vm, "addresses")
            except VmnetError:
                told = {}
            for nic in list(wanted):
                found = told.get(self._nics[vm, nic].mac, ())
                self._learned[vm, nic] = found
                if self._awaited(vm, nic) <= {ip_address(one).version for one in found}:
                    wanted.discard(nic)
            # The agent has no event for a lease.
            pause.wait(_ADDRESS_POLL_S if wanted else 0)
        self._up(vm, started)

    def _awaited(self, vm: str, nic: int) -> set[int]:
        """Say of which IP versions a NIC should get an address by itself."""
        config = self._nics[vm, nic]
        network = self._plan.network(self._plan.vm(vm).nics[nic].network)
        six = config.ra and any(subnet.version == _IPV6 for subnet in network.subnet)
        return ({4} if config.dhcp else set()) | ({6} if six or not config.dhcp else set())

    def _guarded(self, work: Callable[..., None], *args: object) -> None:
        try:
            work(*args)
        except Exception as error:  # noqa: BLE001  (raised again by run(), in the main thread)
            self._errors.append(error)

    def _measure_from(self, vm: str) -> None:
        for batch in self._batches(vm):
            targets = {address: _TRIES[pair.expected] for pair, address in batch}
            try:
                times = self._worker.do("guest", vm, "ping", targets)
            except VmnetError as error:
                self._add(Result(pair, address, None, note=error.what) for pair, address in batch)
                continue
            self._add(
                Result(pair, address, address in times, times.get(address), "ping")
                for pair, address in batch
            )

    def _measure_host(self) -> None:
        for batch in self._batches(HOST):
            for network in {pair.network for pair, _ in batch}:
                targets = [t for t in batch if t[0].network == network]
                self._add(self._from_host(network, targets))

    def _from_host(self, network: str, targets: Sequence[Target]) -> Iterable[Result]:
        net = self._plan.network(network)
        device = host_device(self._plan, net)
        deadline = max(_HOST_DEADLINE_S[pair.expected] for pair, _ in targets)
        macs = {ip_address(a): self._nics[pair.target, pair.nic].mac for pair, a in targets}
        try:
            seen = probe.neighbours(device, macs, deadline_s=deadline)
            times = probe.ping(list(seen), device=device, deadline_s=deadline, tries=3)
        except VmnetError as error:
            return [Result(pair, address, None, note=error.what) for pair, address in targets]
        return [self._seen(pair, address, macs, seen, times) for pair, address in targets]

    def _seen(
        self,
        pair: Pair,
        address: str,
        macs: Macs,
        seen: dict[Address, probe.Seen],
        times: dict[Address, float],
    ) -> Result:
        ip = ip_address(address)
        if ip not in seen:
            return Result(pair, address, reached=False, note="no answer to ARP/ND")
        others = [mac for mac in seen[ip].macs if mac != macs[ip]]
        if others:
            note = f"{', '.join(others)} answers for this address too: it is used twice"
            return Result(pair, address, None, seen[ip].seconds, note)
        if ip not in times and (pair.expected is Expected.REACHES or self._shares_mac(pair)):
            return Result(pair, address, reached=False, note="answers ARP/ND but no ping")
        took = times.get(ip, seen[ip].seconds)
        return Result(pair, address, reached=True, seconds=took, note="ARP/ND and ping")

    def _shares_mac(self, pair: Pair) -> bool:
        """Tell whether the guest bears the card's own MAC: what the card hears is the guest's then.

        A packet socket sees a frame before the passthru device takes it; the host's stack does not.
        """
        nic = self._plan.vm(pair.target).nics[pair.nic]
        return (nic.mode or self._plan.network(nic.network).mode) == "passthru"

    def _batches(self, source: str) -> Iterable[list[Target]]:
        """Give what can be measured from `source`, whenever there is something new."""
        left = [p for p in self._pairs if p.source == source]
        while left:
            with self._news:
                while not (self._measurable(left) or self._lost(left)):
                    self._news.wait()
                lost, now = self._lost(left), self._measurable(left)
                down = dict(self._down)
            left = [p for p in left if p not in now and p not in lost]
            self._add(
                Result(p, a, None, note=self._why_lost(p, down))
                for p in lost
                for a in p.addresses or ("",)
            )
            batch = [(p, a) for p in now for a in self._addresses(p)]
            self._add(
                Result(p, "", None, note="it has no address") for p in now if not self._addresses(p)
            )
            if batch:
                yield batch

    def _addresses(self, pair: Pair) -> tuple[str, ...]:
        return pair.addresses or self._learned.get((pair.target, pair.nic), ())

    def _measurable(self, pairs: Iterable[Pair]) -> list[Pair]:
        up = self._ready | {HOST}
        return [p for p in pairs if p.source in up and p.target in up]

    def _lost(self, pairs: Iterable[Pair]) -> list[Pair]:
        return [p for p in pairs if p.source in self._down or p.target in self._down]

    def _why_lost(self, pair: Pair, down: dict[str, str]) -> str:
        vm = pair.target if pair.target in down else pair.source
        return f"{vm} is not up: {down[vm]}"

    def _add(self, results: Iterable[Result]) -> None:
        found = list(results)
        with self._news:
            self._results += found
