"""Desired against observed: the steps between them, each with its cause."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum

from provisioner.errors import VmnetError
from provisioner.guest.domain import Domain
from provisioner.network.resources import HostAccess, Link, Macvtap
from provisioner.reconcile.drift import can_live, drift
from provisioner.reconcile.resources import Key, Resource, Resources, follows, key, label, needs


class Verb(StrEnum):
    """One step is one call to the kernel or to libvirt."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"


StepId = tuple[Verb, Key]


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do, why, and what must be done before it."""

    verb: Verb
    resource: Resource
    cause: str
    after: frozenset[StepId] = frozenset()
    together: tuple[Resource, ...] = ()  # what else goes in the same call

    @property
    def id(self) -> StepId:
        """Identify the step among the others of one run."""
        return self.verb, key(self.resource)

    def __str__(self) -> str:
        """Give the line that `vmnet plan` prints, the log keeps and the tests compare."""
        names = ", ".join(label(r) for r in (self.resource, *self.together))
        return f"{self.verb} {names}: {self.cause}"


def diff(desired: Resources, observed: Resources) -> list[Step]:
    """List the steps that turn `observed` into `desired`; none means that the plan is up."""
    drifts = {k: tuple(drift(desired.get(k), have)) for k, have in observed.items()}
    live = {
        k: told
        for k, found in drifts.items()
        if found
        and (told := [t for _, t in found])
        and can_live(desired.get(k), observed[k], [name for name, _ in found])
    }
    stale = {
        k: ", ".join(t for _, t in found) for k, found in drifts.items() if found and k not in live
    }
    while True:
        _orphans(stale, desired, observed)
        _spread(stale, desired, observed)
        for k in stale:
            live.pop(k, None)
        steps = _Steps(desired, observed, stale, live).all()
        circle = _circle(steps)
        if not circle:
            break
        stale[_breaker(circle, observed)] = "what it gets must wait until it has let go of the old"
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
    return min(changed, key=lambda k: (isinstance(observed[k], Domain), k))


class _Steps:
    """What goes, what changes and what comes, each after what must be done before it."""

    def __init__(
        self,
        desired: Resources,
        observed: Resources,
        stale: dict[Key, str],
        live: dict[Key, list[str]],
    ) -> None:
        self._desired = desired
        self._observed = observed
        self._stale = stale
        self._live = live
        self._missing = {k for k in desired if k in stale or k not in observed}
        self._leaning = _backwards(observed, needs)
        self._behind = _backwards(observed, lambda r: follows(r, observed))

    def all(self) -> list[Step]:
        """Give all steps: deletions first, creations last."""
        deletes = [
            Step(Verb.DELETE, self._observed[k], cause, self._before_delete(k))
            for k, cause in self._stale.items()
        ]
        updates = [
            Step(Verb.UPDATE, self._desired[k], ", ".join(told), self._before(k))
            for k, told in self._live.items()
        ]
        creates = [
            Step(
                Verb.CREATE,
                self._desired[k],
                self._stale.get(k, "missing"),
                self._before(k) | self._before_create(k),
            )
            for k in self._desired
            if k in self._missing
        ]
        return deletes + updates + creates

    def _before_delete(self, k: Key) -> frozenset[StepId]:
        """Whatever leans on a thing lets go of it first; a guard stands until its guest is gone.

        What merely follows a thing and stays is not waited for when the thing comes again: its
        own update waits for the new one.
        """
        users = {*self._leaning.get(k, ()), *self._behind.get(k, ())}
        again = k in self._missing
        return frozenset(
            {(Verb.DELETE, u) for u in users if u in self._stale}
            | {
                (Verb.UPDATE, u)
                for u in users
                if u in self._live and not (again and k in self._first(u))
            }
        )

    def _first(self, k: Key) -> set[Key]:
        """Return what a thing of the plan needs or follows."""
        return {*needs(self._desired[k]), *follows(self._desired[k], self._desired)}

    def _before(self, k: Key) -> frozenset[StepId]:
        """What a thing needs or follows is made or changed before it is."""
        first = self._first(k)
        return frozenset(
            {(Verb.CREATE, n) for n in first if n in self._missing}
            | {(Verb.UPDATE, n) for n in first if n in self._live}
        )

    def _before_create(self, k: Key) -> frozenset[StepId]:
        """The old one goes first; on an uplink also others, which may have its MAC or be passthru.

        The kernel refuses anything beside passthru, and two devices with one MAC.
        """
        want = self._desired[k]
        out = {(Verb.DELETE, k)} if k in self._stale else set()
        if isinstance(want, Macvtap | HostAccess):
            out |= {
                (Verb.DELETE, o)
                for o in self._stale
                if isinstance(old := self._observed[o], Macvtap | HostAccess)
                and old.uplink == want.uplink
            }
        return frozenset(out)


def _backwards(
    resources: Resources, of: Callable[[Resource], tuple[Key, ...]]
) -> dict[Key, list[Key]]:
    out: dict[Key, list[Key]] = {}
    for k, r in resources.items():
        for n in of(r):
            out.setdefault(n, []).append(k)
    return out


def _still_needs(k: Key, desired: Resources, observed: Resources) -> tuple[Key, ...]:
    """Give what a thing leans on now and would go on leaning on; a guest can lose a card alive."""
    now = needs(observed[k])
    want = desired.get(k)
    if not isinstance(observed[k], Domain) or want is None:
        return now
    return tuple(n for n in now if n in needs(want))


def _orphans(stale: dict[Key, str], desired: Resources, observed: Resources) -> None:
    """A guest never notices that its tap is gone: a new macvtap of that name is not its own."""
    for k, have in observed.items():
        if isinstance(have, Domain) and k not in stale:
            gone = [n for n in _still_needs(k, desired, observed) if n not in observed]
            if gone:
                stale[k] = f"leans on {' '.join(gone[0])}, which is gone"


def _spread(stale: dict[Key, str], desired: Resources, observed: Resources) -> None:
    """Whatever leans on a stale thing goes with it: a domain cannot outlive its tap."""
    while grown := {
        k: f"leans on {label(observed[n])}"
        for k in observed
        for n in _still_needs(k, desired, observed)
        if n in stale and k not in stale
    }:
        stale |= grown


def _together(steps: list[Step], observed: Resources) -> list[Step]:
    """Take all links of the plan away in one call when none of them stays.

    Deleting links one by one costs an RCU grace period each, about 17 ms; a delete by group
    costs one (facts: macvlan, RTM_DELLINK with IFLA_GROUP).
    """
    links = [s for s in steps if s.verb is Verb.DELETE and isinstance(s.resource, Link)]
    if len(links) < 2 or len(links) < sum(  # noqa: PLR2004  (one link is one call already)
        isinstance(r, Link) for r in observed.values()
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
    )
    # A link that was made before would go with the group.
    others = [
        replace(s, after=s.after - gone | {one.id})
        if s.after & gone or isinstance(s.resource, Link)
        else s
        for s in steps
        if s.id not in gone
    ]
    first_other = next((n for n, s in enumerate(others) if s.verb is not Verb.DELETE), len(others))
    return [*others[:first_other], one, *others[first_other:]]
