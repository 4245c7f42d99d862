"""The hosts of one plan: what they tell, where its VMs go, and what each has done of a command."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import field, replace
from typing import TYPE_CHECKING, Any, Final

from provisioner.commands.target import PlanTarget, Tell
from provisioner.dataclass import dataclass
from provisioner.errors import Exit, VmnetError, bad_input, collected, refuse
from provisioner.fabric.facts import HostFacts, Silent
from provisioner.fabric.parts.part import HostPart, fleet_nics, part_of
from provisioner.fabric.place import place
from provisioner.fabric.placing import Decision, Fleet, found_in, listed
from provisioner.fabric.remote.answers import HostAnswer, Request
from provisioner.fabric.remote.roll_call import called
from provisioner.host.system import locks, paths
from provisioner.plan.placing.carriers import carriers
from provisioner.preflight.several_hosts import taken_by_hosts, unshared_files
from provisioner.report.joining import taken, told
from provisioner.report.joining.join import FleetOutcome, labels
from provisioner.report.report import Report, VmStatus
from provisioner.text import one_line

if TYPE_CHECKING:
    from provisioner.fabric.remote.shell import HostShell
    from provisioner.plan.nic_id import NicId

Shells = Callable[[Collection[str]], Mapping[str, "HostShell"]]
"""Returns the shells of hosts, of those that ssh alone leads to."""
Asked = Mapping[str, HostAnswer | Silent]
Ask = Callable[[Mapping[str, Request]], Asked]
"""Asks several hosts side by side, each its own; each host that was asked is in the answers."""

_NO_PROGRAM: Final = 127
_FACTS: Final = Request(("host-facts", "--json"))


@dataclass(frozen=True)
class FleetRun:
    """One run of a command on several hosts, and what its command line can change about it."""

    ask: Ask
    tell: Tell
    words: tuple[str, ...] = ()  # that each host gets with the command
    only: frozenset[str] = frozenset()  # VMs that are meant; none means all
    all_or_nothing: bool = False
    dead: frozenset[str] = frozenset()  # hosts that are declared dead
    lock_timeout_s: float = 30.0
    shells: Shells | None = None  # by which images are passed

    @property
    def waiting(self) -> tuple[str, ...]:
        """The words by which each host waits for other commands as long as this one does."""
        return "--lock-timeout", f"{self.lock_timeout_s:g}"


@dataclass
class FleetSession:
    """The hosts of a plan as they answered, and what is decided about its VMs."""

    target: PlanTarget
    run: FleetRun
    fleet: Fleet
    decision: Decision
    homes: dict[str, str]  # the host of each VM that is placed
    nics: "dict[NicId, Any]"
    stopped: dict[str, list[VmnetError]] = field(default_factory=dict)
    lost: dict[str, str] = field(default_factory=dict)  # silent hosts, and why

    @property
    def answering(self) -> tuple[str, ...]:
        """The hosts that have answered so far, in the order of the plan."""
        return tuple(h for h in carriers(self.target.plan) if h not in self.lost)

    def part(self, host: str) -> HostPart:
        """Return what a host gets of the plan."""
        return part_of(self.target.plan, self.target.positions, host, self.homes, self.nics)

    def parts(self, hosts: Collection[str]) -> dict[str, HostPart]:
        """Return what hosts get of the plan, of those that have VMs of it."""
        every = {host: self.part(host) for host in hosts}
        return {host: part for host, part in every.items() if part.vms}

    def asked(self, command: str, calls: Mapping[str, Request]) -> dict[str, Report]:
        """Run a command on hosts; return the reports of those on which it came to one.

        The others are in `lost` and `stopped` from now on.
        """
        reports: dict[str, Report] = {}
        names = labels(self.target.plan, self.nics)
        for host, answer in self.run.ask(calls).items() if calls else ():
            if isinstance(answer, Silent):
                self.run.tell(f"{host} does not answer any more: {answer.why}")
                self.lost[host] = answer.why
                continue
            if answer.has_wrong_clock:
                self.run.tell(f"warning: {host}: its clock is {answer.clock_error_s:.0f} s wrong")
            errors: list[VmnetError] = []
            with collected(errors):
                found = _read(answer, host, command)
                errors += taken.errors(found, host)
                if not errors:
                    reports[host] = _as_ours(found, self.target.name, host, names)
            if errors:
                self.stopped.setdefault(host, []).extend(errors)
        return reports

    def outcome(self, command: str, reports: Mapping[str, Report]) -> FleetOutcome:
        """Return what has come of a command, for one report of it."""
        dead = {h for h, said in self.fleet.items() if isinstance(said, Silent) and said.is_dead}
        return FleetOutcome(
            self.target.plan,
            command,
            reports,
            self.stopped,
            {host: why for host, why in self.lost.items() if host not in dead},
            self.homes,
            {one.vm: one.why for one in self.decision.held},
            self.nics,
            dict(self._before()),
        )

    def _before(self) -> Iterator[tuple[str, VmStatus]]:
        for host, said in self.fleet.items():
            for vm in said.vms if isinstance(said, HostFacts) else ():
                if vm.plan == self.target.name:
                    yield vm.vm, VmStatus(vm.vm, vm.state, host=host)


def facts_of(hosts: Collection[str], ask: Ask) -> Fleet:
    """Return what hosts tell of themselves; one whose vmnet fails is silent, with its reason.

    Raises Complaints when one tells it in another version's form, or has no vmnet.
    """
    found: dict[str, HostFacts | Silent] = {}
    errors: list[VmnetError] = []
    for host, answer in ask(dict.fromkeys(hosts, _FACTS)).items():
        if isinstance(answer, Silent):
            found[host] = answer
            continue
        with collected(errors):
            _refuse_missing(answer, host)
            one = called(host, "", answer)
            if one.skew:
                raise one.skew
            found[host] = one.said
    refuse(errors)
    return found


@contextmanager
def begun(target: PlanTarget, run: FleetRun, changing: str = "") -> Iterator[FleetSession]:
    """Ask all hosts of a plan what they have, and decide where its VMs go.

    `changing` names a command that changes hosts: another such command of this machine on the same
    plan is waited for. Raises Complaints when the plan cannot be on these hosts; nothing has been
    touched then.
    """
    plan, places = target.plan, target.positions
    with locked(plan.name, run, changing) if changing else nullcontext():
        refuse([*unshared_files(plan, places)])
        fleet = _declared(facts_of(carriers(plan), run.ask), run.dead)
        decision = place(plan, fleet, found_in(plan.name, fleet))
        homes = {one.vm: one.host for one in decision.assigned}
        nics = fleet_nics(plan, fleet, homes)
        session = FleetSession(target, run, fleet, decision, homes, nics)
        for host, said in fleet.items():
            if isinstance(said, Silent):
                session.lost[host] = said.why
                dead = "is declared dead" if said.is_dead else "does not answer"
                run.tell(f"{host} {dead}: {said.why}")
        yield session


def locked(plan: str, run: FleetRun, changing: str) -> AbstractContextManager[None]:
    """Keep other commands of this machine that change hosts from a plan. Raises VmnetError."""
    lock = paths.run() / f".{plan}.hosts.lock"
    doing = f"{changing} {plan}"
    return locks.held(lock, doing, timeout_s=run.lock_timeout_s, notify=run.tell)


def refuse_unfit(session: FleetSession) -> None:
    """Raise Complaints about VMs that fit nowhere, and about what hosts have already."""
    plan, places = session.target.plan, session.target.positions
    facts = {h: said for h, said in session.fleet.items() if isinstance(said, HostFacts)}
    found = session.decision.complaints(places)
    refuse([*found, *taken_by_hosts(plan, places, session.nics, facts)])


def refuse_torn(session: FleetSession, vms: Collection[str]) -> None:
    """Raise VmnetError when a VM that is to be started now is on another host as well.

    Whoever prepares VMs looks again before starting any. So of two controllers that have placed a
    VM on two hosts, the later one at least sees the other's.
    """
    plan = session.target.name
    before = found_in(plan, session.fleet)
    now = found_in(plan, facts_of(session.answering, session.run.ask))
    for vm in vms:
        known = {home.host for home in before.get(vm, ())} | {session.homes[vm]}
        others = sorted({home.host for home in now.get(vm, ())} - known)
        if others:
            raise VmnetError(
                f"VM {vm} is on {others[0]} now, and was to be started on {session.homes[vm]}: "
                "another vmnet is bringing this plan up",
                fix="wait until it has ended, then: vmnet up",
                status=Exit.CONFLICT,
            )


def _declared(fleet: Fleet, dead: Collection[str]) -> Fleet:
    found = dict(fleet)
    for host in sorted(dead):
        said = found.get(host)
        if said is None:
            raise bad_input(
                f"--declare-dead: {host} runs no VMs of this plan",
                f"its hosts: {', '.join(fleet)}",
            )
        if isinstance(said, HostFacts):
            raise bad_input(
                f"--declare-dead: {host} answers, so it is not dead",
                "leave it out, and take away what is on that host: vmnet down",
            )
        found[host] = replace(said, is_dead=True)
    return found


def _read(answer: HostAnswer, host: str, command: str) -> told.ToldReport:
    _refuse_missing(answer, host)
    if answer.status and not answer.stdout.strip():
        *_, why = answer.stderr.strip().splitlines() or ["it says nothing"]
        raise VmnetError(
            f"vmnet {command} on {host} has ended with {answer.status}: {one_line(why)}",
            fix=f"look at what it prints there: vmnet {command}",
        )
    return told.read(answer.stdout, host, command)


def _refuse_missing(answer: HostAnswer, host: str) -> None:
    if answer.status == _NO_PROGRAM:
        raise VmnetError(
            f"{host} has no vmnet",
            fix="install this version there: vmnet hosts bootstrap -f PLAN, or with -i INVENTORY",
        )


def _as_ours(found: told.ToldReport, plan: str, host: str, names: taken.Labels) -> Report:
    try:
        return taken.report(found, plan, host, names)
    except ValueError as error:
        raise VmnetError(
            f"the report of host {host} cannot be used: {error}",
            fix=f"look at what it prints there: vmnet {found.command} --json",
        ) from None


def together(hosts: Sequence[str]) -> str:
    """Return hosts for a sentence."""
    return listed(hosts) if hosts else "no host"
