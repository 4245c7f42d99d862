"""The steps that are taken before any guest is started: what only has to be made."""

from collections.abc import Iterable
from dataclasses import replace

from provisioner.guest.domain import Domain
from provisioner.network.resources import Macvtap
from provisioner.reconcile.diff import Step, Verb


def preparing(steps: Iterable[Step]) -> list[Step]:
    """Return the steps that make something new, start no guest and touch none that runs.

    Macvtaps are made down. In mode passthru they are left out: beside one nothing else can be on
    the uplink, by which the guests of other plans are asked for addresses.
    """
    steps = list(steps)
    left = {step.id for step in steps if not _prepares(step)}
    while more := {step.id for step in steps if step.id not in left and step.after & left}:
        left |= more
    return [_down(step) for step in steps if step.id not in left]


def _prepares(step: Step) -> bool:
    things = (step.resource, *step.together)
    waits = any(isinstance(one, Domain) or _is_exclusive(one) for one in things)
    return step.verb is Verb.CREATE and not waits


def _is_exclusive(one: object) -> bool:
    return isinstance(one, Macvtap) and one.mode.is_exclusive


def _down(step: Step) -> Step:
    if not isinstance(step.resource, Macvtap):
        return step
    together = tuple(replace(x, up=False) if isinstance(x, Macvtap) else x for x in step.together)
    return replace(step, resource=replace(step.resource, up=False), together=together)
