"""Find out why expectations were not met: gather what can be seen, and have it diagnosed.

What concerns an end (its macvtap, its guest's own view, who answers for its address) is looked at
once; frames are followed for a few pairs only, since most red cells of one plan share a cause.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

from provisioner.check.diagnosis import by_host
from provisioner.check.diagnosis.diagnose import diagnose, is_plain, merged
from provisioner.check.evidence import Evidence
from provisioner.check.loss import Loss
from provisioner.check.result import Finding, Probed, Result
from provisioner.commands.check.diagnosis.evidence import EvidenceCollector
from provisioner.commands.check.diagnosis.follow import Follower
from provisioner.errors import VmnetError
from provisioner.host.machine import MACHINE
from provisioner.network import nftables
from provisioner.plan.checks import HOST, PING, CheckSpec, Probe, What
from provisioner.plan.nic_id import NicId
from provisioner.reachability.pairs import Expected, Pair

if TYPE_CHECKING:
    from provisioner.plan.ip import Address

_Question = tuple[NicId, CheckSpec, int]
_Reached = dict[_Question, set[str]]

_SIZED = 3  # pairs of which the largest packet that passes is searched, some 5 s each
_FOLLOWED = 8  # pairs whose frames are followed
_OTHERS = 3  # of those that a target answers


class Diagnosis(EvidenceCollector):
    """One look at everything around the expectations that were not met, and what is wrong."""

    def explained(self, results: Sequence[Result]) -> list[Result]:
        """Return the results again, each that is not as expected with the reason that was found."""
        reasons = dict(self._awaited(results))
        violated = [r for r in results if not r.met and id(r) not in reasons]
        if violated:
            self.gather(violated)
        reached = _reached(results)
        known = {id(r): self._evidence(r, reached) for r in violated}
        sized = [r for r in violated if r.vanished]
        with ThreadPoolExecutor(max_workers=_SIZED) as side_by_side:
            searched = [i < _SIZED for i in range(len(sized))]
            sizes = list(side_by_side.map(self._largest, sized, searched))
        for result, largest in zip(sized, sizes, strict=True):
            known[id(result)] = replace(known[id(result)], largest=largest)
        # A silence that is expected has a control, which has watched its frames already.
        # A size that was searched for has been asked for once more already.
        plain = {id(r) for r in violated if is_plain(known[id(r)])}
        alien = {id(r): x for r in violated if id(r) not in plain and (x := self._alien(r))}
        clear = plain | alien.keys()
        unclear = [r for r in violated if not (r.control or known[id(r)].largest or id(r) in clear)]
        some = _most_different(unclear)[:_FOLLOWED]
        followed = Follower(self).followed([(r, known[id(r)]) for r in some])
        known |= {id(r): evidence for r, evidence in zip(some, followed, strict=True)}
        alike = [(e, diagnose(e)) for e in known.values() if e.listened]
        reasons |= {number: diagnose(e, alike) for number, e in known.items()}
        found = [(known[id(r)], reasons[id(r)]) for r in violated]
        told = by_host.shared(found, self._drift_of("nat"), self._drift_of("dhcp"))
        reasons |= zip(map(id, violated), told, strict=True)
        reasons |= alien
        reasons = dict(zip(reasons, merged(list(reasons.values())), strict=True))
        return [replace(r, finding=reasons.get(id(r))) for r in results]

    def _alien(self, result: Result) -> Finding | None:
        """Return that an end of a pair has an address outside of the plan's subnets, if it has."""
        own = self.own_address(result.pair.source_key, _version(result))
        ends = (end for end in (result.address, own) if end)
        return next(filter(None, map(self.aliens.get, ends)), None)

    def _drift_of(self, kind: str) -> dict[str, Finding]:
        """Return by network what `up` would do with its NAT, or its dnsmasq."""
        plan, names = self.plan.name, [network.name for network in self.plan.networks]
        titles = {
            n: f"{kind} {nftables.table_name(plan, n) if kind == 'nat' else n}" for n in names
        }
        return {
            name: finding
            for name, title in titles.items()
            for finding in self.drift
            if title in finding.about.split(", ")
        }

    def _awaited(self, results: Sequence[Result]) -> Iterator[tuple[int, Finding]]:
        """Return the reason of pairs with a guest that is not up: what is told of that guest."""
        for result in results:
            ends = (result.pair.source, result.pair.target)
            down = [vm for vm in ends if self.readiness.state(vm).is_down]
            if down and not result.met:
                yield id(result), self.readiness.about(down[0])

    def _evidence(self, result: Result, reached: _Reached) -> Evidence:
        pair, seen = result.pair, result.seen or Probed(None)
        network = self.plan.network(pair.network)
        address = result.address
        claimed = self.claims.get(pair.network, {})
        others = reached.get(_asked(result), set()) - {pair.source_label}
        other = pair.source_label in reached.get((pair.target_key, PING, 10 - _version(result)), ())
        counted = result.loss or Loss(seen.sent, seen.sent - seen.answered)
        machine = self._control(pair)
        own = self.own_address(pair.source_key, _version(result))
        if pair.source == HOST and network.switch:
            own = next((a for a in network.switch_addresses if a.version == _version(result)), None)
        if machine and machine.version == _version(result):
            own = machine
        return Evidence(
            network=pair.network,
            source=self.end(pair.source_key, network),
            target=self.end(pair.target_key, network),
            address=address,
            asked=pair.asked,
            expected=pair.expected in {Expected.REACHES, Expected.EITHER},
            control=result.control,
            uplink=self.uplink(network, machine or address),
            owners=claimed.get(address, ()) if address else (),
            source_address=own,
            source_owners=claimed.get(own, ()) if own else (),
            sent=counted.sent,
            answered=counted.sent - counted.lost,
            largest=seen.largest,
            packet=self._packet(result),
            missing=result.missing,
            other_family=other if address and result.reached is False else None,
            refused=seen.refused,
            note=result.note,
            measured_at=_times(result),
            answers_others=tuple(sorted(others)[:_OTHERS]),
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

    def _largest(self, result: Result, search: bool) -> int:  # noqa: FBT001
        """Return the largest packet that comes through, from inside the source; 0: not known."""
        pair, address = result.pair, result.address
        if address is None:
            return 0
        most = self.ends.packet(pair, address)
        if result.vanished < most:
            return most  # it is the small ones that do not pass
        if not search or not self.has_agent(pair.source):
            return 0
        try:
            # It is known that the wanted ones do not pass: as if the guest did not send them.
            own_mtu = result.vanished - 1
            question = Probe(CheckSpec(What.MTU, result.vanished), address, own_mtu=own_mtu)
            return self.ends.worker.do(MACHINE.probe, pair.source, question).largest
        except VmnetError:
            return 0


def _version(result: Result) -> int:
    return result.address.version if result.address else 0


def _times(result: Result) -> str:
    """Return the times of day between which something was measured."""
    if result.measured is None:
        return ""
    ends = (time.strftime("%H:%M:%S", time.localtime(x)) for x in result.measured)
    return "-".join(dict.fromkeys(ends))


def _asked(result: Result) -> _Question:
    return result.pair.target_key, result.pair.asked, _version(result)


def _reached(results: Iterable[Result]) -> _Reached:
    """Return who has reached what: for each target, question and version of IP its sources."""
    found: _Reached = {}
    for r in results:
        if r.reached:
            found.setdefault(_asked(r), set()).add(r.pair.source_label)
    return found


def _most_different(violated: Sequence[Result]) -> list[Result]:
    """Order results so that each end and IP version comes early: most pairs share a cause."""
    first, rest = list[Result](), list[Result]()
    covered: set[object] = set()
    for r in violated:
        ends = {(end, n, _version(r)) for n, end in enumerate((r.pair.source, r.pair.target))}
        (rest if ends <= covered else first).append(r)
        covered |= ends
    return first + rest
