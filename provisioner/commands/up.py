"""up, plan and check: what is wanted against what is there."""

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

from provisioner.commands.addresses.question import AddressQuestion
from provisioner.commands.addresses.silent_start import SilentStart
from provisioner.commands.check import drift
from provisioner.commands.domain_xml import domain_xmls
from provisioner.commands.execute import Outcome, execute
from provisioner.commands.inventory import expiry
from provisioner.commands.reporting.reported import of_steps, reported
from provisioner.commands.session import HostSession, Session, begun
from provisioner.commands.snapshot import restore
from provisioner.commands.snapshot.unfinished import end_half_started, go_on
from provisioner.commands.steps import refusals
from provisioner.commands.steps.preparing import preparing
from provisioner.commands.target import CommandRun, PlanTarget
from provisioner.errors import Complaints, Exit, VmnetError
from provisioner.guest.domain import Domain
from provisioner.guest.domain_state import cut_off
from provisioner.host.guest import console_log
from provisioner.host.image import store_files
from provisioner.host.machine import MACHINE
from provisioner.host.system import paths
from provisioner.network.facts import LOST, STOPPED
from provisioner.network.resources import Macvtap
from provisioner.preflight.warnings import warnings
from provisioner.reconcile import partial
from provisioner.reconcile.diff import Step, StepId, Verb, diff
from provisioner.reconcile.start_order import awaited_by, ordered
from provisioner.reconcile.undo import undo
from provisioner.report.report import Report
from provisioner.resource import Resources

if TYPE_CHECKING:
    from collections.abc import Mapping

    from provisioner.resource import Key


_STEP_S = 2.0  # that each step has, however late it begins
_GRACE_S = 120.0  # of shutting down that a step has room for by itself
_END_S = 60.0  # that a step has beyond that
_JOBS = 16
_ENDS = frozenset({Verb.DELETE, Verb.STOP})  # guests that do not shut down wait side by side


def up(target: PlanTarget, run: CommandRun) -> Report:
    """Bring the plan up; doing it twice changes nothing.

    Raises Complaints when the plan or the host forbids it, before anything is touched, and
    VmnetError when the host cannot.
    """
    started = time.monotonic()
    with begun(target, run) as session:
        session.refuse()
        return prepared(session) if run.prepare else brought_up(session, started)


def brought_up(session: Session, started: float, done: Sequence[Step] = ()) -> Report:
    """Bring up the plan, or only those VMs that the command names; then check it.

    `done` are the steps that the command has taken before. Raises as `up` does.
    """
    from provisioner.commands.check.run import When, checked

    target, run = session.target, session.run
    # Until its guests have been checked, they may not answer for their addresses themselves.
    with ExitStack() as kept:
        console_log.cap(paths.folder(target.name, "console"))
        # Until disks depend on them, nobody may remove images: vmnet image prune waits.
        with store_files.held(paths.store(), run.tell):
            done = [*done, *end_half_started(session)]
            back = restore.begun(session, run.snapshot)
            desired, steps = judged(session, back)
            xmls = domain_xmls(target, steps)
            changed = refusals.vms_of(steps, Verb.CREATE, Verb.UPDATE) | _silent(session, steps)
            kept.enter_context(session.claimed(changed))
            if session.keep_login_keys():  # nothing refuses the plan any more
                desired, steps = judged(session, back)
                xmls = domain_xmls(target, steps)
            question = AddressQuestion(session, changed)
            silent = SilentStart(session, question, steps, can_be_undone=back is None)
            _warn(session)
            mark, before = expiry.chosen(session), expiry.of(target.name)
            session.worker.do(MACHINE.renew_mark, mark)
            began = time.monotonic()
            if not steps:
                run.tell("nothing to do")
            end = began + run.timeout_s if run.timeout_s else None
            go_on(session, back.running if back else ())
            if back:
                back.put(session)
            memories = back.memories if back else {}
            with silent.answering():
                outcome = performed(session, steps, xmls, end, memories, silent)
            if back:
                back.resume(session, outcome.done)
            if mark.until or before:
                expiry.write(session, mark.until)
            if silent.refused or (outcome.failed and run.all_or_nothing):
                outcome = _undone(session, outcome, silent.refused)
                session.look()
                return reported(session, outcome, _steps(session, desired))
        session.look()
        report = reported(session, outcome, _steps(session, desired))
        report = replace(report, done=(*of_steps(session, done), *report.done))
        if fresh := refusals.vms_of(outcome.done, Verb.CREATE):
            began = time.monotonic()
        return checked(session, report, When(began, started, fresh, question.keys, end))


def prepared(session: Session) -> Report:
    """Make what guests will be started with; each device is down, and each guest that runs stays.

    Raises Complaints as `up` does, and when an address is taken, before anything is made.
    """
    with store_files.held(paths.store(), session.run.tell):
        desired, steps = judged(session)
        changed = refusals.vms_of(steps, Verb.CREATE, Verb.UPDATE) | _silent(session, steps)
        with session.claimed(changed):
            if session.keep_login_keys():
                desired, steps = judged(session)
            AddressQuestion(session, changed).refuse()
            _warn(session)
            session.worker.do(MACHINE.renew_mark, expiry.chosen(session))
            steps = preparing(steps)
            if not steps:
                session.tell("nothing to prepare")
            outcome = performed(session, steps, {})
            if outcome.failed and session.run.all_or_nothing:
                outcome = _undone(session, outcome, None)
    session.look()
    return reported(session, outcome, _steps(session, desired))


def judged(
    session: Session, back: "restore.Restoring | None" = None
) -> tuple[Resources, list[Step]]:
    """Return what the plan wants, and the steps to it for the VMs that the command names.

    With `back` guests are put back to a snapshot.

    Raises Complaints about steps that would lose what is to be kept, or end what runs unasked.
    """
    desired = session.wanted(restored=back.domains if back else None)
    steps = _steps(session, back.goal(session, desired) if back else desired)
    refusals.refuse_given(session, steps)
    refusals.refuse_losses(steps)
    refusals.refuse_others(steps, session.run)
    refusals.refuse_restarts(steps, session.run)
    refusals.refuse_shortage(session, steps)
    return desired, steps


def _steps(session: Session, desired: Resources) -> list[Step]:
    """Return what there is to do, for the VMs that the command names."""
    observed, only = _restartable(session.snapshot.resources, session.run), session.run.only
    wanted = desired if only is None else partial.with_only(desired, observed, only)
    return ordered(diff(wanted, observed), session.target.plan)


def plan(target: PlanTarget, run: CommandRun) -> Report:
    """Return what `up` would do; touch nothing."""
    with begun(target, run) as session:
        session.refuse()
        _warn(session)
        steps = diff(session.wanted(build=False), session.snapshot.resources)
        steps = ordered(steps, target.plan)
        refusals.refuse_losses(steps)
        refusals.refuse_shortage(session, steps)
        domain_xmls(target, steps)
        return reported(session, Outcome(), steps)


def check(target: PlanTarget, run: CommandRun) -> Report:
    """Measure who reaches whom among the VMs that run."""
    from provisioner.commands.check.run import When, checked

    started = time.monotonic()
    with begun(target, run) as session:
        running = {d.vm for d in session.domains}
        missing = [vm.name for vm in target.plan.vms if vm.name not in running]
        if missing:
            stopped = [x.vm for x in session.snapshot.facts.live if x.state == STOPPED]
            fix = "bring the plan up first: vmnet up"
            if set(missing) <= set(stopped):
                vms = " ".join(missing)
                fix = f"start what was stopped: vmnet start {vms}"
            lost = [x for x in session.snapshot.facts.live if x.state == LOST]
            found = "; ".join(f"libvirt has lost {x.vm}, its QEMU is process {x.pid}" for x in lost)
            raise VmnetError(
                f"{', '.join(missing)} of the plan {'is' if len(missing) == 1 else 'are'} not up"
                f"{': ' if found else ''}{found}",
                fix=fix,
                status=Exit.CHECK_FAILED,
            )
        end = time.monotonic() + run.timeout_s if run.timeout_s else None
        when = When(started, started, end=end)
        report = replace(reported(session, Outcome(), []), findings=drift.findings(session))
        return checked(session, report, when)


def _warn(session: Session) -> None:
    for warning in warnings(session.target.plan, session.snapshot.facts):
        session.tell(f"warning: {warning}")


def _restartable(found: Resources, run: CommandRun) -> Resources:
    """Return what was found, its guests cut off from NICs that have lost their devices.

    When guests may be started anew: one that releases no NIC could not be helped otherwise.
    """
    if not run.recreate:
        return found
    return {k: cut_off(r) if isinstance(r, Domain) else r for k, r in found.items()}


def _silent(session: Session, steps: Iterable[Step]) -> frozenset[str]:
    """Return the VMs whose guests get a NIC that was down: they were killed while it was silent."""
    there = session.snapshot.resources
    changed = (s.resource for s in steps if s.verb is Verb.UPDATE)
    taps = (r for r in changed if isinstance(r, Macvtap) and r.up)
    return frozenset(t.vm for t in taps if not getattr(there[t.key], "up", True))


def _undone(session: Session, outcome: Outcome, refused: Complaints | None) -> Outcome:
    """Take away what a run has created; return its failures, and those of doing so.

    Raises `refused` then, if there is that.
    """
    why = "an address is taken" if refused else "a step has failed"
    session.tell(f"{why}: what this run has made is taken away again")
    if refused:
        session.run = replace(session.run, grace_s=0.0)  # its guests have just been started
    back = performed(session, undo(outcome.done, session.look().resources), {})
    gone = {r.key for s in back.done for r in (s.resource, *s.together)}
    if refused:
        raise refused
    done = [s for s in outcome.done if s.verb is not Verb.CREATE or s.resource.key not in gone]
    return Outcome(done, [*outcome.failed, *back.failed], outcome.skipped)


def performed(
    session: HostSession,
    steps: list[Step],
    xmls: "Mapping[Key, str]",
    end: float | None = None,
    memories: "Mapping[Key, str] | None" = None,
    silent: SilentStart | None = None,
) -> Outcome:
    """Perform the steps; one that is not done at `end` (time.monotonic()) is given up.

    Domains are created from `xmls`, or restored from the files in `memories`. With `silent`, no
    other step is begun once an address is known to be taken.
    """
    memories = memories or {}
    begun: dict[StepId, float] = {}

    def perform(step: Step) -> None:
        begun[step.id] = time.monotonic()
        step = silent.begun(step) if silent else step
        xml, memory = (x.get(step.resource.key, "") for x in (xmls, memories or {}))
        # What is left may be nothing: host.deadline gives each wait its least.
        within_s = None if end is None else max(_STEP_S, end - time.monotonic())
        grace_s = session.run.grace_s
        if within_s is None and grace_s > _GRACE_S:
            within_s = grace_s + _END_S
        if said := session.worker.within(within_s).do(MACHINE.perform, step, xml, grace_s, memory):
            session.tell(f"warning: {said}")
        if silent:
            silent.done(step)

    ended = 0
    session.run.count(lambda: f"{ended} of {len(steps)} steps are done")

    def tell(step: Step, error: VmnetError | None) -> None:
        nonlocal ended
        ended += 1
        took = f" ({time.monotonic() - begun[step.id]:.2f} s)" if session.run.timed else ""
        session.tell(f"{step}{took}" if error is None else f"FAILED {step}{took}: {error.what}")

    plan = session.target.plan if isinstance(session, Session) else None

    def may_begin(step: Step, is_over: Callable[[], bool]) -> bool:
        vm = awaited_by(step, plan) if plan else ""
        if not vm or not isinstance(session, Session):
            return True
        from provisioner.commands.check.awaited import await_ready

        return await_ready(session, vm, end, is_over)

    verbs = [s.verb for s in steps if isinstance(s.resource, Domain)]
    session.worker.do(MACHINE.expect_starts, verbs.count(Verb.CREATE))
    halted = (lambda: silent.refused is not None) if silent else (lambda: False)
    waiting = sum(bool(plan and awaited_by(s, plan)) for s in steps)  # each in its own thread
    jobs = max(_JOBS, sum(x in _ENDS for x in verbs)) + waiting
    return execute(steps, perform, tell, jobs, halted, may_begin)
