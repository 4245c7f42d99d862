"""Questions about one address each: a check of the user's, or a ping to or from another machine.

What has a deadline is asked again until it holds or the deadline has passed: services start late.
"""

import math
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from provisioner.check.result import Probed, Result, Vantage
from provisioner.commands.check.endpoints import Endpoints
from provisioner.errors import VmnetError
from provisioner.host.machine import MACHINE
from provisioner.host.probe import host_checks, neighbours, ssh_ping
from provisioner.plan.checks import Probe
from provisioner.plan.ip import Address
from provisioner.reachability.pairs import Expected, Pair

if TYPE_CHECKING:
    from provisioner.plan.hosts import ExternalHost

_TRIES = {Expected.REACHES: 4}
_OTHER_TRIES = 2
_HOST_DEADLINE_S = {Expected.REACHES: 4.0}
_OTHER_DEADLINE_S = 1.0
_PAUSE_S = 0.5  # between two tries of what has a deadline

Target = tuple[Pair, Address | None]
Ping = tuple[Pair, Address]


def in_guest(ends: Endpoints, target: Target) -> Result:
    """Ask from inside its source what a check of the user's asks."""
    pair, address = target
    peer = pair.target if any(pair.target == key.vm for key in ends.nics) else ""
    mtu = ends.mtu(pair.source_key)
    question = Probe(pair.asked, address, pair.within_s, mtu, peer)

    def ask(question: Probe) -> Probed:
        return ends.worker.do(MACHINE.probe, pair.source, question)

    return _probed(target, question, ask, Vantage.AGENT)


def of_host(target: Target) -> Result:
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


def from_machine(machine: "ExternalHost", batch: Sequence[Ping]) -> Iterable[Result]:
    """Ping from another machine; what cannot be logged in to is not measured, never down."""
    if machine.ssh is None:
        return [untested(target, "nobody knows how to log in there") for target in batch]
    wanted: dict[Address, int] = {}
    for pair, address in batch:
        wanted[address] = max(wanted.get(address, 0), tries(pair))
    try:
        seen = ssh_ping.ping(machine.ssh, wanted)
    except VmnetError as error:
        return [untested(target, error.what) for target in batch]
    return [_by_machine(target, seen[target[1]]) for target in batch]


def _by_machine(target: Target, found: Probed) -> Result:
    by, sent = (None, 1) if found.reached is None else (Vantage.PEER, max(found.sent, 1))
    return Result(*target, found.reached, found.seconds, found.note, by, sent)


def to_machines(targets: Sequence[Ping]) -> Iterable[Result]:
    """Ping machines that are not guests from the host's stack, by whatever way it takes."""
    longest = max((deadline(pair) for pair, _ in targets), default=0.0)
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


def untested(target: Target, note: str) -> Result:
    """Return the result of what was not measured, and why."""
    return Result(*target, None, note=note)


def tries(pair: Pair) -> int:
    """Return how often to ping, a second a time."""
    usual = _TRIES.get(pair.expected, _OTHER_TRIES)
    return max(1, math.ceil(pair.within_s)) if pair.within_s else usual


def deadline(pair: Pair) -> float:
    """Return how long the host waits for an answer to its pings, in seconds."""
    return pair.within_s or _HOST_DEADLINE_S.get(pair.expected, _OTHER_DEADLINE_S)
