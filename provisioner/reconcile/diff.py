"""The steps from what is observed to what is desired, each with its cause.

What a kind of resource needs, follows, excludes and can change stands on its value (`Resource`).
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from enum import StrEnum
from typing import Final

from provisioner.dataclass import dataclass
from provisioner.errors import VmnetError
from provisioner.network.resources import Device, Macvtap
from provisioner.resource import Key, Resource, Resources


class Verb(StrEnum):
    """One step is one call to the kernel or to libvirt."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"
    # Of guests, which keep their devices and files; no diff calls for these.
    STOP = "stop"
    PAUSE = "pause"
    RESUME = "resume"


_NEW, _MISSING = "new", "missing"
_NAMELESS: Final = frozenset({_NEW, _MISSING})  # causes that name nothing

StepId = tuple[Verb, Key]


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do, why, and what must be done before it."""

    verb: Verb
    resource: Resource
    cause: str
    after: frozenset[StepId] = frozenset()
    together: tuple[Resource, ...] = ()  # what else goes in the same call
    names: str = ""  # of the resources, in a plan; "" for their labels

    @property
    def id(self) -> StepId:
        """Identify the step among the others of one run."""
        return self.verb, self.resource.key

    @property
    def title(self) -> str:
        """What people call the resources."""
        return self.names or ", ".join(r.label for r in (self.resource, *self.together))

    def __str__(self) -> str:
        """Return the line that `vmnet plan` prints, the log keeps and the tests compare."""
        return f"{self.verb} {self.title}: {self.cause}"


def diff(desired: Resources, observed: Resources) -> list[Step]:
    """Return the steps that turn `observed` into `desired`; none means that the plan is up."""
    live: dict[Key, str] = {}
    stale: dict[Key, str] = {}
    for k, have in observed.items():
        if (want := desired.get(k)) is None:
            stale |= {} if have.stays else {k: have.UNWANTED}
        elif found := dict(have.differences(want)):
            cause = ", ".join(found.values())
            (live if have.can_become(want, found.keys()) else stale)[k] = cause
    while True:
        _orphans(stale, desired, observed)
        _spread(stale, desired, observed)
        for k in stale:
            live.pop(k, None)
        steps = _Steps(desired, observed, stale, live).all()
        circle = _circle(steps)
        if not circle:
            break
        stale[_breaker(circle, observed)] = "what it gets must wait until it has released the old"
    at_once = _together(steps, observed)
    return steps if _circle(at_once) else at_once


def _circle(steps: list[Step]) -> list[StepId]:
    """Return steps that wait for each other; none when the steps can be executed."""
    from graphlib import CycleError, TopologicalSorter

    known = {s.id for s in steps}
    try:
        TopologicalSorter({s.id: s.after & known for s in steps}).prepare()
    except CycleError as error:
        found: list[StepId] = error.args[1]
        return found
    return []


def _breaker(circle: list[StepId], observed: Resources) -> Key:
    """Return what to delete and create instead of updating it, so that the circle ends.

    Deletions wait for deletions and updates only, so every circle has an update in it. A guest is
    chosen only when nothing else can be. Raises VmnetError when there is no update.
    """
    changed = [k for verb, k in circle if verb is Verb.UPDATE]
    if not changed:
        raise VmnetError(
            "the steps wait for each other: " + ", ".join(f"{v} {' '.join(k)}" for v, k in circle),
            fix="take the plan down and bring it up again: vmnet down, then vmnet up",
        )
    return min(changed, key=lambda k: (observed[k].IS_GUEST, k))


class _Steps:
    """What goes, what changes and what comes, each after what must be done before it."""

    def __init__(
        self, desired: Resources, observed: Resources, stale: dict[Key, str], live: dict[Key, str]
    ) -> None:
        self._desired = desired
        self._observed = observed
        self._stale = stale
        self._live = live
        self._missing = {k for k in desired if k in stale or k not in observed}
        self._dependents = _backwards(observed, lambda r: r.needs())
        self._followers = _backwards(observed, lambda r: r.follows(observed))
        self._known = {**observed, **desired}
        called = {r.label: r.called(self._known) for r in self._known.values()}
        called |= {r.name: r.of for r in self._known.values() if isinstance(r, Macvtap)}
        self._called = {label: name for label, name in called.items() if label != name}
        self._lost = _lost(desired, observed)
        self._first = frozenset((Verb.DELETE, k) for k in stale if observed[k].GOES_FIRST)

    def all(self) -> list[Step]:
        """Return all steps: deletions first, creations last."""
        deletes = [
            self._step(Verb.DELETE, self._observed[k], cause, self._before_delete(k))
            for k, cause in self._stale.items()
        ]
        updates = [
            self._step(Verb.UPDATE, self._desired[k], cause, self._before(k))
            for k, cause in self._live.items()
        ]
        creates = [
            self._step(
                Verb.CREATE,
                self._desired[k],
                self._stale.get(k, _MISSING if k in self._lost else _NEW),
                self._before(k) | self._before_create(k),
            )
            for k in self._desired
            if k in self._missing
        ]
        return deletes + updates + creates

    def _step(self, verb: Verb, resource: Resource, cause: str, after: frozenset[StepId]) -> Step:
        after = after if resource.GOES_FIRST else after | self._first
        if cause not in _NAMELESS:
            for label, name in self._called.items():
                cause = cause.replace(label, name)
        return Step(
            verb, resource, cause, after, names=self._known[resource.key].called(self._known)
        )

    def _before_delete(self, k: Key) -> frozenset[StepId]:
        """Whatever depends on a thing releases it first; a guard stands until its guest is gone.

        What merely follows a thing and stays is not waited for when the thing comes again: its
        own update waits for the new one.
        """
        users = {*self._dependents.get(k, ()), *self._followers.get(k, ())}
        again = k in self._missing
        return frozenset(
            {(Verb.DELETE, u) for u in users if u in self._stale}
            | {
                (Verb.UPDATE, u)
                for u in users
                if u in self._live and not (again and k in self._needed(u))
            }
        )

    def _needed(self, k: Key) -> set[Key]:
        """Return what a thing of the plan needs or follows."""
        want = self._desired[k]
        return {*want.needs(), *want.follows(self._desired)}

    def _before(self, k: Key) -> frozenset[StepId]:
        """What a thing needs or follows is made or changed before it is."""
        needed = self._needed(k)
        return frozenset(
            {(Verb.CREATE, n) for n in needed if n in self._missing}
            | {(Verb.UPDATE, n) for n in needed if n in self._live}
        )

    def _before_create(self, k: Key) -> frozenset[StepId]:
        """The old one goes first, and whatever else cannot exist beside the new one."""
        want = self._desired[k]
        return frozenset(
            (Verb.DELETE, o) for o in self._stale if o == k or want.excludes(self._observed[o])
        )


def _lost(desired: Resources, observed: Resources) -> set[Key]:
    """Return what must have been there: something stands on it, or it is a guest that has ended."""
    gone = {k: want for k, want in desired.items() if k not in observed}
    used = {k for have in observed.values() for k in (*have.needs(), *have.follows(gone))}
    ended = {
        k for k, want in gone.items() if want.IS_GUEST and any(n in observed for n in want.needs())
    }
    return used & {*gone} | ended


def _backwards(
    resources: Resources, of: Callable[[Resource], Iterable[Key]]
) -> dict[Key, list[Key]]:
    out: dict[Key, list[Key]] = {}
    for k, r in resources.items():
        for n in of(r):
            out.setdefault(n, []).append(k)
    return out


def _orphans(stale: dict[Key, str], desired: Resources, observed: Resources) -> None:
    """A guest never notices that its tap is gone: a new macvtap of that name is not its own."""
    for k, have in observed.items():
        if have.IS_GUEST and k not in stale:
            gone = [n for n in have.still_needs(desired.get(k)) if n not in observed]
            if gone:
                stale[k] = f"depends on {' '.join(gone[0])}, which is gone"


def _spread(stale: dict[Key, str], desired: Resources, observed: Resources) -> None:
    """Whatever depends on a stale thing goes with it: a domain cannot outlive its tap."""
    while grown := {
        k: f"depends on {observed[n].label}"
        for k, have in observed.items()
        for n in have.still_needs(desired.get(k))
        if n in stale and k not in stale
    }:
        stale |= grown


def _together(steps: list[Step], observed: Resources) -> list[Step]:
    """Delete all devices of the plan in one call when none of them stays.

    Deleting links one by one costs an RCU grace period each, about 17 ms; a delete by group
    costs one (facts: macvlan, RTM_DELLINK with IFLA_GROUP).
    """
    links = [s for s in steps if s.verb is Verb.DELETE and isinstance(s.resource, Device)]
    if len(links) < 2 or len(links) < sum(  # noqa: PLR2004  (one link is one call already)
        isinstance(r, Device) for r in observed.values()
    ):
        return steps
    gone = {s.id for s in links}
    first, *rest = links
    one = Step(
        Verb.DELETE,
        first.resource,
        first.cause,
        frozenset().union(*(s.after for s in links)) - gone,
        tuple(s.resource for s in rest),
        ", ".join(s.names for s in links),
    )
    # A link that was made before would go with the group.
    others = [
        replace(s, after=s.after - gone | {one.id})
        if s.after & gone or isinstance(s.resource, Device)
        else s
        for s in steps
        if s.id not in gone
    ]
    first_other = next((n for n, s in enumerate(others) if s.verb is not Verb.DELETE), len(others))
    return [*others[:first_other], one, *others[first_other:]]
