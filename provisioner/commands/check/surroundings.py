"""Look around the cells in every check: the state of the links, and who else is on the wires."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from provisioner import naming
from provisioner.check import surroundings
from provisioner.check.evidence import Uplink
from provisioner.check.result import Finding
from provisioner.commands.check.diagnosis.evidence import EvidenceCollector
from provisioner.commands.check.endpoints import Endpoints
from provisioner.commands.check.readiness import Readiness
from provisioner.commands.target import Tell
from provisioner.errors import VmnetError
from provisioner.host.netlink import links
from provisioner.host.probe import outside as outside_of
from provisioner.network.facts import Chosen
from provisioner.reachability import services
from provisioner.reachability.pairs import Pair

if TYPE_CHECKING:
    from provisioner.commands.session import Session
    from provisioner.plan.ip import Address

_CLAIM_S = 1.0


@dataclass
class Surroundings:
    """What stands around the cells of one check."""

    ends: Endpoints
    readiness: Readiness
    tell: Tell

    def rivals(self) -> tuple[Finding, ...]:
        """Find the guests' addresses that other machines answer for too, on all uplinks at once."""
        return tuple(self._rivals())

    def _rivals(self) -> Iterator[Finding]:
        ready = self.readiness
        known = {key: ready.addresses(key) for key in self.ends.nics if ready.state(key.vm).is_up}
        answers = self.ends.who_has(known, _CLAIM_S)
        for what in answers.failed.values():
            self.tell(f"nobody could be asked for rivals: {what}")
        for key, found in answers.macs.items():
            vm, mac = key.vm, self.ends.nics[key].mac
            for address, macs in found.items():
                if others := [one for one in macs if one != mac]:
                    yield Finding(
                        f"{address} of {vm} is used twice: {', '.join(others)} answers for it too",
                        f"give {vm} another address, or find that machine and take the address "
                        "from it",
                        (f"asked who has {address}: {', '.join(macs)} answered; {vm} is {mac}",),
                        vm,
                    )

    def of_links(self, told: Sequence[Finding]) -> tuple[Finding, ...]:
        """Return what is wrong with links now, but for macvtaps that `told` is about already."""
        return tuple(self._of_links(told))

    def _of_links(self, told: Sequence[Finding]) -> Iterator[Finding]:
        try:
            now = replace(self.ends.facts, links=tuple(self.ends.worker.do(links.every)))
        except VmnetError as error:
            self.tell(f"the links could not be looked at: {error.what}")
            return
        seen = EvidenceCollector(replace(self.ends, facts=now), self.readiness, {})
        plan = self.ends.plan
        ends = [
            seen.end(key, plan.network_of(key))
            for key in self.ends.started
            if key in self.ends.nics and plan.nic(key).link == "up"
        ]
        uplinks: dict[str, Uplink] = {}
        for network in plan.networks:
            if network.granted:
                continue  # what its devices stand on is root's
            link = now.link(network.uplink or "")
            uplink = seen.uplink(network, None)
            if network.vlan and link and not (link.up and link.carrier):
                uplink = Uplink(link.name, up=link.up, carrier=link.carrier)
            uplinks[uplink.name] = uplink
        yield from surroundings.of_links(uplinks.values(), ends, told)


def of_services(session: "Session", promised: Sequence[Pair]) -> list[Pair]:
    """Return what guests are to get of the host besides its answers: names, and a way out by NAT.

    Where nobody beyond this host answers it, a guest's way out cannot be measured: that is told.
    """
    plan = session.target.plan
    links_now = session.snapshot.facts.links
    ours = {link.index for link in links_now if naming.are_ours(link.name, link.kind)}
    outside: tuple[Address, ...] = ()
    if nat := [network.name for network in plan.networks if network.does_nat]:
        try:
            outside = session.worker.do(outside_of.reached, ours)
        except VmnetError as error:
            session.tell(f"nobody beyond this host could be asked: {error.what}")
        found = ", ".join(map(str, outside))
        chosen = Chosen(f"asked of {found}", "this host reaches it beyond its own networks")
        if not outside:
            chosen = Chosen("not measured", "no router of this host's answers its ping")
        session.chosen[f"NAT of {', '.join(nat)}"] = chosen
    agents = {domain.vm for domain in session.domains if domain.image.agent}
    return list(services.pairs(plan, session.nics, promised, outside, agents))
