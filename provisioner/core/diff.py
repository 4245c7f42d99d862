"""Desired against observed: the steps between them, each with its cause."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from enum import StrEnum

from provisioner.core.resources import (
    Domain,
    Key,
    Macvtap,
    Resource,
    Resources,
    Seed,
    Switch,
    key,
    label,
    needs,
)


class Verb(StrEnum):
    """One step is one call to the kernel or to libvirt."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"


StepId = tuple[Verb, Key]

# What can be set on a thing that lives, without anything that leans on it noticing.
_LIVE: dict[type[Resource], frozenset[str]] = {
    Switch: frozenset({"addresses", "mtu", "alias", "up"}),
    Macvtap: frozenset({"mode", "mtu", "alias", "altname", "up", "quiet", "node"}),
    Seed: frozenset(),
    Domain: frozenset(),
}


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
    drifts = {k: tuple(_drift(desired.get(k), have)) for k, have in observed.items()}
    live = {
        k: told
        for k, drift in drifts.items()
        if drift
        and (told := [t for _, t in drift])
        and _can_live(desired.get(k), observed[k], [name for name, _ in drift])
    }
    stale = {
        k: ", ".join(t for _, t in drift) for k, drift in drifts.items() if drift and k not in live
    }
    _orphans(stale, observed)
    _spread(stale, observed)
    for k in stale:
        live.pop(k, None)
    deletes = [
        Step(
            Verb.DELETE,
            observed[k],
            cause,
            frozenset((Verb.DELETE, d) for d in stale if k in needs(observed[d])),
        )
        for k, cause in stale.items()
    ]
    updates = [Step(Verb.UPDATE, desired[k], ", ".join(told)) for k, told in live.items()]
    creates = _creates(desired, observed, stale, {s.id for s in updates})
    return _together(deletes, observed) + updates + creates


def _creates(
    desired: Resources, observed: Resources, stale: dict[Key, str], updates: set[StepId]
) -> list[Step]:
    missing = [k for k in desired if k in stale or k not in observed]
    return [
        Step(
            Verb.CREATE,
            desired[k],
            stale.get(k, "missing"),
            frozenset({(Verb.DELETE, k)} if k in stale else ())
            | frozenset((Verb.CREATE, n) for n in needs(desired[k]) if n in missing)
            | frozenset((Verb.UPDATE, n) for n in needs(desired[k]) if (Verb.UPDATE, n) in updates),
        )
        for k in missing
    ]


def _orphans(stale: dict[Key, str], observed: Resources) -> None:
    """A guest never notices that its tap is gone: a new macvtap of that name is not its own."""
    for k, have in observed.items():
        gone = [n for n in needs(have) if n not in observed] if isinstance(have, Domain) else []
        if gone and k not in stale:
            stale[k] = f"leans on {' '.join(gone[0])}, which is gone"


def _spread(stale: dict[Key, str], observed: Resources) -> None:
    """Whatever leans on a stale thing goes with it: a domain cannot outlive its tap."""
    while grown := {
        k: f"leans on {label(observed[n])}"
        for k, have in observed.items()
        for n in needs(have)
        if n in stale and k not in stale
    }:
        stale |= grown


def _together(deletes: list[Step], observed: Resources) -> list[Step]:
    """Take all links of the plan away in one call when none of them stays.

    Deleting links one by one costs an RCU grace period each, about 17 ms; a delete by group
    costs one (facts: macvlan, RTM_DELLINK with IFLA_GROUP).
    """
    links = [s for s in deletes if isinstance(s.resource, Macvtap | Switch)]
    if len(links) < 2 or len(links) < sum(  # noqa: PLR2004  (one link is one call already)
        isinstance(r, Macvtap | Switch) for r in observed.values()
    ):
        return deletes
    gone = {s.id for s in links}
    first, *rest = links
    one = Step(
        Verb.DELETE,
        first.resource,
        first.cause,
        frozenset().union(*(s.after for s in links)) - gone,
        tuple(s.resource for s in rest),
    )
    return [*(s for s in deletes if s.id not in gone), one]


def _can_live(want: Resource | None, have: Resource, changed: Iterable[str]) -> bool:
    if want is None or not set(changed) <= _LIVE[type(have)]:
        return False
    match want, have:
        case Macvtap(), Macvtap():
            # The kernel answers EINVAL to a change to or from passthru; a node that belongs to
            # another device can only be mended by taking another ifindex.
            return have.node != "foreign" and (
                want.mode == have.mode or "passthru" not in {want.mode, have.mode}
            )
        case _:
            return True


def _drift(want: Resource | None, have: Resource) -> Iterator[tuple[str, str]]:
    """Name every field that differs."""
    if want is None:
        yield "", "not in the plan"
        return
    for f in fields(want):
        if f.compare and getattr(want, f.name) != getattr(have, f.name):
            yield f.name, _told(f.name, getattr(want, f.name), getattr(have, f.name))


def _told(name: str, want: object, have: object) -> str:
    words = name.replace("_", " ")
    match name:
        case "up":
            return "is down" if want else "is up"
        case "quiet":
            return "the host speaks through it"
        case "node":
            return f"its /dev/tap node is {have}"
        case "cmdline" | "image_cmdline" | "initrd" | "kernel":
            return f"{words} has changed"
        case _:
            return f"{words} is {_plain(have)}, want {_plain(want)}"


def _plain(value: object) -> str:
    match value:
        case tuple():
            return " ".join(map(_plain, value)) or "none"
        case None | "":
            return "none"
        case _:
            return str(getattr(value, "link", value))
