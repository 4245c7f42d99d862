"""What happens to a plan's links, QEMUs and agents while nobody measures: told by events.

The kernel tells of links (rtnetlink) and of processes that end (pidfd_open(2)). It has no event for
a process that is stopped, nor for a guest that falls silent: these are looked at again and again.
"""

import os
import select
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Self

from provisioner.dataclass import dataclass
from provisioner.host.guest import agent_pulse
from provisioner.host.libvirt.qemu_process import process_state
from provisioner.host.netlink.link_events import LinkEvents, LinkState, RuleEvents, states
from provisioner.host.network import nftables
from provisioner.network import nft_ruleset
from provisioner.network.devices import uplink_of

if TYPE_CHECKING:
    from provisioner.commands.target import PlanTarget

_PULSE_S: Final = 0.4  # between two questions to the agents
_BACK_S: Final = 0.3  # that one that had fallen silent has to answer
SILENT_S: Final = 1.5
"""Seconds that an agent has for a sign of life. With the pause before, silence is told in 2 s."""


class EventSource(StrEnum):
    """Who tells that something has happened."""

    KERNEL = "kernel"
    LIBVIRT = "libvirt"
    AGENT = "agent"


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that has happened to a plan: of whom, to which VM or device, and in words."""

    source: EventSource
    kind: str
    text: str
    vm: str = ""
    device: str = ""

    def __str__(self) -> str:
        """Return it in words."""
        return self.text


@dataclass(frozen=True, slots=True)
class WatchedVm:
    """A VM that runs, as a report has it: its QEMU, and the ifindexes of its macvtaps."""

    name: str
    pid: int
    taps: tuple[int, ...]


class Happenings:
    """The happenings around one plan; enter it, and tell it after each round who runs."""

    def __init__(self, plan: str, connection: str, uplinks: Iterable[str]) -> None:
        self._plan = plan
        self._connection = connection
        self._uplinks = tuple(uplinks)
        self._stack = ExitStack()
        self._links = LinkEvents()
        self._rules = None if os.geteuid() else RuleEvents()
        self._tables: set[str] = set()  # of the plan's, at the last look
        self._states: dict[str, LinkState] = {}
        self._taps: dict[str, str] = {}  # macvtap to VM
        self._processes: dict[int, WatchedVm] = {}  # by pidfd
        self._stopped: set[int] = set()  # pids
        self._silent: set[str] = set()  # VMs that were told
        self._asked = 0.0

    def __enter__(self) -> Self:
        self._stack.enter_context(self._links)
        if self._rules:
            self._stack.enter_context(self._rules)
        self._stack.callback(self._let_go)
        self._states, _ = states()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def watch(self, vms: Iterable[WatchedVm], silent: Collection[str]) -> None:
        """Watch these VMs from now on; of the `silent` ones it is known already."""
        self._let_go()
        self._tables = self._own_tables()
        _, names = states()
        self._taps = {}
        for vm in vms:
            self._taps |= {names[index]: vm.name for index in vm.taps if index in names}
            try:
                self._processes[os.pidfd_open(vm.pid)] = vm
            except OSError:
                continue  # it has ended; 0 is no pid
        self._silent = set(silent)

    def within(self, wait_s: float, until: int | None = None) -> list[Happening]:
        """Return what happens within some seconds, as soon as something does.

        `until` is a descriptor that ends the wait when it can be read.
        """
        poll = select.poll()
        kernel = [self._links.fileno(), *([self._rules.fileno()] if self._rules else [])]
        for each in (*kernel, *self._processes, *([] if until is None else [until])):
            poll.register(each, select.POLLIN)
        ready = {fd for fd, _ in poll.poll(max(0.0, wait_s) * 1000)}
        told = list(self._of_processes(ready))
        if self._links.happened():
            told += self._of_links()
        if self._rules and self._rules.happened():
            told += self._of_rules()
        return told

    def silences(self) -> list[Happening]:
        """Ask the agents for a sign of life if it is time to; return who has fallen silent.

        Only while no round runs: it asks them itself.
        """
        if time.monotonic() - self._asked < _PULSE_S:
            return []
        asked = {vm.name for vm in self._processes.values() if _runs(vm)} - self._silent
        found = agent_pulse.silent(self._plan, self._connection, asked, SILENT_S)
        # Whose QEMU has been stopped or has ended meanwhile is told as that.
        found &= {vm.name for vm in self._processes.values() if _runs(vm)}
        self._asked = time.monotonic()
        self._silent |= found
        text = f"its guest agent has not answered for {SILENT_S:g} s"
        return [Happening(EventSource.AGENT, "silent", f"{vm}: {text}", vm) for vm in sorted(found)]

    def answers(self) -> list[Happening]:
        """Ask the agents that have fallen silent; return who answers again. As `silences`."""
        asked = {vm.name for vm in self._processes.values() if _runs(vm)} & self._silent
        found = asked - agent_pulse.silent(self._plan, self._connection, asked, _BACK_S)
        self._silent -= found
        text = "its guest agent answers again"
        return [
            Happening(EventSource.AGENT, "answers", f"{vm}: {text}", vm) for vm in sorted(found)
        ]

    @property
    def silent(self) -> frozenset[str]:
        """The VMs whose agents have fallen silent."""
        return frozenset(self._silent)

    def _of_processes(self, ready: Collection[int]) -> Iterator[Happening]:
        for pidfd, vm in list(self._processes.items()):
            if pidfd in ready:
                text = f"{vm.name} has ended: its QEMU, process {vm.pid}, has gone"
                yield Happening(EventSource.KERNEL, "ended", text, vm.name)
                del self._processes[pidfd]
                os.close(pidfd)
                continue
            is_stopped = _is_stopped(vm)
            if is_stopped != (vm.pid in self._stopped):
                self._stopped ^= {vm.pid}
                how = "is stopped (state T)" if is_stopped else "runs on"
                text = f"{vm.name}: its QEMU, process {vm.pid}, {how}"
                kind = "halted" if is_stopped else "runs on"
                yield Happening(EventSource.KERNEL, kind, text, vm.name)

    def _of_rules(self) -> Iterator[Happening]:
        before, self._tables = self._tables, self._own_tables()
        if lost := before - self._tables:
            number = f"{len(lost)} table{'s'[: len(lost) > 1]}"
            text = f"somebody has taken {number} of the plan's rules away: vmnet up"
            yield Happening(EventSource.KERNEL, "rules gone", text)

    def _own_tables(self) -> set[str]:
        if not self._rules:
            return set()
        own = nft_ruleset.own(self._plan, nftables.listing().tables)
        return {rules.name for rules in own}

    def _of_links(self) -> Iterator[Happening]:
        before, (self._states, _) = self._states, states()
        named = {name: f"the uplink {name}" for name in self._uplinks}
        named |= {name: f"the macvtap {name} of {vm}" for name, vm in self._taps.items()}
        for name, kind, text in changed(before, self._states, named, self._uplinks):
            yield Happening(EventSource.KERNEL, kind, text, self._taps.get(name, ""), name)

    def _let_go(self) -> None:
        for pidfd in self._processes:
            os.close(pidfd)
        self._processes = {}


def _is_stopped(vm: WatchedVm) -> bool:
    return process_state(vm.pid) in {"T", "t"}


def _runs(vm: WatchedVm) -> bool:
    return process_state(vm.pid) not in {"T", "t", "Z", ""}


def around(target: "PlanTarget") -> Happenings:
    """Return what tells of a plan's happenings."""
    plan = target.plan
    uplinks = dict.fromkeys(uplink_of(plan.name, network) for network in plan.networks)
    return Happenings(plan.name, target.connection, uplinks)


def changed(
    before: Mapping[str, LinkState],
    now: Mapping[str, LinkState],
    named: Mapping[str, str],
    cabled: Collection[str],
) -> Iterator[tuple[str, str, str]]:
    """Return what has changed of the links in `named`: its name, what, and that in words.

    The carrier counts for those in `cabled` alone: macvtaps follow their uplink's.
    """
    for name, words in named.items():
        was, state = before.get(name), now.get(name)
        if was == state:
            continue
        if state is None:
            yield name, "gone", f"{words} has gone"
        elif was is None:
            yield name, "there", f"{words} is there"
        elif was.up != state.up:
            how = "is up" if state.up else "has been set down"
            yield name, "up" if state.up else "down", f"{words} {how}"
        elif name in cabled and was.carrier != state.carrier:
            how = "has a carrier" if state.carrier else "has lost its carrier"
            yield name, "carrier" if state.carrier else "no carrier", f"{words} {how}"
