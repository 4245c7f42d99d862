"""The steps that take away what a run has created, and nothing that was there before it."""

from collections.abc import Collection
from dataclasses import replace

from provisioner.guest.domain import Overlay
from provisioner.reconcile.diff import Step, Verb, diff
from provisioner.resource import Key, Resource, Resources


def undo(done: Collection[Step], observed: Resources) -> list[Step]:
    """Return the deletions of what `done` has created and is there.

    What was there before and was made anew stays, and so does whatever something older needs by
    now, as a guest does that was given a NIC. A disk goes with what its guest has written since:
    it is of this run.
    """
    old = {s.resource.key for s in done if s.verb is Verb.DELETE}
    old |= {r.key for s in done if s.verb is Verb.DELETE for r in s.together}
    created = {s.resource.key for s in done if s.verb is Verb.CREATE} - old
    stays = {k: r for k, r in observed.items() if k not in created}
    while needed := _needed(stays, observed):
        stays |= needed
    return diff(stays, {k: r if k in stays else _disposable(r) for k, r in observed.items()})


def _needed(stays: Resources, observed: Resources) -> dict[Key, Resource]:
    keys = (k for r in stays.values() for k in r.needs())
    return {k: observed[k] for k in keys if k in observed and k not in stays}


def _disposable(resource: Resource) -> Resource:
    return replace(resource, keep=False) if isinstance(resource, Overlay) else resource
