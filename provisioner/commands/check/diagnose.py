"""Find out why expectations were not met: gather what can be seen, and have it diagnosed.

What concerns an end (its macvtap, its guest's own view, who answers for its address) is looked at
once; frames are followed for a few pairs only, since most red cells of one plan share a cause.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from provisioner.check.diagnosis.diagnose import diagnose
from provisioner.check.evidence import Evidence, Point
from provisioner.check.loss import Loss
from provisioner.check.readiness import GuestState
from provisioner.check.result import Finding, Probed, Result
from provisioner.commands.check.evidence import EvidenceCollector
from provisioner.errors import VmnetError
from provisioner.host.guest.commands import Guests
from provisioner.host.machine import MACHINE
from provisioner.host.probe import mesh, ssh_ping
from provisioner.host.probe.trace import Trace
from provisioner.network.devices import host_device
from provisioner.network.exchange import Exchange
from provisioner.plan.checks import HOST, CheckSpec, Probe, What
from provisioner.reachability.pairs import Expected, Pair

if TYPE_CHECKING:
    from provisioner.plan.ip import Address

_FOLLOWED = 8  # pairs whose frames are followed
_MESH_S = 1.0
_MOST_MACS = 8


class Diagnosis(EvidenceCollector):
    """One look at everything around the expectations that were not met, and what is wrong."""

    def explained(self, results: Sequence[Result]) -> list[Result]:
        """Return the results again, each that is not as expected with the reason that was found."""
        reasons = dict(self._awaited(results))
        violated = [r for r in results if not r.met and id(r) not in reasons]
        if violated:
            self.gather(violated)
        worked = {
            (r.pair.source_label, r.pair.target_label, _version(r)) for r in results if r.reached
        }
        for number, result in enumerate(violated):
            evidence = self._evidence(result, worked)
            if number < _FOLLOWED:
                evidence = self._followed(result, evidence)
            reasons[id(result)] = diagnose(evidence)
        return [replace(r, finding=reasons.get(id(r))) for r in results]

    def _awaited(self, results: Sequence[Result]) -> Iterator[tuple[int, Finding]]:
        """Return the reason of pairs with a guest that lacks a sign, or shows none of life."""
        for result in results:
            ends = (result.pair.source, result.pair.target)
            unasked = {GuestState.NOT_READY, GuestState.SILENT}
            lacking = [vm for vm in ends if self.readiness.state(vm) in unasked]
            if lacking and not result.met:
                yield id(result), self.readiness.about(lacking[0])

    def _evidence(self, result: Result, worked: set[tuple[str, str, int]]) -> Evidence:
        pair, seen = result.pair, result.seen or Probed(None)
        network = self.plan.network(pair.network)
        address = result.address
        claimed = self.claims.get(pair.network, {})
        other = (pair.source_label, pair.target_label, 10 - _version(result)) in worked
        counted = result.loss or Loss(seen.sent, seen.sent - seen.answered)
        own = self.own_address(pair.source_key, _version(result))
        return Evidence(
            network=pair.network,
            source=self.end(pair.source_key, network),
            target=self.end(pair.target_key, network),
            address=address,
            asked=pair.asked,
            expected=pair.expected in {Expected.REACHES, Expected.EITHER},
            control=result.control,
            uplink=self.uplink(network, self._control(pair) or address),
            owners=claimed.get(address, ()) if address else (),
            source_address=own,
            source_owners=claimed.get(own, ()) if own else (),
            sent=counted.sent,
            answered=counted.sent - counted.lost,
            largest=self._largest(result) if result.vanished else seen.largest,
            packet=self._packet(result),
            missing=result.missing,
            other_family=other if address and result.reached is False else None,
            refused=seen.refused,
            note=result.note,
            untested=result.reached is None,
            value=seen.value,
        )

    def _control(self, pair: Pair) -> "Address | None":
        """Return who was asked whether foreign MACs pass, where a machine outside has asked."""
        machine = self.plan.hosts.get(pair.source)
        on = machine.on(self.plan.network(pair.network).subnet) if machine else ()
        return on[0] if on else None

    def _packet(self, result: Result) -> int:
        """Return how many bytes should have passed and did not; 0 when that is not the fault."""
        if result.vanished:
            return result.vanished
        size = result.pair.asked
        small = result.seen is not None and result.seen.largest > 0 and result.reached is False
        return round(size.number) if small and size.what is What.MTU else 0

    def _largest(self, result: Result) -> int:
        """Find the largest packet that comes through, from inside the source; 0 if nobody can."""
        pair, address = result.pair, result.address
        if not self.has_agent(pair.source) or address is None:
            return 0
        most = self.ends.packet(pair, address)
        if result.vanished < most:
            return most  # it is the small ones that do not pass
        try:
            question = Probe(CheckSpec(What.MTU, result.vanished), address)
            return self.ends.worker.do(MACHINE.probe, pair.source, question).largest
        except VmnetError:
            return 0

    def _followed(self, result: Result, evidence: Evidence) -> Evidence:
        """Do it again for one pair, and watch where its frames go."""
        pair = result.pair
        address = result.address
        if evidence.untested or address is None or os.geteuid() or not self._is_up(pair.source):
            return evidence
        devices = {
            Point.SOURCE: evidence.source.link,
            Point.UPLINK: evidence.uplink.name,
            Point.TARGET: evidence.target.link,
        }
        there = {point: name for point, name in devices.items() if self._open_to_listen(name, pair)}
        try:
            with Trace(there, Exchange(evidence.source.mac, address)) as trace:
                self._repeat(result, address)
            evidence = replace(
                evidence,
                sightings=trace.sightings,
                listened=frozenset(there),
                gone_by=trace.gone_by,
            )
        except VmnetError:
            pass  # a device went away meanwhile: what is known has to do
        near = self._near(pair, address, evidence)
        owners = tuple(dict.fromkeys((*evidence.owners, *near)))[:_MOST_MACS]
        return replace(evidence, owners=owners, near=near)

    def _open_to_listen(self, name: str, pair: Pair) -> bool:
        link = self.ends.facts.link(name)
        return bool(pair.network and link and link.up)

    def _is_up(self, end: str) -> bool:
        return end == HOST or end in self.plan.hosts or self.readiness.state(end).is_up

    def _repeat(self, result: Result, address: "Address") -> None:
        """Send a ping or two once more, from where it was measured."""
        pair = result.pair
        if pair.source == HOST:
            from provisioner.host.probe import neighbours

            device = host_device(self.plan, self.plan.network(pair.network))
            neighbours.ping([address], device=device, deadline_s=1.0, tries=2)
        elif machine := self.plan.hosts.get(pair.source):
            if machine.ssh:
                ssh_ping.ping(machine.ssh, {address: 2})
        elif self.has_agent(pair.source):
            do, sizes = self.ends.worker.do, {address: result.vanished}
            do(MACHINE.guest, pair.source, Guests.ping, {address: 2}, sizes)
        else:
            mesh.answered([self.ends.ask(pair, address)], _MESH_S)

    def _near(self, pair: Pair, address: "Address", evidence: Evidence) -> tuple[str, ...]:
        """Ask at the source's macvtap too who has the address: what is answered there counts."""
        if pair.source_key not in self.ends.nics or not evidence.source.up:
            return ()
        # Asked of everybody: whoever answers for the address is to be known.
        ask = replace(self.ends.ask(pair, address), target_mac="", target_device="")
        try:
            seen = mesh.answered([ask], _MESH_S).seen
        except VmnetError:
            return ()
        macs = seen[ask].macs if ask in seen else ()
        return (
            self.ends.rivals(pair.target_key, macs) if pair.target_key in self.ends.nics else macs
        )


def _version(result: Result) -> int:
    return result.address.version if result.address else 0
