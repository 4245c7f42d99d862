"""vmnet ip: the addresses that guests really have, found out without anything inside them."""

import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address

from provisioner.check.discovery import NicAddresses, NicObservations, judged
from provisioner.commands.access.link import nics_of
from provisioner.commands.check.endpoints import endpoints
from provisioner.commands.session import Session, begun
from provisioner.commands.target import CommandRun, PlanTarget
from provisioner.errors import VmnetError
from provisioner.host.guest.commands import Guests
from provisioner.host.machine import MACHINE
from provisioner.host.netlink import links
from provisioner.host.network import dnsmasq
from provisioner.host.probe import listen
from provisioner.network import frames
from provisioner.plan.ip import Address
from provisioner.plan.nic_id import NicId

_SWEPT = 1024  # addresses of a subnet that are asked for one by one: up to a /22
_ASK_S = 1.0
_SWEEP_S = 4.0
_FOUR = 4


def find(target: PlanTarget, run: CommandRun, words: str) -> list[NicAddresses]:
    """Find the addresses of the NICs that `words` means, "" for all; see the docs for the ways.

    Raises VmnetError when there is no such NIC, or the plan is not up.
    """
    plan = target.plan
    wanted = nics_of(plan, words) if words else tuple(key for key, _ in plan.nics())
    with begun(target, run) as session:
        search = _Search(session, wanted)
        return search.run(run.timeout_s)


class _Search:
    """One look for addresses: all ways side by side, under one deadline."""

    def __init__(self, session: Session, wanted: Iterable[NicId]) -> None:
        self._session = session
        self._plan = session.target.plan
        self._worker = session.worker
        self._ends = endpoints(session)
        self._wanted = [key for key in wanted if key in self._ends.started]
        if not self._wanted:
            raise VmnetError("none of these VMs is up", fix="bring the plan up: vmnet up")
        self._links = {key: self._ends.link(key) for key in self._wanted}
        self._macs = {key: session.nics[key].mac for key in self._wanted}
        static = {key: session.nics[key].static for key in self._wanted}
        self._observed = {key: NicObservations(static[key]) for key in self._wanted}
        self._by_mac: dict[str, NicId] = {mac: key for key, mac in self._macs.items()}

    def run(self, seconds: float) -> list[NicAddresses]:
        """Listen and ask, all at once; then sweep for those that are still unknown."""
        end = time.monotonic() + seconds
        with ThreadPoolExecutor(max_workers=3) as side_by_side:
            passive = side_by_side.submit(self._listen, min(seconds, _ASK_S))
            agents = side_by_side.submit(self._ask_agents, end)
            self._ask_wires(self._candidates())
            agents.result()
            passive.result()
        self._take_leases()
        self._ask_wires(self._unconfirmed())
        if not all(one.has_real for one in self._observed.values()) and time.monotonic() < end:
            self._ask_wires(self._sweep(), _SWEEP_S)
        return [self._judged(key) for key in self._wanted]

    def _listen(self, seconds: float) -> None:
        devices = {link: key for key, link in self._links.items()}
        try:
            heard = listen.listen(devices.keys(), seconds)
        except VmnetError as error:
            self._session.tell(f"cannot listen: {error.what}")
            return
        for one in heard:
            key = devices[one.device]
            if one.from_guest and one.mac != self._macs[key] and not self._is_ours(one.mac):
                self._observed[key].others.add(one.mac)
            if one.claim and self._by_mac.get(one.claim.mac) == key:
                self._note(key, one.claim.address, f"seen in {one.claim.how}")

    def _is_ours(self, mac: str) -> bool:
        return any(link.mac == mac for link in self._session.snapshot.facts.links)

    def _ask_agents(self, end: float) -> None:
        ready = set(self._worker.do(MACHINE.agents))
        for vm in dict.fromkeys(key.vm for key in self._wanted):
            if vm not in ready:
                continue
            try:
                limited = self._worker.within(max(_ASK_S, end - time.monotonic()))
                found = limited.do(MACHINE.guest, vm, Guests.addresses)
            except VmnetError:
                continue  # it hangs: the other ways have to do
            for mac, addresses in found.items():
                self._note_of(mac, addresses, "the guest agent says so")

    def _take_leases(self) -> None:
        for mac, address in self._worker.do(dnsmasq.leases, self._plan.name).items():
            self._note_of(mac, [ip_address(address)], "its DHCP lease")

    def _note_of(self, mac: str, addresses: Iterable[Address], how: str) -> None:
        if (key := self._by_mac.get(mac)) is not None:
            for address in addresses:
                self._note(key, address, how)

    def _candidates(self) -> dict[NicId, set[Address]]:
        """List what may be theirs: planned addresses, and the link-local one of each MAC."""
        return {
            key: {*self._session.nics[key].static, frames.link_local(self._macs[key])}
            for key in self._wanted
        }

    def _unconfirmed(self) -> dict[NicId, set[Address]]:
        return {
            key: {a for a in heard.claims if a not in heard.answers}
            for key, heard in self._observed.items()
        }

    def _sweep(self) -> dict[NicId, set[Address]]:
        """List all addresses of small IPv4 subnets, for NICs whose own is still unknown."""
        found: dict[NicId, set[Address]] = {}
        for key in self._wanted:
            network = self._plan.network_of(key)
            small = [s for s in network.subnet if s.version == _FOUR and s.num_addresses <= _SWEPT]
            if small and not self._observed[key].has_real:
                found[key] = set(small[0].hosts())
        return found

    def _ask_wires(self, asked: Mapping[NicId, set[Address]], seconds: float = _ASK_S) -> None:
        """Ask on each uplink, by the LAN and by a synthetic wire, which reaches every mode."""
        answers = self._ends.who_has(asked, seconds)
        for uplink, what in answers.failed.items():
            self._session.tell(f"nobody on {uplink} can be asked: {what}")
        for key, found in answers.macs.items():
            for address, macs in found.items():
                ours = {self._by_mac[mac] for mac in macs if mac in self._by_mac}
                for one in ours:
                    self._note(one, address, "answers ARP/ND")
                for one in ours | {key}:
                    self._observed[one].answers[address] = macs

    def _note(self, key: NicId, address: Address, how: str) -> None:
        self._observed[key].claims.setdefault(address, []).append(how)

    def _judged(self, key: NicId) -> NicAddresses:
        heard = self._observed[key]
        network = self._plan.network_of(key)
        heard.frames = self._worker.do(links.sent, self._links[key])
        config = self._session.nics[key]
        nic = NicAddresses(*key, network.name, config.mac)
        return judged(nic, heard, has_subnet=bool(network.subnet))
