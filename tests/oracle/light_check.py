"""vmnet's own check of a light network: all of it but libvirt and the guests' agents.

What a guest's agent would do, its light end does: it is alive or not, and pings by itself.
"""

import queue
import threading
import time
from collections.abc import Callable, Collection, Mapping
from ipaddress import ip_address
from typing import Any

from provisioner.check import surroundings
from provisioner.check.readiness import AgentSeen
from provisioner.check.result import Result
from provisioner.commands.check.control.controls import Controls
from provisioner.commands.check.endpoints import Endpoints
from provisioner.commands.check.measure import Measuring
from provisioner.commands.check.readiness import Readiness
from provisioner.commands.check.readiness_probes import ReadinessProbes
from provisioner.commands.check.surroundings import Surroundings
from provisioner.commands.session import on_host
from provisioner.errors import VmnetError
from provisioner.guest.domain import DomainNic
from provisioner.host.guest.commands import Guests
from provisioner.host.guest.pinging import Pinged
from provisioner.host.lab import switch_probe
from provisioner.host.machine import MACHINE
from provisioner.host.netlink import links
from provisioner.host.system import deadline
from provisioner.host.system.worker import Call, R, Worker
from provisioner.network import addressing
from provisioner.network.facts import Facts
from provisioner.plan.load.loader import load
from provisioner.plan.nic_id import NicId
from provisioner.reachability import external, pairs, user_checks
from provisioner.reachability.pairs import Pair
from tests.oracle.grammar import LightNetwork, Scenario
from tests.oracle.light_lab import HOST, LAN, LightLab, address, mac, tap
from tests.oracle.packets import Address
from tests.oracle.truth import PING_S, Cell

_NAMES = {"host": HOST, "gateway": LAN}
_READY_S = 20.0
_AGENT_S = 1.0


def checked(lab: LightLab, scenario: Scenario, began: Callable[[], None]) -> list[Result]:
    """Check a light network as `vmnet check` does; `began` is called when it starts to measure."""
    plan = load(_plan(scenario), "oracle.yaml").plan
    found, routes = links.observe()
    facts = Facts(links=found, routes=routes)
    nics = on_host(plan, addressing.assign(plan), facts)
    started = {
        NicId(_name(end), 0): DomainNic(tap(end), mac(end), 1500)
        for end in range(len(scenario.network.modes))
    }
    worker = _LightWorker(lab, scenario.typed)
    ends = Endpoints(plan, nics, started, facts, worker)
    began()
    try:
        reflects = switch_probe.reflects("nic0")
    except VmnetError:
        reflects = None
    measured = {} if reflects is None else {"nic0": reflects}
    promised = pairs.pairs(plan, nics, facts, measured)
    wanted = (*promised, *external.pairs(plan, nics), *user_checks.expand(plan, nics, promised))
    readiness = Readiness(ends, wanted, ReadinessProbes(ends, {}), lambda _: None)
    around = Surroundings(ends, readiness, lambda _: None)
    around.begin(frozenset(), frozenset())
    with Controls(ends, wanted, readiness) as controls:
        measuring = Measuring(ends, wanted, readiness, sees_late=controls.sees_answers)
        threads = measuring.start()
        readiness.settle([key.vm for key in started], _READY_S, time.monotonic(), frozenset())
        around.of_wires()
        for thread in threads:
            thread.join()
        if readiness.errors:
            raise readiness.errors[0]
        return surroundings.judged(controls.made(measuring.results, None), around.disputed)


def cell(pair: Pair, target: Address) -> Cell:
    """Return which cell of the oracle's a pair of vmnet's is."""
    return Cell(_number(pair.source), _number(pair.target), target.version)


def _number(name: str) -> int:
    return _NAMES[name] if name in _NAMES else int(name.removeprefix("e"))


def _name(end: int) -> str:
    return "host" if end == HOST else f"e{end}"


def _plan(scenario: Scenario) -> str:
    network = scenario.network
    gateways = ", ".join(f'"{address(LAN, version)}"' for version in (4, 6))
    vms = "\n".join(
        f"  {_name(n)}: {{nics: [{_nic(network, n)}]}}" for n in range(len(network.modes))
    )
    lines = ["auto", *(f"{_name(a)} -/> {_name(b)}" for a, b in scenario.forbidden)]
    return (
        "name: oracle\n"
        f'networks: {{lan: {{uplink: nic0, subnet: [10.9.0.0/24, "fd09::/64"],'
        f" gateway: [{gateways}]{', take_over: true' * network.takes_all}}}}}\n"
        f"vms:\n{vms}\nchecks: {lines}\n"
    )


def _nic(network: LightNetwork, end: int) -> str:
    four, six = (address(end, version) for version in (4, 6))
    mode = network.modes[end]
    words = [f"network: lan, mode: {mode}", f'address: [{four}/24, "{six}/64"]']
    if not network.takes_all:
        words.append(f'mac: "{mac(end)}"')
    if mode == "source":
        words.append(f"allow: {[mac(one) for one in sorted(network.lists[end])]}")
    return f"{{{', '.join(words)}}}"


class _LightWorker(Worker):
    """Calls in this process; those of a guest's agent are its light end's."""

    def __init__(self, lab: LightLab, typed: Collection[int]) -> None:
        self.until = None
        self.events = queue.SimpleQueue()
        self._typed = typed
        self._lab = lab
        self._locks = [threading.Lock() for _ in lab.ends]

    def _lives(self, end: int) -> bool:
        """Return whether an end does what it is told, as an agent does."""
        with self._locks[end]:
            said = self._lab.ends[end].ping({}, 0)
            return self._lab.ends[end].pinged(said, time.monotonic() + _AGENT_S) is not None

    def send(
        self,
        function: Callable[..., R],
        args: tuple[object, ...],
        kwargs: Mapping[str, object],
        within_s: float | None,
    ) -> Call[R]:
        """Do a call in a thread of its own."""
        call = Call[R]("", 60.0 if within_s is None else within_s)

        def work() -> None:
            deadline.begin(60.0)
            try:
                call.set_result(self._done(function, args, kwargs))
            except Exception as error:  # noqa: BLE001  (raised where the result is asked for)
                call.set_exception(error)

        threading.Thread(target=work, daemon=True).start()
        return call

    def _done(
        self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Any:  # noqa: ANN401  (what the function returns)
        if function == MACHINE.agent_seen:
            end = _number(args[0])
            return AgentSeen(answers=end in self._typed and self._lives(end), connected=True)
        if function != MACHINE.guest:
            return function(*args, **kwargs)
        vm, command, *words = args
        end = _number(vm)
        match command:
            case Guests.ping:
                return self._pinged(end, *words)
            case Guests.all_addresses if self._lives(end):
                return frozenset(map(ip_address, self._lab.ends[end].habits.addresses))
            case Guests.addresses if self._lives(end):
                return {mac(end): tuple(map(ip_address, self._lab.ends[end].habits.addresses))}
            case _:
                raise VmnetError("its light end is silent", fix="none is needed")

    def _pinged(
        self, end: int, targets: Mapping[Address, int], sizes: Mapping[Address, int], *_: object
    ) -> dict[Address, Pinged]:
        with self._locks[end]:
            said = self._lab.ends[end].ping(
                dict.fromkeys(targets, b"\x00\x01\x00\x01typed"), PING_S
            )
            until = time.monotonic() + PING_S + _AGENT_S
            answered = self._lab.ends[end].pinged(said, until)
        if answered is None:
            raise VmnetError("its light end is silent", fix="none is needed")
        return {target: Pinged(0.001, sizes.get(target, 0) or 84, 1) for target in answered}
