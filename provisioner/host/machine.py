"""The host as one thing: observe all of a plan, perform one step. Runs in the worker process."""

import os
import shutil
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Concatenate, Final, ParamSpec, TypeVar

from provisioner import naming
from provisioner.check.evidence import Inside
from provisioner.check.readiness import AgentSeen, Sign, SignState
from provisioner.check.result import Probed
from provisioner.errors import Exit, VmnetError
from provisioner.guest.agent_info import GuestInfo
from provisioner.guest.domain import RUNNING, Domain, StrayDomain
from provisioner.guest.domain_state import PAUSED
from provisioner.host import room
from provisioner.host.domain import DomainDriver, plugged
from provisioner.host.drivers import drivers
from provisioner.host.guest import agent_lookup, console_log, host_keys, probes, queries
from provisioner.host.guest.commands import Guests
from provisioner.host.guest.start_queue import StartQueue
from provisioner.host.libvirt import domains, embedded
from provisioner.host.libvirt.domains import Domains
from provisioner.host.libvirt.session import LibvirtSession
from provisioner.host.netlink import ipv6, links, rtnetlink
from provisioner.host.network import expiry, nftables
from provisioner.host.storage import disks
from provisioner.host.system import file_errors, paths, plan_folders, plan_marks, processes
from provisioner.host.system.worker import Event, emit, limit
from provisioner.inventory.plan_mark import PlanMark
from provisioner.network.facts import LOST, STOPPED, Chosen, Facts, Live
from provisioner.network.resources import Macvtap
from provisioner.plan.checks import Probe, What
from provisioner.reconcile import partial
from provisioner.reconcile.diff import Step, Verb
from provisioner.reconcile.resources import Look, Snapshot
from provisioner.resource import Resource, by_key

P = ParamSpec("P")
R = TypeVar("R")
_Found = TypeVar("_Found", Domain, Live)


@contextmanager
def served() -> Iterator[None]:
    """Make the worker process ready for calls; close libvirt after the last."""
    embedded.private_mounts()
    # What matters of libvirt's log arrives as an error anyway.
    os.environ.setdefault("LIBVIRT_LOG_OUTPUTS", "4:file:/dev/null")
    threading.Thread(target=_warm_up, daemon=True).start()
    yield
    MACHINE.close()


def _warm_up() -> None:
    """Import what is heavy while vmnet reads the plan on the other core."""
    for module in (rtnetlink, domains):
        module.warm_up()


class Machine:
    """One plan's part of the host; its methods are called in the worker process only."""

    def __init__(self) -> None:
        self._plan = ""
        self._mark: PlanMark | None = None
        self._libvirt = LibvirtSession("")
        self._agents = agent_lookup.AgentLooks(lambda vm: self._happened(vm, "agent"))
        self._events = 0
        self._event = threading.Condition()
        self._making = threading.Lock()
        self._starts = StartQueue(self._let_go, lambda vm, why: self._happened(vm, "held", why))

    def __reduce__(self) -> str:
        """Pickle as a name, so that a call names the machine of the process that it is done in."""
        return "MACHINE"

    @limit(120.0, "libvirt has not been opened")  # empty cache: libvirt asks QEMU for seconds
    def open(self, plan: str, wish: str, mark: PlanMark | None = None) -> Chosen:
        """Connect to libvirt for a plan; nothing of the plan is changed by it.

        `mark` is what its folder is marked with when a step makes it. Raises VmnetError when
        libvirt cannot be reached.
        """
        self._plan = plan
        self._mark = mark
        self._libvirt = LibvirtSession(plan, self._happened)
        return self._libvirt.choose(wish)

    @limit(late="libvirt has not listed its domains")
    def observe(self) -> Snapshot:
        """Read what the plan owns on the host, and the facts that a plan can depend on.

        Nothing is changed: what killed runs have left is observed too.
        """
        found, routes = links.observe()
        waiting = self._starts.waiting()
        running, foreign, live = self._libvirt.observe()
        # One that is paused because its turn has not come will run; one that has died will not.
        running = [_as_begun(x, waiting) for x in running]
        live = [_as_begun(x, waiting) for x in live]
        pids = {x.vm: x.pid for x in live}
        running = [plugged(d, pids[d.vm], {x.name for x in found}) for d in running]
        tables = nftables.listing()
        has_home = plan_folders.is_marked(paths.home(self._plan), self._plan)
        look = Look(self._plan, found, routes, tables, tuple(running), has_home)
        resources = drivers(self._libvirt).observe(look)
        strays = [x for x in resources if isinstance(x, StrayDomain)]
        live = [*live, *(Live(x.vm, LOST, x.pid, ()) for x in strays)]
        _refuse_other_namespace(live)
        indexes = {x.name: x.index for x in found}
        taps_of = {d.vm: tuple((n.link, indexes.get(n.link, 0)) for n in d.nics) for d in running}
        stopped = console_log.stopped(paths.folder(self._plan, "console")) if has_home else set()
        for vm in sorted(stopped - {x.vm for x in live}):
            live.append(Live(vm, STOPPED, 0, ()))
            taps_of[vm] = _taps(resources, vm, indexes)
        facts = Facts(
            links=found,
            routes=routes,
            foreign_domains=tuple(foreign),
            home=str(paths.home(self._plan)),
            live=tuple(Live(x.vm, x.state, x.pid, taps_of.get(x.vm, ())) for x in live),
            user=os.geteuid(),
            firewall=nftables.firewall(tables),
            vhost=os.access("/dev/vhost-net", os.R_OK | os.W_OK),
            ipv6_locked=ipv6.locked(),
            memory_mib=room.memory() >> 20,
            rooms=room.rooms(),
        )
        return Snapshot(facts, by_key(resources))

    def renew_mark(self, mark: PlanMark) -> None:
        """Bring the marks of the plan's folders up to date, as far as they are there.

        Raises VmnetError when they cannot be written.
        """
        self._mark = mark
        for folder in (paths.home(self._plan), paths.libvirt_root(self._plan)):
            try:
                plan_marks.renewed(folder, mark)
            except OSError as error:
                raise file_errors.converted(error, "cannot write", folder) from error

    def expire(self, until: int) -> None:
        """Write on the plan's devices and domains until when it is up; 0 takes that away.

        Raises VmnetError when the kernel or libvirt refuses.
        """
        expiry.put(self._plan, until)
        self._libvirt.domains.expire(until)

    # A disk has 60 s of these, a guest that is given new addresses 70 s.
    @limit(180.0, "a step was not done")
    def perform(self, step: Step, xml: str = "", grace_s: float = 0.0, memory: str = "") -> str:
        """Do one step: the whole of it, or nothing that anybody would recognise.

        `xml` is what a domain is created from, or `memory` the file that it is restored from,
        `grace_s` what a guest has to shut down. Returns what is to be said about how it was done.
        Raises VmnetError.
        """
        home = paths.home(self._plan)
        try:
            if step.verb in {Verb.CREATE, Verb.UPDATE}:
                with self._making:
                    plan_folders.make(home, self._plan, self._mark)
            wait = self._await_agent, self._await_end
            guests = DomainDriver(self._libvirt, xml, *wait, grace_s, memory, self._starts.add)
            return drivers(self._libvirt, guests).perform(step)
        except OSError as error:
            if error.filename is None:
                raise
            raise file_errors.converted(error, "cannot use", home) from error

    def expect_starts(self, number: int) -> None:
        """Take note of how many guests the next steps start."""
        self._starts.expect(number)

    @limit(120.0, "libvirt has not answered")
    def on_domains(
        self, function: Callable[Concatenate[Domains, P], R], *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """Call a function of the plan's domains."""
        return function(self._libvirt.domains, *args, **kwargs)

    def on_libvirt(
        self,
        function: Callable[Concatenate[LibvirtSession, P], R],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R:
        """Call a function of the plan's libvirt."""
        return function(self._libvirt, *args, **kwargs)

    @limit(120.0, "the guest has not answered")  # a piece of a file has 35 s, all pings 60 s
    def guest(
        self,
        vm: str,
        method: Callable[Concatenate[Guests, P], R],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R:
        """Call a method of Guests for one VM."""
        return method(self._guest(vm), *args, **kwargs)

    def _guest(self, vm: str) -> Guests:
        return Guests(self._libvirt.domains, naming.domain(self._plan, vm))

    def inside(self, vm: str, macs: Sequence[str]) -> dict[str, Inside]:
        """Ask a guest for its NICs, by planned MAC."""
        return queries.nics(self._guest(vm), macs)

    def sign(self, vm: str, sign: Sign, within_s: float) -> SignState:
        """Look inside a guest for a sign that it is ready."""
        return queries.look(self._guest(vm), sign, within_s)

    def info(self, vm: str) -> GuestInfo:
        """Ask a guest for its name, OS, addresses, load and disks."""
        return queries.info(self._guest(vm))

    @limit(720.0)  # a plan's check may take 600 s (plan.checks)
    def probe(self, vm: str, question: Probe) -> Probed:
        """Ask one of the user's checks from inside a guest."""
        guest = self._guest(vm)
        if question.asked.what is not What.THROUGHPUT:
            return probes.probe(guest, question)
        if not question.peer:
            return Probed(None, note="cannot be tested: throughput needs a VM at both ends")
        peer = self._guest(question.peer)
        return probes.throughput(guest, peer, question)

    @limit(late="libvirt has not listed the guests' agents")
    def agents(self) -> list[str]:
        """List the VMs whose guest agent has opened its port.

        One that is found only later, since its QEMU hangs or libvirt has just been opened, is an
        event.
        """
        running = self._libvirt.domains.running()
        domains = self._libvirt.domains
        return self._agents.connected(
            {d.vm: lambda name=d.name: domains.agent_connected(name) for d in running}  # type: ignore[misc]
        )

    @limit(late="libvirt has not asked the guest's agent")
    def agent_seen(self, vm: str, within_s: float) -> AgentSeen:
        """Ask a guest's agent for a sign of life, for at most `within_s` seconds.

        libvirt finds agents again some time after it is opened: one that is connected is waited
        for. One whose port the guest has not opened is not: it will be an event.
        """
        guest, end = self._guest(vm), time.monotonic() + within_s
        name = naming.domain(self._plan, vm)
        while True:
            before = self._events
            error = guest.silence(end - time.monotonic())
            if not error:
                return AgentSeen(answers=True)
            seen = replace(self._libvirt.domains.agent_seen(name), error=error)
            left_s = end - time.monotonic()
            if left_s <= 0 or seen.is_awaited:
                return seen
            with self._event:
                self._event.wait_for(lambda: self._events != before, left_s)  # noqa: B023

    def await_agents(self, vms: Collection[str], timeout_s: float) -> set[str]:
        """Wait until the agents of all of these VMs answer; return the VMs whose do.

        libvirt finds agents again some time after it is opened.
        """
        end = time.monotonic() + timeout_s
        while True:
            before = self._events
            found = set(vms).intersection(self.agents())
            left_s = end - time.monotonic()
            if len(found) == len(set(vms)) or left_s <= 0:
                return found
            with self._event:
                self._event.wait_for(lambda: self._events != before, left_s)  # noqa: B023

    def _await_agent(self, vm: str, within_s: float) -> bool:
        return bool(self.await_agents([vm], within_s))

    def _await_end(self, vm: str, within_s: float) -> bool:
        """Wait until a VM has no QEMU any more; libvirt's event says when to look."""
        name, end = naming.domain(self._plan, vm), time.monotonic() + within_s
        while True:
            before = self._events
            if not self._libvirt.domains.runs(name):
                return True
            left_s = end - time.monotonic()
            if left_s <= 0:
                return False
            with self._event:
                self._event.wait_for(lambda: self._events != before, left_s)  # noqa: B023

    def _let_go(self, name: str) -> None:
        self._libvirt.domains.resume(name)

    def _happened(self, vm: str, kind: str, detail: str = "") -> None:
        with self._event:
            self._events += 1
            self._event.notify_all()
        if kind != "started":
            self._starts.is_up(vm)
        emit(Event(vm, kind, detail))

    def terminal(self, vm: str) -> str:
        """Return the pseudo-terminal that a VM's serial line ends in."""
        return self._libvirt.domains.terminal(naming.domain(self._plan, vm))

    def tidy(self) -> None:
        """Delete the plan's own folders, after everything in them has ended, but kept disks."""
        self._libvirt.close()
        kept = disks.kept(self._plan)
        plan_folders.clear(self._plan, kept)
        if any((path / "key.pub").exists() for path in kept):
            host_keys.publish(paths.folder(self._plan, "keys"), self._plan)
        if self._libvirt.is_embedded:
            plan_folders.clear_root(self._plan)
        shutil.rmtree(paths.moves(self._plan), ignore_errors=True)  # of a move that was killed
        for parent in (paths.state(), paths.moves("").parent, paths.run()):
            try:
                parent.rmdir()
            except OSError:
                continue  # another plan's files are in it

    def abandon(self) -> None:
        """Delete what `open` has made, when nothing of the plan is there."""
        self._libvirt.abandon()

    def close(self) -> None:
        """Close libvirt; the guests run on, also those whose turn to start has not come."""
        self._starts.empty()
        self._libvirt.close()


MACHINE: Final = Machine()


def _as_begun(found: _Found, waiting: Collection[str]) -> _Found:
    """Return what was found of a VM, running where it is paused only until its turn comes."""
    is_held = found.vm in waiting and found.state == PAUSED
    return replace(found, state=RUNNING) if is_held else found


def _taps(
    resources: Sequence[Resource], vm: str, indexes: Mapping[str, int]
) -> tuple[tuple[str, int], ...]:
    """Return the macvtaps of a VM that has no domain, and their ifindexes."""
    taps = [r for r in resources if isinstance(r, Macvtap) and partial.vm_of(r, {}) == vm]
    return tuple((tap.name, indexes[tap.name]) for tap in taps)


def _refuse_other_namespace(live: Sequence[Live]) -> None:
    here = processes.network_namespace()
    for vm in live:
        try:
            there = processes.network_namespace(vm.pid) if vm.pid else here
        except OSError:
            continue  # it ended meanwhile
        if there != here:
            raise VmnetError(
                f'VM "{vm.vm}" of this plan runs in another network namespace (pid {vm.pid})',
                fix=f"run vmnet there: nsenter -n -t {vm.pid} vmnet …; or rename this plan",
                status=Exit.CONFLICT,
            )
