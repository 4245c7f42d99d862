"""Measure pairs, each as soon as both of its ends are up, from what can answer the question.

A guest's own agent is asked first: a ping from inside proves the whole way, the guests' stacks
included. Where no agent answers, frames are sent at the guest's macvtap in its place, if it is
shown alive there: it must answer for its own address on the wire. The host speaks for itself.
Guests boot one after another; what is measured meanwhile costs no time. What has a deadline is
asked again until it holds or the deadline has passed: services start late.
"""

import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from provisioner.check import loss
from provisioner.check.readiness import NO_AGENT, GuestState, WireSeen
from provisioner.check.result import Probed, Result, Vantage, no_address
from provisioner.commands.check import in_place
from provisioner.commands.check.batches import Batches
from provisioner.commands.check.endpoints import Endpoints
from provisioner.commands.check.in_place import untested
from provisioner.commands.check.nic_frames import NicFrames, by_nic
from provisioner.commands.check.readiness import Readiness
from provisioner.errors import VmnetError
from provisioner.host.guest.commands import Guests
from provisioner.host.machine import MACHINE
from provisioner.host.probe import host_checks, neighbours, ssh_ping
from provisioner.network.devices import host_device
from provisioner.plan.checks import HOST, PING, Probe
from provisioner.plan.ip import Address
from provisioner.plan.nic_settings import settings_of
from provisioner.reachability.pairs import Expected, Pair

if TYPE_CHECKING:
    from provisioner.host.guest.pinging import Pinged
    from provisioner.plan.hosts import ExternalHost

_SMALL_S = 1.0
_SILENCE_S = 1.0  # how long the host waits for an answer that should not come,
_LATE_SEEN_S = 0.5  # and where it is seen if it comes later
_PAUSE_S = 0.5  # between two tries of what has a deadline

Target = tuple[Pair, Address | None]
Ping = tuple[Pair, Address]


class Measuring:
    """The measurements of one check; `results` grows as guests come up.

    With `sees_late` somebody sees answers that come late: silence is not waited for any longer than
    it takes what must answer to do so.
    """

    def __init__(
        self, ends: Endpoints, pairs: Sequence[Pair], readiness: Readiness, *, sees_late: bool
    ) -> None:
        self.results: list[Result] = []
        self._ends = ends
        self._pairs = pairs
        self._readiness = readiness
        self._sees_late = sees_late
        self._vms = {key.vm for key in ends.nics}
        self._targets = Counter(p.source for p in pairs for _ in p.addresses if p.asked == PING)
        self._frames = NicFrames(ends, readiness.addresses)
        # When the last batch of a source began (of the host the first: they overlap), time.time()
        self._began: dict[str, float] = {}

    def start(self) -> list[threading.Thread]:
        """Begin, a thread for each source; they end when all their pairs are settled."""
        sources = dict.fromkeys(p.source for p in self._pairs)
        return [self._thread(self._measure, source) for source in sources]

    def _thread(self, work: Callable[..., None], *args: object) -> threading.Thread:
        guarded = self._readiness.guarded
        thread = threading.Thread(target=guarded, args=(work, *args), daemon=True)
        thread.start()
        return thread

    def _measure(self, source: str) -> None:
        beside: list[threading.Thread] = []
        for batch in self._batches(source):
            if source != HOST or HOST not in self._began:
                self._began[source] = time.time()
            pings = [(p, a) for p, a in batch if a and p.asked == PING]
            others = [t for t in batch if t[0].asked != PING]
            if source == HOST:
                # Its questions cost nothing: those about one guest do not wait for silent ones.
                beside.append(self._thread(self._by_host, pings, others))
                continue
            if machine := self._ends.plan.hosts.get(source):
                self._add(self._from_machine(machine, pings))
                continue
            if self._readiness.state(source) is not GuestState.READY:
                self._add(self._in_its_place(pings))
                self._add(untested(t, f"{source}: {NO_AGENT}") for t in others)
                continue
            for part in by_nic(pings):
                self._add(self._frames.judged(source, self._by_agent(source, part)))
            # One after another: they are work.
            self._add(self._in_guest(target) for target in others)
        for thread in beside:
            thread.join()

    def _by_host(self, pings: Sequence[Ping], others: Sequence[Target]) -> None:
        guests = [t for t in pings if t[0].target in self._vms]
        groups: dict[tuple[str, float], list[Ping]] = {}
        for ping in guests:
            groups.setdefault((ping[0].network, self._deadline(ping[0])), []).append(ping)
        for (network, deadline_s), group in sorted(groups.items()):  # the silent ones are soon over
            self._add(self._from_host(network, group, deadline_s))
        self._add(_to_machines([t for t in pings if t not in guests]))
        self._add(_of_host(target) for target in others)

    def _by_agent(self, vm: str, batch: Sequence[Ping]) -> Iterable[Result]:
        if not batch:
            return []
        tries: dict[Address, int] = {}
        for pair, address in batch:
            tries[address] = max(tries.get(address, 0), _tries(pair))
        sizes = self._sizes(batch)
        counts = {a: self._count(p) for p, a in batch if a in sizes}
        try:
            own = self._frames.sources(batch)
            by_order = self._sees_late
            seen = self._ends.worker.do(
                MACHINE.guest, vm, Guests.ping, tries, sizes, own, counts, by_order=by_order
            )
        except VmnetError as error:
            # It hangs, or has died meanwhile: what its guest can reach can still be asked.
            self._readiness.agent_failed(vm)
            if self._readiness.state(vm) is GuestState.READY:
                return [untested(target, error.what) for target in batch]
            return self._in_its_place(batch)
        return [self._pinged(pair, address, seen.get(address)) for pair, address in batch]

    def _pinged(self, pair: Pair, address: Address, ping: "Pinged | None") -> Result:
        if ping is None:
            return Result(pair, address, reached=False, note="no answer to ping", by=Vantage.AGENT)
        most = self._max_loss(pair)
        vanished = ping.vanished if pair.expected is Expected.REACHES else 0
        wrong = f"packets of {vanished} bytes do not pass" if vanished else ""
        if not vanished and ping.loss.share > most:
            wrong = f"{ping.loss}, at most {loss.percent(most)}"
        return Result(
            pair,
            address,
            reached=True,
            seconds=ping.seconds,
            note=f"ping of {ping.size} bytes",
            by=Vantage.AGENT,
            tries=ping.tries,
            loss=ping.loss,
            vanished=vanished,
            wrong=wrong,
        )

    def _count(self, pair: Pair) -> loss.PingCount:
        outside = pair.target != HOST and pair.target not in self._vms
        return loss.ping_count(self._targets[pair.source], self._max_loss(pair), outside=outside)

    def _max_loss(self, pair: Pair) -> float:
        return self._ends.plan.network(pair.network).max_loss

    def _in_guest(self, target: Target) -> Result:
        """Ask from inside its source what a check of the user's asks."""
        pair, address = target
        if self._readiness.state(pair.source) is not GuestState.READY:
            return untested(target, f"{pair.source}: {NO_AGENT}")
        peer = pair.target if pair.target in self._vms else ""
        mtu = self._ends.mtu(pair.source_key)
        question = Probe(pair.asked, address, pair.within_s, mtu, peer, pair.due)

        def ask(question: Probe) -> Probed:
            return self._ends.worker.do(MACHINE.probe, pair.source, question)

        result = _probed(target, question, ask, Vantage.AGENT)
        if result.seen is None:  # nothing came of it: its agent may hang, or its peer's
            for vm in filter(None, (pair.source, peer)):
                self._readiness.agent_failed(vm)
        return result

    def _in_its_place(self, batch: Sequence[Ping]) -> Iterable[Result]:
        """Ask at a guest's macvtap as the guest would, where it is shown alive.

        Its stack is not needed for the question: a dead guest's would be answered as well.
        """
        if not batch:
            return []
        vm = batch[0][0].source
        if self._readiness.state(vm).is_down:
            return [self._not_up(*target) for target in batch]
        wire = self._readiness.probes.on_wire({vm})[vm]
        dead = {target: why for target in batch if (why := self._not_shown(target, wire))}
        found = [untested(target, f"{vm}: {NO_AGENT}, and {why}") for target, why in dead.items()]
        alive = [target for target in batch if target not in dead]
        return found + in_place.asked(self._ends, self._readiness, self._frames, alive)

    def _not_shown(self, target: Ping, wire: WireSeen) -> str:
        """Return why a source is not shown alive where a question would leave it, "" if it is."""
        pair, address = target
        known = self._readiness.probes.asked_for(pair.source_key)
        own = tuple(a for a in known if a.version == address.version)
        seen = WireSeen(own, tuple(a for a in own if a in wire.answered), wire.failed)
        return "" if seen.answered else seen.why

    def _deadline(self, pair: Pair) -> float:
        is_seen = self._sees_late and not self._shares_mac(pair)
        return _deadline(pair, _LATE_SEEN_S if is_seen else _SILENCE_S)

    def _from_host(
        self, network: str, targets: Sequence[Ping], deadline: float
    ) -> Iterable[Result]:
        net = self._ends.plan.network(network)
        device = host_device(self._ends.plan, net)
        macs = {a: self._ends.nics[p.target_key].mac for p, a in targets}
        sizes = self._sizes(targets)
        try:
            seen = neighbours.neighbours(device, macs, deadline_s=deadline)
            times = neighbours.ping(seen, device=device, deadline_s=deadline, sizes=sizes)
            silent = [a for a in seen if a not in times and a in sizes]
            small = neighbours.ping(silent, device=device, deadline_s=_SMALL_S) if silent else {}
        except VmnetError as error:
            return [untested(target, error.what) for target in targets]
        vanished = {a: sizes[a] for a in small}
        times |= small
        return [
            _sized(self._at_host(t, seen.get(t[1]), times.get(t[1])), vanished.get(t[1], 0))
            for t in targets
        ]

    def _from_machine(self, machine: "ExternalHost", batch: Sequence[Ping]) -> Iterable[Result]:
        """Ping from another machine; what cannot be logged in to is not measured, never down."""
        if machine.ssh is None:
            return [untested(target, "nobody knows how to log in there") for target in batch]
        wanted: dict[Address, int] = {}
        for pair, address in batch:
            wanted[address] = max(wanted.get(address, 0), _tries(pair))
        sizes = self._sizes(batch)
        try:
            seen = ssh_ping.ping(machine.ssh, wanted, sizes)
        except VmnetError as error:
            return [untested(target, error.what) for target in batch]
        return [_by_machine(target, seen[target[1]], sizes.get(target[1], 0)) for target in batch]

    def _sizes(self, batch: Sequence[Ping]) -> dict[Address, int]:
        """Return the bytes of the packets that have to pass, where one is known."""
        reaching = [(p, a) for p, a in batch if p.expected is Expected.REACHES]
        return {a: size for p, a in reaching if (size := self._ends.packet(p, a))}

    def _at_host(self, target: Ping, seen: neighbours.Seen | None, took: float | None) -> Result:
        pair, address = target
        by = Vantage.HOST
        if seen is None:
            return Result(pair, address, reached=False, note="no answer to ARP/ND", by=by)
        if other := self._frames.by_another(target, seen, by):
            return other
        if took is not None:
            return Result(pair, address, reached=True, seconds=took, note="ARP/ND and ping", by=by)
        has_own = self._has_address_for(pair, address)
        if (has_own and pair.expected is Expected.REACHES) or self._shares_mac(pair):
            note = "answers ARP/ND but no ping"
            return Result(pair, address, reached=False, note=note, by=by)
        note = "ARP/ND" if has_own else "ARP/ND; this host has no address there to ping from"
        return Result(pair, address, reached=True, seconds=seen.seconds, note=note, by=by)

    def _has_address_for(self, pair: Pair, address: "Address") -> bool:
        """Return whether this host has an address in the network of the asked one, or should have.

        Without one it can ask who has an address, and ping nobody.
        """
        ends, network = self._ends, self._ends.plan.network(pair.network)
        if network.switch or network.host_access is not None:
            return True
        link = ends.facts.link(host_device(ends.plan, network))
        return any(address in one.network for one in (link.addresses if link else ()))

    def _shares_mac(self, pair: Pair) -> bool:
        """Return whether the guest has the uplink's own MAC: what arrives there is the guest's.

        A packet socket sees a frame before the passthru device takes it; the host's stack does not.
        """
        plan = self._ends.plan
        return settings_of(plan, plan.nic(pair.target_key)).mode.takes_uplink_mac

    def _batches(self, source: str) -> Iterator[list[Target]]:
        """Return what can be measured from `source`, whenever there is something new."""
        for lost, now in Batches(source, self._pairs, self._vms, self._readiness):
            self._add(self._not_up(p, a) for p in lost for a in p.addresses or (None,))
            for pair in now:
                self._add(self._without(pair))
            if batch := [(p, a) for p in now for a in self._addresses(p)]:
                yield batch

    def _without(self, pair: Pair) -> Iterator[Result]:
        """Return a result for each address that a target should have and has not."""
        known = self._addresses(pair)
        key, vm = pair.target_key, pair.target
        if pair.addresses or key not in self._ends.nics:
            due: set[int] = set()
        elif self._readiness.state(vm) is not GuestState.READY:
            yield Result(pair, None, None, note=f"the address of {vm} is not known: {NO_AGENT}")
            return
        else:
            due = self._readiness.due_versions(key) - {a.version for a in known if a}
        due = {version for version in due if pair.version in {0, version}}
        for version in sorted(due):
            note = f"{vm} has {no_address(version)}"
            yield Result(pair, None, None, note=note, missing=version)
        if not known and not due:
            yield Result(pair, None, None, note="it has no address")

    def _addresses(self, pair: Pair) -> tuple[Address | None, ...]:
        learned = self._readiness.learned.get(pair.target_key, ())
        return pair.addresses or tuple(a for a in learned if pair.version in {0, a.version})

    def _not_up(self, pair: Pair, address: Address | None) -> Result:
        is_target = self._readiness.state(pair.target).is_down
        vm = pair.target if is_target else pair.source
        why = self._readiness.guests[vm].why
        return Result(pair, address, None, note=f"{vm} is not up: {why}")

    def _add(self, results: Iterable[Result]) -> None:
        now = time.time()
        began = self._began
        found = [replace(r, measured=(began.get(r.pair.source, now), now)) for r in results]
        with self._readiness.news:
            self.results += found


def _of_host(target: Target) -> Result:
    """Ask what a check of the user's asks of the host itself, by its own stack."""
    pair, address = target
    question = Probe(pair.asked, address, pair.within_s)
    return _probed(target, question, host_checks.probe, Vantage.HOST)


def _probed(target: Target, question: Probe, ask: Callable[[Probe], Probed], by: Vantage) -> Result:
    pair = target[0]
    end = time.monotonic() + question.within_s
    pause = threading.Event()
    try:
        found = ask(question)
        while found.reached is False and pair.expected is Expected.REACHES:
            if (left_s := end - _PAUSE_S - time.monotonic()) <= 0:
                break
            pause.wait(_PAUSE_S)
            found = ask(replace(question, within_s=left_s))
    except VmnetError as error:
        return untested(target, error.what)
    note = " ".join(x for x in (found.value, found.note) if x)
    return Result(*target, found.reached, found.seconds, note, by, seen=found)


def _by_machine(target: Target, found: Probed, size: int) -> Result:
    by, sent = (None, 1) if found.reached is None else (Vantage.PEER, max(found.sent, 1))
    result = Result(*target, found.reached, found.seconds, found.note, by, sent)
    return _sized(result, size if found.reached and found.largest < size else 0)


def _sized(result: Result, vanished: int) -> Result:
    """Return a result of which it is known that packets of a size vanish, 0 for none."""
    if not vanished or not result.reached or result.pair.expected is not Expected.REACHES:
        return result
    return replace(result, vanished=vanished, wrong=f"packets of {vanished} bytes do not pass")


def _to_machines(targets: Sequence[Ping]) -> Iterable[Result]:
    """Ping machines that are not guests from the host's stack, by whatever way it takes."""
    longest = max((_deadline(pair, _SILENCE_S) for pair, _ in targets), default=0.0)
    try:
        times = neighbours.ping([a for _, a in targets], deadline_s=longest)
    except VmnetError as error:
        return [untested(target, error.what) for target in targets]
    results = []
    for target in targets:
        took = times.get(target[1])
        note = "no answer to ping" if took is None else "ping"
        results.append(Result(*target, took is not None, took, note, Vantage.HOST))
    return results


def _tries(pair: Pair) -> int:
    """Return how often to ping, a second a time."""
    usual = 4 if pair.expected is Expected.REACHES else 2
    return max(1, math.ceil(pair.within_s)) if pair.within_s else usual


def _deadline(pair: Pair, silence_s: float) -> float:
    """Return how long the host waits for an answer to its pings, in seconds."""
    return pair.within_s or (4.0 if pair.expected is Expected.REACHES else silence_s)
