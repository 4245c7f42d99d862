"""Make a control for each silence that is expected: was it isolation, or only silence.

While others measure, a log keeps which questions left which devices. When all is measured, pings
are put in at each uplink for both ends of each silent pair, services are asked where they must
answer, and somebody beyond the uplink is looked for. So every control comes after its question.
"""

import os
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Final, Self

from provisioner.check import isolation
from provisioner.check.isolation import Control, ControlBy, EndControl
from provisioner.check.result import Result, Vantage
from provisioner.commands.check.control.targets import TargetControls, asked
from provisioner.commands.check.control.uplinks import UplinkControls
from provisioner.commands.check.endpoints import Endpoints
from provisioner.commands.check.readiness import Readiness
from provisioner.host.guest.commands import Guests
from provisioner.host.machine import MACHINE
from provisioner.host.probe.control import Enough
from provisioner.host.probe.question_log import QuestionLog
from provisioner.network.devices import host_device, host_mac, uplink_of
from provisioner.plan.checks import HOST, PING
from provisioner.plan.choices import LinkState, Mode
from provisioner.plan.nic_settings import settings_of
from provisioner.reachability.pairs import Expected, Pair

if TYPE_CHECKING:
    from provisioner.plan.ip import Address
    from provisioner.plan.nic_id import NicId

_NEED_S: Final = 3.5
_HERE: Final = EndControl(ControlBy.THIS_HOST, 0.0)
_NO_FRAMES: Final = "no frame can be seen without CAP_NET_RAW, and not both have reached somebody"


class Controls:
    """The controls of one check: enter it before anything is measured."""

    def __init__(self, ends: Endpoints, pairs: Iterable[Pair], readiness: Readiness) -> None:
        self._ends, self._plan, self._readiness = ends, ends.plan, readiness
        self._pairs = [p for p in pairs if p.expected is not Expected.REACHES]
        self._log: QuestionLog | None = None
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        if not self._pairs or os.geteuid():
            return self
        outside = any(p.source in self._plan.hosts for p in self._pairs)
        devices = {nic.link for nic in self._ends.started.values()}
        for network in map(self._plan.network, {p.network for p in self._pairs}):
            devices |= {uplink_of(self._plan.name, network), host_device(self._plan, network)}
        try:
            self._log = self._stack.enter_context(QuestionLog(devices, of_others=outside))
        except OSError:
            self._log = None  # without CAP_NET_RAW
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def sees_answers(self) -> bool:
        """Whether an answer is seen that comes only after its question was given up."""
        return self._log is not None

    def made(self, results: Sequence[Result], last: float | None) -> list[Result]:
        """Return the results again, each silence that is expected with its control.

        It takes at most a few seconds; `last` is the time.monotonic() when all must be over.
        """
        silent = [r for r in results if r.is_silence]
        if self._log:
            if last is None or last - time.monotonic() > _NEED_S:
                self._ask_again(self._log, silent)
            self._let_speak(self._log, silent)
            self._log.stop()
        if not silent:
            return list(results)
        if last is not None and last - time.monotonic() < _NEED_S:
            found = {id(r): _unseen("--timeout leaves no time for a control") for r in silent}
        elif self._log is None:
            targets = TargetControls(self._ends, self._readiness, results)
            found = {id(r): self._by_agents(r, targets, results) for r in silent}
        else:
            found = self._seen(self._log, silent, results)
        return [_with_control(r, found[id(r)]) if id(r) in found else r for r in results]

    def _ask_again(self, log: QuestionLog, silent: Sequence[Result]) -> None:
        """Have guests ping anew what they were not seen to ask for.

        A kernel that looks for a neighbour sends no more for another ping: a check just before this
        one, or a program of the guest's, may have begun that. After 3 s at most it has given up,
        and the next ping begins anew. An answer is seen in the log.
        """
        asks: dict[str, dict[Address, int]] = {}
        for r in silent:
            by_ping = r.by is Vantage.AGENT and r.pair.asked == PING
            if by_ping and r.address and not Question(self._ends, r.pair, log).was_seen(r.address):
                asks.setdefault(r.pair.source, {})[r.address] = 1
        call = self._ends.worker.call
        wait([call(MACHINE.guest, vm, Guests.ping, asked) for vm, asked in asks.items()])

    def _let_speak(self, log: QuestionLog, silent: Sequence[Result]) -> None:
        """Have guests that no frame can be put in for send one, if they have sent none yet."""
        wires = UplinkControls(self._ends, self._readiness)
        asks: dict[str, dict[Address, int]] = {}
        for r in silent:
            if r.address and Question(self._ends, r.pair, log).is_target_mute(wires):
                asks[r.pair.target] = {wires.stranger(r.pair.target_key, r.address): 1}
        call = self._ends.worker.call
        wait([call(MACHINE.guest, vm, Guests.ping, asked) for vm, asked in asks.items()])

    def _seen(
        self, log: QuestionLog, silent: Sequence[Result], results: Sequence[Result]
    ) -> dict[int, Control]:
        """Have the ends of all silent pairs asked side by side; return what came of it."""
        wires = UplinkControls(self._ends, self._readiness)
        targets = TargetControls(self._ends, self._readiness, results)
        ways = {}
        asking = [r for r in silent if not self._known(r)]
        for r in asking:
            question = Question(self._ends, r.pair, log)
            if r.address:
                wires.add(r.pair, r.address, question.enough(r.address))
            closed = question.to_guest and wires.allowed_mac(r.pair.target_key) is None
            if way := targets.way(r, closed=closed):
                ways[asked(r)] = way
        wires.start()
        with ThreadPoolExecutor(max_workers=16) as side_by_side:
            jobs = {what: side_by_side.submit(way) for what, way in ways.items()}
        answers = {what: job.result() for what, job in jobs.items()}
        found = {id(r): known for r in silent if (known := self._known(r))}
        for r in asking:
            if self._plan.network(r.pair.network).granted:
                found[id(r)] = self._by_agents(r, targets, results)
            else:
                question = Question(self._ends, r.pair, log)
                found[id(r)] = _put_together(r, question, wires, targets, answers.get(asked(r)))
        return found

    def _known(self, result: Result) -> Control | None:
        """Return the control of what needs none: a link that the plan has cut, another answer."""
        for key in (result.pair.source_key, result.pair.target_key):
            if key in self._ends.nics and self._plan.nic(key).link is LinkState.DOWN:
                return Control(_HERE, _HERE, cut=f"the link of {key.vm} is down, as the plan says")
        machine = self._plan.hosts.get(result.pair.target)
        for nic in machine.nics if machine else ():
            if nic.link is LinkState.DOWN and result.address in nic.addresses:
                cut = f"the link of {result.pair.target} is down, as the plan says"
                return Control(_HERE, _HERE, cut=cut)
        seen = result.seen
        if seen and (seen.value or seen.answered or seen.largest):
            answer = EndControl(ControlBy.ANSWER, 0.0)
            return Control(answer, answer, asked=True, left=None)
        return None

    def _by_agents(
        self, result: Result, targets: TargetControls, results: Sequence[Result]
    ) -> Control:
        """Judge without a right to see frames: both have reached somebody, in this check."""
        if known := self._known(result):
            return known
        pair, vms = result.pair, {key.vm for key in self._ends.nics}
        reached = {r.pair.source for r in results if r.reached}
        if {pair.source, pair.target} & vms - reached:
            return _unseen(_NO_FRAMES)

        def alive(end: str) -> EndControl:
            return targets.alive(end) if end in vms else EndControl(ControlBy.OTHERS, 0.0)

        return Control(alive(pair.source), alive(pair.target), asked=True, left=None)


class Question:
    """What a log has seen of the question of one pair."""

    def __init__(self, ends: Endpoints, pair: Pair, log: QuestionLog) -> None:
        self._ends, self._pair, self._log = ends, pair, log
        self._network = ends.plan.network(pair.network)
        self.uplink = uplink_of(ends.plan.name, self._network)
        self.from_guest, self.to_guest = (
            k in ends.nics for k in (pair.source_key, pair.target_key)
        )
        self.from_machine = pair.source in ends.plan.hosts

    def was_seen(self, address: "Address | None") -> bool:
        """Return whether it was seen to leave its source; a machine's, to come in."""
        if self.from_machine:
            return address is not None and self._log.asked(self.uplink, "", address, outgoing=False)
        # What is asked by name asks the resolvers first.
        by_name = self._ends.nics[self._pair.source_key].dns if self.from_guest else ()
        wanted = (address,) if address else by_name
        return any(self._log.asked(*way, one) for way in self._ways_out for one in wanted)

    def enough(self, address: "Address") -> Enough:
        """Return what the target must answer: who-has, when its MAC was asked for first."""
        asked_for_mac = any(self._log.asked_for_mac(*way, address) for way in self._ways_out)
        return Enough.WHO_HAS if asked_for_mac and not self.from_machine else Enough.PING

    def has_left(self, address: "Address | None") -> bool | None:
        """Return whether a guest's left by the uplink; None where it need not go there."""
        if not (self.from_guest and address) or not (self.to_guest or self._pair.target == HOST):
            return None  # routes say by which uplink
        modes = [self._mode(k) for k in (self._pair.source_key, self._pair.target_key)]
        if all(mode is Mode.BRIDGE for mode in modes):
            return None  # handed from macvtap to macvtap
        return self._log.asked(self.uplink, self._ends.nics[self._pair.source_key].mac, address)

    def was_answered(self, address: "Address | None") -> bool:
        """Return whether an answer came to the source: to its macvtap, or its NIC of this host.

        What is sent to a MAC that the host shares with the guest has come to the guest.
        """
        if self.from_machine or not address:
            return False
        mode = self._mode(self._pair.target_key)
        if not self.from_guest and mode and mode.takes_uplink_mac:
            return False
        return any(self._log.answered(*way, address) for way in self._ways_out)

    def has_gone_astray(self, address: "Address | None", own: "Address | None") -> str:
        """Say which packets between two guests have gone to a MAC that the other has not; or ""."""
        if not (self.from_guest and self.to_guest):
            return ""
        source, target, nics = self._pair.source_key, self._pair.target_key, self._ends.nics
        for sender, receiver, to in ((source, target, address), (target, source, own)):
            if to is None:
                continue
            theirs = {nic.mac for key, nic in nics.items() if key.vm == receiver.vm}
            hops = self._log.next_hops(self._ends.link(sender), nics[sender].mac, to)
            if hops and not hops & theirs:
                return (
                    f"what {sender.vm} sent to {to} of {receiver.vm} went to the MAC {min(hops)}, "
                    f"which {receiver.vm} does not have"
                )
        return ""

    def is_target_mute(self, wires: UplinkControls) -> bool:
        """Return whether no frame can be put in for the target, and none was seen to leave it."""
        key = self._pair.target_key
        if not self.to_guest or wires.allowed_mac(key) is not None:
            return False
        return not self._log.spoke(self._ends.link(key), self._ends.nics[key].mac)

    def _mode(self, key: "NicId") -> Mode | None:
        nics, plan = self._ends.nics, self._ends.plan
        return settings_of(plan, plan.nic(key)).mode if key in nics else None

    @cached_property
    def _ways_out(self) -> list[tuple[str, str]]:
        """The devices by which the question may leave, and the MAC that it has there."""
        plan, pair = self._ends.plan, self._pair
        if not self.from_guest:
            mac = host_mac(plan, self._network, self._ends.facts)
            return [(host_device(plan, self._network), mac)]
        near = self.to_guest or pair.target == HOST
        keys = [pair.source_key] if near else [k for k in self._ends.nics if k.vm == pair.source]
        return [(self._ends.link(key), self._ends.nics[key].mac) for key in keys]


def _put_together(
    result: Result,
    question: Question,
    wires: UplinkControls,
    targets: TargetControls,
    answer: EndControl | None,
) -> Control:
    pair, address = result.pair, result.address
    at = wires.found.get(question.uplink)
    if at and at.why:
        return replace(_unseen(at.why), path=at.path)

    def end(name: str, key: "NicId", of: "Address | None", enough: Enough) -> EndControl:
        one = wires.injected(key, of, enough)
        if one:
            by = ControlBy.PING if enough is Enough.PING else ControlBy.WHO_HAS
            return EndControl(by, at.answered.get(one) if at else None)
        if name == HOST:
            return _HERE
        if name == pair.source and question.from_machine:
            return EndControl(ControlBy.LOGIN, 0.0)  # it has said that nothing came back
        return targets.alive(name)

    enough = question.enough(address) if address else Enough.PING
    own = wires.own_address(pair, address) if address else None
    return Control(
        end(pair.source, pair.source_key, own, Enough.WHO_HAS_ALONE),
        answer or end(pair.target, pair.target_key, address, enough),
        asked=question.was_seen(address),
        left=question.has_left(address),
        answered=question.was_answered(address),
        astray=question.has_gone_astray(address, own),
        mute=question.is_target_mute(wires),
        path=at.path if at else None,
    )


def _with_control(result: Result, control: Control) -> Result:
    made = replace(result, control=control)
    if made.not_shown:
        return made
    shown = isolation.told(result.pair.target, control)
    return replace(made, note="; ".join(filter(None, (result.note, shown))))


def _unseen(why: str) -> Control:
    return Control(EndControl(ControlBy.PING), EndControl(ControlBy.PING), why_not=why)
