"""What `up` would do, as findings: a green table proves nothing where a guard is missing."""

from collections.abc import Iterable

from provisioner.check.result import Finding
from provisioner.commands.guards import kept
from provisioner.commands.session import Session
from provisioner.errors import Complaints, VmnetError
from provisioner.guest.domain import Domain
from provisioner.guest.domain_state import FROZEN
from provisioner.reconcile.diff import Step, Verb, diff
from provisioner.resource import Leftover


def findings(session: Session) -> tuple[Finding, ...]:
    """Return a finding for each step that would turn the host, as last seen, into the plan's."""
    try:
        steps = diff(session.wanted(build=False), session.snapshot.resources)
    except Complaints as complaints:
        return tuple(map(_unknown, complaints.errors))
    except VmnetError as error:
        return (_unknown(error),)
    plan, facts = session.target.plan, session.snapshot.facts
    for line in kept.unseen(plan, facts):
        session.tell(line)
    return (*of_steps(steps), *kept.of_granted(plan, facts))


def of_steps(steps: Iterable[Step]) -> Iterable[Finding]:
    """Return a finding for each step, about the VM or the device that it concerns.

    What is deleted and made anew is one thing that differs, and told once.
    """
    every = tuple(steps)
    made, gone = (
        {r.key for s in every if s.verb is verb for r in (s.resource, *s.together)}
        for verb in (Verb.CREATE, Verb.DELETE)
    )
    for step in every:
        resource = step.resource
        if isinstance(resource, Leftover):  # of a killed vmnet: it changes no measurement
            continue
        if step.verb is Verb.DELETE and all(r.key in made for r in (resource, *step.together)):
            continue
        if step.cause == f"it is {FROZEN}":  # it is not up, and that says why
            continue
        vm = resource.vm if isinstance(resource, Domain) else ""
        restart = " --recreate" if vm and resource.key in gone else ""
        yield Finding(
            f"the host is not as the plan says; vmnet up would {step}",
            f"run vmnet up{restart}, or take the change back",
            about=vm or step.title,
        )


def _unknown(error: VmnetError) -> Finding:
    what = f"it is not known whether the host is as the plan says: {error.what}"
    return Finding(what, error.fix or "run vmnet plan")
