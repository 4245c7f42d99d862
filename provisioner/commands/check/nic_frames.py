"""Which NIC it is that answers, of guests with several on a network: frames at the macvtaps tell.

Each NIC is asked at the macvtap of the one that pings it, and the one that pings is asked back. So
the work grows as the pairs do, and plans without such guests send nothing. Each guest that pings is
asked once for its own addresses: what it has itself, it reaches without a frame.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from provisioner.check import nic_answers
from provisioner.check.nic_answers import NicAnswers
from provisioner.check.result import Result, Vantage
from provisioner.errors import VmnetError
from provisioner.host.guest.commands import Guests
from provisioner.host.machine import MACHINE
from provisioner.host.probe import mesh, neighbours
from provisioner.network.devices import host_device
from provisioner.plan.checks import HOST
from provisioner.plan.ip import Address
from provisioner.plan.nic_settings import settings_of
from provisioner.reachability.pairs import Pair

if TYPE_CHECKING:
    from provisioner.commands.check.endpoints import Endpoints
    from provisioner.plan.nic_id import NicId

_SILENT_S = 2.0  # until a NIC counts as silent
_CLAIM_S = 1.0

Ping = tuple[Pair, Address]


def by_nic(pings: Iterable[Ping]) -> list[list[Ping]]:
    """Split one guest's pings by the NIC that they are to leave by, where it has several."""
    parts: dict[int | None, list[Ping]] = {}
    for pair, address in pings:
        nic = pair.source_nic if pair.source_shares else None
        parts.setdefault(nic, []).append((pair, address))
    return list(parts.values())


class NicFrames:
    """What frames say of pings from inside; `own` returns the known addresses of a NIC."""

    def __init__(self, ends: "Endpoints", own: "Callable[[NicId], Sequence[Address]]") -> None:
        self._ends = ends
        self._own = own
        self._inside: dict[str, frozenset[Address]] = {}  # by VM: all that it has

    def sources(self, pings: Iterable[Ping]) -> dict[Address, Address]:
        """Return from which of its addresses a guest is to ping each, so that its NIC is meant."""
        bound = ((p.source_key, a) for p, a in pings if p.source_shares)
        found = ((address, self._alike(key, address)) for key, address in bound)
        return {address: source for address, source in found if source}

    def judged(self, vm: str, results: Iterable[Result]) -> list[Result]:
        """Return the results of pings from inside `vm`, as far as they are about their two NICs."""
        found = list(results)
        inside = [r for r in found if r.by is Vantage.AGENT]
        if not inside:
            return found
        own = self._addresses_inside(vm)
        found = [nic_answers.not_by_itself(r, own) if r.by is Vantage.AGENT else r for r in found]
        shared = {
            id(r): (r.pair, r.address)
            for r in found
            if r.by is Vantage.AGENT
            and r.address
            and (r.pair.source_shares or r.pair.target_shares)
        }
        answers = self._answers(list(shared.values())) if shared else {}
        return [
            nic_answers.at_its_nics(r, answers[shared[id(r)]]) if id(r) in shared else r
            for r in found
        ]

    def by_another(self, ping: Ping, seen: neighbours.Seen, by: Vantage) -> Result | None:
        """Return what it means that another answers for the asked NIC's address; None: it alone."""
        pair, address = ping
        if (nic := self._ends.nics.get(pair.target_key)) is None:
            return None
        macs = self._ends.rivals(pair.target_key, seen.macs)
        reached, note = nic_answers.owner(pair.target_label, nic.mac, macs)
        return Result(pair, address, reached, seen.seconds, note, by) if note else None

    def _addresses_inside(self, vm: str) -> frozenset[Address]:
        """Ask a guest for all of its addresses, once; none where its agent does not tell."""
        if vm not in self._inside:
            try:
                self._inside[vm] = self._ends.worker.do(MACHINE.guest, vm, Guests.all_addresses)
            except VmnetError:
                return frozenset()
        return self._inside[vm]

    def _answers(self, pings: Sequence[Ping]) -> dict[Ping, NicAnswers]:
        """Ask all NICs that these pings are about, by frames."""
        there = {ping: self._ends.ask(*ping) for ping in pings if self._is_near(ping)}
        back = {ping: ask for ping in pings if (ask := self._back(ping))}
        try:
            found = mesh.answered([*there.values(), *back.values()], _SILENT_S)
            answered = {ask for ask, seen in found.seen.items() if ask.target_mac in {"", seen.mac}}
            alive = {ping[0].source_key: False for ping in back}
            alive |= {ping[0].source_key: True for ping, ask in back.items() if ask in answered}
            silent = [p for p in pings if p[0].source_shares and not alive.get(p[0].source_key)]
            alive |= self._otherwise_alive(silent)
        except VmnetError as error:
            return {ping: NicAnswers(why=error.what) for ping in pings}
        return {
            ping: NicAnswers(
                there[ping] in answered if ping in there else None,
                alive.get(ping[0].source_key),
                found.untested.get(there[ping], "") if ping in there else "",
            )
            for ping in pings
        }

    def _is_near(self, ping: Ping) -> bool:
        """Return whether the target is on the wire itself, where ARP and ND ask for it."""
        pair, address = ping
        known = pair.target_key in self._ends.nics or pair.target == HOST
        return known or self._ends.is_near(pair, address)

    def _back(self, ping: Ping) -> mesh.Ask | None:
        """Return the question for the NIC that pings, asked at the macvtap of the guest pinged."""
        pair, address = ping
        source, target, nics = pair.source_key, pair.target_key, self._ends.nics
        at = self._alike(source, address) if pair.source_shares and target in nics else None
        if at is None:
            return None
        link = self._ends.link
        return mesh.Ask(link(target), nics[target].mac, at, nics[source].mac, link(source))

    def _otherwise_alive(self, pings: Sequence[Ping]) -> "dict[NicId, bool]":
        """Return which NICs answer the host that they ping, or else a synthetic wire.

        A NIC in mode source is asked by the host alone: it hears nobody who is not in its list.
        """
        ends, own = self._ends, self._own
        found: dict[NicId, bool] = {}
        for name in dict.fromkeys(pair.network for pair, _ in pings if pair.target == HOST):
            keys = {p.source_key for p, _ in pings if p.network == name and p.target == HOST}
            macs = {address: ends.nics[key].mac for key in keys for address in own(key)}
            device = host_device(ends.plan, ends.plan.network(name))
            seen = neighbours.neighbours(device, macs, deadline_s=_CLAIM_S)
            answered = {seen[a].mac for a in macs if a in seen}
            found |= {key: ends.nics[key].mac in answered for key in keys}
        left = {pair.source_key for pair, _ in pings if not found.get(pair.source_key)}
        modes = {key: settings_of(ends.plan, ends.plan.nic(key)).mode for key in left}
        asked = {key: own(key) for key, mode in modes.items() if not mode.has_source_list}
        alive = ends.who_has(asked, _CLAIM_S).alive
        return found | {key: key in alive for key in asked}

    def _alike(self, key: "NicId", other: Address) -> Address | None:
        """Return the address of a NIC that is of the same IP version as another."""
        return next((a for a in self._own(key) if a.version == other.version), None)
