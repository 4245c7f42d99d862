"""The host as one thing: observe all of a plan, perform one step. Runs in the worker process."""

import os
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Concatenate, Final, ParamSpec, TypeVar

from provisioner import naming
from provisioner.check.evidence import Inside
from provisioner.check.readiness import Sign, SignState
from provisioner.check.result import Probed
from provisioner.errors import Exit, VmnetError
from provisioner.guest.agent_info import GuestInfo
from provisioner.guest.domain import Domain, DomainNic, Overlay
from provisioner.guest.network_config import changed_nics
from provisioner.guest.xml import render
from provisioner.host import apply
from provisioner.host.guest import agent_lookup, console_log, probes, queries
from provisioner.host.guest.commands import Guests
from provisioner.host.libvirt import connection, domains, embedded, start_watchdog
from provisioner.host.libvirt.domains import Domains
from provisioner.host.netlink import ipv6, links, rtnetlink
from provisioner.host.network import impairment, nftables, tap_node
from provisioner.host.probe import ingress_injector
from provisioner.host.system import deadline, file_errors, paths, plan_folders
from provisioner.host.system.worker import Event, emit, limit
from provisioner.network.devices import DEFAULT_MTU
from provisioner.network.facts import Chosen, Facts, Live
from provisioner.plan.checks import Probe, What
from provisioner.reconcile.diff import Step, Verb
from provisioner.reconcile.resources import Snapshot, by_key

_AGENT_S = 30.0

P = ParamSpec("P")
R = TypeVar("R")


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
    for room in (rtnetlink, domains):
        room.warm_up()


class Machine:
    """One plan's part of the host; its methods are called in the worker process only."""

    def __init__(self) -> None:
        self._plan = ""
        self._domains: Domains | None = None
        self._embedded = False
        self._run_dir = Path("/run/libvirt")
        self._agents = agent_lookup.AgentLooks(lambda vm: self._happened(vm, "agent"))
        self._events = 0
        self._event = threading.Condition()
        self._changes = False  # the command may take away what killed runs have left
        self._made_root = False
        self._making = threading.Lock()

    def __reduce__(self) -> str:
        """Pickle as a name, so that a call names the machine of the process that it is done in."""
        return "MACHINE"

    @limit(120.0, "libvirt has not been opened")  # empty cache: libvirt asks QEMU for seconds
    def open(self, plan: str, wish: str, *, changes: bool) -> Chosen:
        """Connect to libvirt for a plan; `changes` says whether the command may change anything.

        Raises VmnetError when libvirt cannot be reached.
        """
        self._changes = changes
        if changes:
            embedded.clear_half_started(plan)
        else:
            embedded.refuse_half_started(plan)
        chosen = connection.choose(wish, plan)
        self._plan = plan
        self._embedded = connection.is_embedded(chosen.what)
        if self._embedded:
            self._made_root = not paths.libvirt_root(plan).exists()
            self._run_dir = embedded.prepare_root(plan) / "run"
            embedded.hide_useless_kvm()
        domains.quiet()
        domains.run_events()
        try:
            self._domains = Domains(chosen.what, plan, self._run_dir, self._happened)
        except VmnetError:
            self.abandon()
            raise
        return chosen

    @limit(late="libvirt has not listed its domains")
    def observe(self) -> Snapshot:
        """Read what the plan owns on the host, and the facts that a plan can depend on."""
        found, routes = links.observe()
        running, foreign, live = self._open.observe()
        self._refuse_other_namespace(live)
        tables = nftables.listing()
        if self._changes:
            if ingress_injector.leftovers(found):
                ingress_injector.remove_leftovers()  # of a vmnet killed while it asked a LAN
            impairment.remove_leftovers(tables, [x.name for x in found])
            apply.clear_leftovers(self._plan, found)
        owned = [*running, *apply.observe(self._plan, found, routes, tables)]
        indexes = {x.name: x.index for x in found}
        taps_of = {d.vm: tuple((n.link, indexes.get(n.link, 0)) for n in d.nics) for d in running}
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
        )
        return Snapshot(facts, by_key(owned))

    # A disk has 60 s of these, a guest that is given new addresses 70 s.
    @limit(180.0, "a step was not done")
    def perform(self, step: Step, xml: str = "") -> None:
        """Do one step: the whole of it, or nothing that anybody would recognise.

        `xml` is the domain's, or its mark's, where the step is about a domain. Raises VmnetError.
        """
        try:
            self._perform(step, xml)
        except OSError as error:
            if error.filename is None:
                raise
            raise file_errors.told(error, "cannot use", paths.home(self._plan)) from error

    def _perform(self, step: Step, xml: str) -> None:
        if step.verb is not Verb.DELETE:
            with self._making:
                plan_folders.make(paths.home(self._plan), self._plan)
        match step.resource, step.verb:
            case Domain() as domain, Verb.CREATE:
                self._prove(domain.nics)
                _own_log(Path(domain.console))
                with start_watchdog.watched(domain, self._run_dir / "qemu" / f"{domain.name}.pid"):
                    self._open.create(domain, xml)
            case Domain() as domain, Verb.UPDATE:
                self._change(domain, xml)
            case Domain() as domain, Verb.DELETE:
                self._open.destroy(domain)
                console_log.remove(Path(domain.console))
            case Overlay() as disk, Verb.UPDATE if user := self._user_of(disk.path):
                self._open.resize(user, disk.path, disk.size)
            case _:
                # A daemon gives QEMU what it reads; the one inside us does not.
                owner = embedded.owner() if self._embedded else None
                apply.perform(self._plan, step, owner)

    def _user_of(self, path: str) -> str:
        """Give the name of the domain that runs on a disk, "" when none does."""
        running, _, _ = self._open.observe()
        return next((d.name for d in running if any(x.path == path for x in d.disks)), "")

    def _prove(self, nics: Sequence[DomainNic]) -> None:
        indexes = {x.name: x.index for x in links.observe()[0]}
        tap_node.prove_usable({n.link: indexes.get(n.link, 0) for n in nics})

    def _change(self, domain: Domain, mark: str) -> None:
        """Give a running VM the NICs and the network configuration that it should have.

        The mark comes last: when vmnet is killed before, the next run does it again.
        """
        running, _, _ = self._open.observe()
        have = next((d for d in running if d.name == domain.name), None)
        if have is None:
            raise VmnetError(f'VM "{domain.vm}" has ended', fix="run vmnet up again")
        nics = self._open.nics
        there = nics.on(domain.name)
        for link in sorted(there - {nic.link for nic in domain.nics}):
            nics.detach(domain, link)
        coming = [nic for nic in domain.nics if nic.link not in there]
        self._prove(coming)
        for nic in coming:
            nics.attach(domain, nic.link, render.interface_xml(nic))
        if changed := changed_nics(have.network, domain.network):
            within_s = deadline.left_s(_AGENT_S)
            if not self.await_agents([domain.vm], within_s):
                raise VmnetError(
                    f"the guest agent of {domain.name} has not answered after {within_s:g} s",
                    fix="run vmnet up again when the guest is up, or: vmnet up --recreate",
                )
            guest = self._guest(domain.vm)
            mtus = {nic.mac: nic.mtu for nic in domain.nics}
            for mac, config in changed.items():
                guest.reconfigure(mac, {"mtu": mtus.get(mac, DEFAULT_MTU)} | dict(config))
        nics.mark(domain, mark)

    @limit(120.0, "the guest has not answered")  # a piece of a file has 35 s, a ping 15 s a try
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
        return Guests(self._open, naming.domain(self._plan, vm))

    def inside(self, vm: str, macs: Sequence[str]) -> dict[str, Inside]:
        """Ask a guest for its NICs, by planned MAC."""
        return queries.nics(self._guest(vm), macs)

    def sign(self, vm: str, sign: Sign, within_s: float) -> SignState:
        """Look inside a guest for a sign that it is ready."""
        return queries.look(self._guest(vm), sign, within_s)

    def words(self, vm: str) -> GuestInfo:
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
        running, _, _ = self._open.observe()
        domains = self._open
        return self._agents.connected(
            {d.vm: lambda name=d.name: domains.agent_connected(name) for d in running}  # type: ignore[misc]
        )

    def await_agents(self, vms: Collection[str], timeout_s: float) -> set[str]:
        """Wait until the agents of all of these VMs can be asked; return the VMs whose can.

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

    def _happened(self, vm: str, kind: str, detail: str = "") -> None:
        with self._event:
            self._events += 1
            self._event.notify_all()
        emit(Event(vm, kind, detail))

    def terminal(self, vm: str) -> str:
        """Give the pseudo-terminal that a VM's serial line ends in."""
        return self._open.terminal(naming.domain(self._plan, vm))

    def tidy(self) -> None:
        """Take away the plan's own folders, after everything in them has ended.

        A command that changes nothing takes away only what its own `open` has laid out.
        """
        if not self._changes:
            self.abandon()
            return
        self.close()
        plan_folders.clear(self._plan)
        if self._embedded:
            plan_folders.clear_root(self._plan)
        for parent in (paths.state(), paths.run()):
            try:
                parent.rmdir()
            except OSError:
                continue  # another plan's files are in it

    def abandon(self) -> None:
        """Take away what `open` laid out, when the command fails before anything else is made."""
        self.close()
        if self._made_root and not embedded.has_vms(self._plan):
            plan_folders.clear_root(self._plan)

    def close(self) -> None:
        """Let go of libvirt; the guests run on."""
        if self._domains:
            self._domains.close()
            self._domains = None

    @property
    def _open(self) -> Domains:
        if not self._domains:
            raise VmnetError("vmnet's connection to libvirt is closed", fix="run the command again")
        return self._domains

    def _refuse_other_namespace(self, live: list[Live]) -> None:
        here = Path("/proc/self/ns/net").stat().st_ino
        for vm in live:
            try:
                there = Path(f"/proc/{vm.pid}/ns/net").stat().st_ino if vm.pid else here
            except OSError:
                continue  # it ended meanwhile
            if there != here:
                raise VmnetError(
                    f'VM "{vm.vm}" of this plan runs in another network namespace (pid {vm.pid})',
                    fix=f"run vmnet there: nsenter -n -t {vm.pid} vmnet …; or rename this plan",
                    status=Exit.CONFLICT,
                )


MACHINE: Final = Machine()


def _own_log(path: Path) -> None:
    """Begin a console log anew, in a place that is vmnet's."""
    try:
        plan_folders.own(path)
        console_log.remove(path)
        plan_folders.own(path)
    except OSError as error:
        raise file_errors.told(error, "cannot write", path) from error
