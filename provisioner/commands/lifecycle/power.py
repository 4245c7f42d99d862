"""stop, start, restart, pause and resume: guests led on, their devices and disks kept."""

import time
from collections.abc import Collection
from dataclasses import replace

from provisioner.commands.execute import Outcome
from provisioner.commands.lifecycle.meant import meant
from provisioner.commands.reporting.reported import reported
from provisioner.commands.session import HostSession, begun
from provisioner.commands.target import CommandRun, NameTarget, PlanTarget
from provisioner.commands.up import brought_up, judged, performed, up
from provisioner.guest.domain import Domain
from provisioner.network.facts import Live
from provisioner.network.resources import Macvtap
from provisioner.reconcile import partial
from provisioner.reconcile.diff import Step, Verb
from provisioner.report.report import Report

_PAUSED = "paused"


def stop(target: PlanTarget | NameTarget, run: CommandRun, vms: Collection[str]) -> Report:
    """Shut guests down; what they are made of stays. Without `vms` all of the plan's."""
    with begun(target, run) as session:
        outcome = shut_down(session, meant(session, vms))
        session.look()
        return reported(session, outcome, [])


def start(target: PlanTarget, run: CommandRun) -> Report:
    """Start the VMs in `run.only`, and what they need; touch no other. Then check them."""
    return up(target, run)


def restart(target: PlanTarget, run: CommandRun) -> Report:
    """Shut guests down and start them again, as the plan has them now."""
    started = time.monotonic()
    with begun(target, replace(run, recreate=True)) as session:
        session.refuse()
        judged(session)  # what cannot be started again is not stopped
        outcome = shut_down(session, run.only or ())
        session.look()
        if outcome.failed:
            return reported(session, outcome, [])
        return brought_up(session, started, outcome.done)


def pause(target: PlanTarget | NameTarget, run: CommandRun, vms: Collection[str]) -> Report:
    """Halt guests where they are; without `vms` all of the plan's."""
    return _led(target, run, vms, Verb.PAUSE)


def resume(target: PlanTarget | NameTarget, run: CommandRun, vms: Collection[str]) -> Report:
    """Let guests that are paused go on; without `vms` all of the plan's."""
    return _led(target, run, vms, Verb.RESUME)


def _led(
    target: PlanTarget | NameTarget, run: CommandRun, vms: Collection[str], verb: Verb
) -> Report:
    with begun(target, run) as session:
        paused = {x.vm for x in session.snapshot.facts.live if _is_paused(x)}
        steps = [
            Step(verb, domain, f"vmnet {run.command}")
            for domain in _running(session, meant(session, vms))
            if (domain.vm in paused) is (verb is Verb.RESUME)
        ]
        outcome = performed(session, steps, {})
        session.look()
        return reported(session, outcome, [])


def _is_paused(vm: Live) -> bool:
    return vm.state.startswith(_PAUSED)


def shut_down(session: HostSession, vms: Collection[str]) -> Outcome:
    """Shut VMs down, and set down what a stop that was killed has left up."""
    cause = f"vmnet {session.run.command}"
    running = _running(session, vms)
    steps = [Step(Verb.STOP, domain, cause) for domain in running]
    there = session.snapshot.resources
    ended = set(vms) - {domain.vm for domain in running}
    steps += [
        Step(Verb.UPDATE, replace(r, up=False), "its guest does not run")
        for r in there.values()
        if isinstance(r, Macvtap) and r.up and partial.vm_of(r, there) in ended
    ]
    return performed(session, steps, {})


def _running(session: HostSession, vms: Collection[str]) -> list[Domain]:
    return [domain for domain in session.domains if domain.vm in vms]
