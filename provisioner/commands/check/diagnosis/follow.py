"""Ask once more what was not answered, and watch where its frames go and what the guests count."""

import os
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from provisioner.check.evidence import Endpoint, Evidence, Point
from provisioner.check.result import Result, Vantage
from provisioner.check.stack import StackReading, between
from provisioner.commands.check.diagnosis.evidence import EvidenceCollector
from provisioner.commands.check.nic_frames import NicFrames
from provisioner.dataclass import dataclass
from provisioner.errors import VmnetError
from provisioner.host.guest import queries
from provisioner.host.guest.commands import Guests
from provisioner.host.machine import MACHINE
from provisioner.host.netlink import addresses
from provisioner.host.probe import host_checks, mesh, neighbours, ssh_ping
from provisioner.host.probe.trace import Trace
from provisioner.network.devices import host_device
from provisioner.network.exchange import Exchange
from provisioner.plan.checks import HOST, PING, Probe, What
from provisioner.plan.nic_id import NicId
from provisioner.reachability.pairs import Pair

if TYPE_CHECKING:
    from provisioner.plan.ip import Address

_MESH_S = 1.0
_TRIES = 2
_ASK_S = 3.0  # for what is not a ping
_MOST_MACS = 8
_ASKED_AGAIN = frozenset({What.TCP, What.UDP, What.HTTP})


@dataclass(frozen=True, slots=True)
class Follower:
    """Follows the frames of pairs; `collector` is what is known of their ends."""

    collector: EvidenceCollector

    def followed(self, unclear: Sequence[tuple[Result, Evidence]]) -> list[Evidence]:
        """Do it again for some pairs, and watch where their frames go.

        Those that share no guest go side by side: of each guest its frames are counted meanwhile.
        """
        found: dict[int, Evidence] = {}
        for turn in _turns(unclear):
            with ThreadPoolExecutor(max_workers=len(turn)) as side_by_side:
                jobs = [side_by_side.submit(self._followed, *unclear[n]) for n in turn]
            found |= {n: job.result() for n, job in zip(turn, jobs, strict=True)}
        return [found[n] for n in range(len(unclear))]

    def _followed(self, result: Result, evidence: Evidence) -> Evidence:
        pair, address, known = result.pair, result.address, self.collector
        ends = known.ends
        if evidence.untested or address is None or os.geteuid() or not known.can_ask(pair.source):
            return evidence
        devices = {
            Point.SOURCE: evidence.source.link,
            Point.UPLINK: evidence.uplink.name,
            Point.FAR: evidence.uplink.far,
            Point.TARGET: evidence.target.link,
        }
        links = {point: ends.facts.link(name) for point, name in devices.items()}
        there = {
            point: link.name for point, link in links.items() if pair.network and link and link.up
        }
        exchange = Exchange(evidence.source.mac, address, evidence.source_address)
        before = self._counters(evidence)
        again_at = time.strftime("%H:%M:%S")
        with suppress(VmnetError):  # a device went away meanwhile: what is known has to do
            with Trace(there, exchange) as trace:
                answered = self._asked_again(result, address)
            seen = trace.followed
            evidence = replace(
                evidence,
                again_at=again_at,
                works_now=answered if _can_be_asked_again(pair) else None,
                gone_by=seen.gone_by,
                owners=(*evidence.owners, *self._strange(pair.target_key, seen.claimants)),
            )
            # The frames of what works, or of another question, do not show where this one was lost.
            if answered is False or not evidence.expected:
                evidence = replace(
                    evidence,
                    sightings=seen.sightings,
                    listened=frozenset(there),
                    sent_to=self._strange(pair.target_key, seen.sent_to),
                    answered_to=self._strange(pair.source_key, seen.answered_to),
                    drop_chains=known.drop_chains(there.values()),
                )
        near = self._near(pair, address, evidence)
        owners = tuple(dict.fromkeys((*evidence.owners, *near)))[:_MOST_MACS]
        return self._counted(replace(evidence, owners=owners, near=near), before)

    def _asked_again(self, result: Result, address: "Address") -> bool | None:
        """Ask once more from where it was asked, and return whether it was answered.

        What takes long or is no question of yes or no is asked as a ping. None when nobody can ask.
        """
        pair, worker = result.pair, self.collector.ends.worker
        if pair.asked.what not in _ASKED_AGAIN:
            return self._ping(result, address)
        question = Probe(pair.asked, address, _ASK_S, peer=pair.target)
        if pair.source == HOST:
            return host_checks.probe(question).reached
        if not self.collector.has_agent(pair.source):
            return None
        return worker.do(MACHINE.probe, pair.source, question).reached

    def _ping(self, result: Result, address: "Address") -> bool | None:
        pair, known = result.pair, self.collector
        ends, tries = known.ends, {address: _TRIES}
        sizes = {address: result.vanished} if result.vanished else {}
        if pair.source == HOST:
            device = host_device(known.plan, known.plan.network(pair.network))
            ping = neighbours.ping
            return bool(ping(tries, device=device, deadline_s=1.0, tries=_TRIES, sizes=sizes))
        if machine := known.plan.hosts.get(pair.source):
            if not machine.ssh:
                return None
            probed = ssh_ping.ping(machine.ssh, tries, sizes)[address]
            return probed.reached and probed.largest >= result.vanished
        if known.has_agent(pair.source):
            own = NicFrames(ends, known.readiness.addresses).sources([(pair, address)])
            found = ends.worker.do(MACHINE.guest, pair.source, Guests.ping, tries, sizes, own)
            return address in found and found[address].size >= result.vanished
        ask = ends.ask(pair, address)
        seen = mesh.answered([ask], _MESH_S).seen
        return ask in seen if result.by is Vantage.MACVTAP else None

    def _near(self, pair: Pair, address: "Address", evidence: Evidence) -> tuple[str, ...]:
        """Ask at the source's macvtap too who has the address: what is answered there counts."""
        ends = self.collector.ends
        if pair.source_key not in ends.nics or not evidence.source.up:
            return ()
        # Asked of everybody: whoever answers for the address is to be known.
        ask = replace(ends.ask(pair, address), target_mac="", target_device="")
        try:
            seen = mesh.answered([ask], _MESH_S).seen
        except VmnetError:
            return ()
        return self._strange(pair.target_key, seen[ask].macs) if ask in seen else ()

    def _strange(self, end: NicId, macs: tuple[str, ...]) -> tuple[str, ...]:
        """Return MACs without those of an end's other NICs."""
        ends = self.collector.ends
        return ends.rivals(end, macs) if end in ends.nics else macs

    def _counters(self, e: Evidence) -> Mapping[str, StackReading]:
        """Read what both guests count, side by side: those whose agents answer."""
        asked = {
            end.vm: (end.mac, str(peer))
            for end, peer in ((e.source, e.address), (e.target, e.source_address))
            if end.is_guest and end.agent and end.mac and peer
        }
        with ThreadPoolExecutor(max_workers=2) as side_by_side:
            jobs = {vm: side_by_side.submit(self._read, vm, *x) for vm, x in asked.items()}
        return {vm: found for vm, job in jobs.items() if (found := job.result())}

    def _read(self, vm: str, mac: str, peer: str) -> StackReading | None:
        worker = self.collector.ends.worker
        try:
            return worker.do(MACHINE.guest, vm, queries.counters, mac, peer)
        except VmnetError:
            return None

    def _counted(self, e: Evidence, before: Mapping[str, StackReading]) -> Evidence:
        """Add what both ends have counted meanwhile, and how the host sends."""
        if e.works_now or not e.address:
            return e
        version = e.address.version
        after = self._counters(e) if before else {}

        def end(one: Endpoint, other: "Address | None") -> Endpoint:
            was, now = before.get(one.vm), after.get(one.vm)
            stack = between(was, now, e.asked, version) if was and now else None
            route = addresses.way_to(other) if one.is_host and other else ""
            return replace(one, stack=stack, route=route)

        return replace(e, source=end(e.source, e.address), target=end(e.target, e.source_address))


def _turns(unclear: Sequence[tuple[Result, Evidence]]) -> list[list[int]]:
    """Part pairs, by their numbers, so that no guest is in two of a turn."""
    turns: list[tuple[list[int], set[str]]] = []
    for number, (_, evidence) in enumerate(unclear):
        guests = {end.vm for end in evidence.ends if end.is_guest}
        numbers, busy = next((t for t in turns if not t[1] & guests), ([], set()))
        if not numbers:
            turns.append((numbers, busy))
        numbers.append(number)
        busy |= guests
    return [numbers for numbers, _ in turns]


def _can_be_asked_again(pair: Pair) -> bool:
    """Return whether what is asked once more is the same question."""
    return pair.asked == PING or pair.asked.what in _ASKED_AGAIN
