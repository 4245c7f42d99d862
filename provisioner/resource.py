"""What each kind of resource defines: identity, order, live changes, differences.

A kind is a frozen dataclass derived from `Resource`, in network/resources.py or guest/domain.py.
Its driver in host/ observes, creates, updates and deletes it; host/drivers.py joins the two.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import fields
from typing import Any, ClassVar, Self

from provisioner.dataclass import dataclass

Key = tuple[str, str]
"""What identifies a resource among all others of a plan: its kind and its name or path."""

Resources = Mapping[Key, "Resource"]

Text = str | Callable[[Any, Any], str]
"""How a difference of a field reads, from the wanted and the found value."""


@dataclass(frozen=True, slots=True)
class Resource:
    """One thing that vmnet makes, or has left, on a host."""

    KIND: ClassVar[str]
    ID: ClassVar[str] = "name"
    """The field that identifies the resource among those of its kind."""
    LIVE: ClassVar[frozenset[str]] = frozenset()
    """The fields that can be set while it exists, unnoticed by whatever depends on it."""
    TEXTS: ClassVar[Mapping[str, Text]] = {}
    """How differences of fields read whose values alone would mean nothing to the user."""
    UNWANTED: ClassVar[str] = "not in the plan"
    """Why it is deleted when the plan does not call for it."""
    IS_GUEST: ClassVar[bool] = False
    """A guest runs in it: it is recreated last, and does not notice the loss of what it needs."""
    GOES_FIRST: ClassVar[bool] = False
    """No other step is taken before it has been deleted."""
    OF_HOST: ClassVar[bool] = False
    """It belongs to no plan in particular, and needs no folder of the plan's."""

    @property
    def key(self) -> Key:
        """What identifies it among all resources of a plan."""
        return self.KIND, str(getattr(self, self.ID))

    @property
    def label(self) -> str:
        """What it is called in steps."""
        return " ".join(self.key)

    def called(self, known: Mapping[Key, "Resource"]) -> str:
        """Return what people call it; `known` are the things that it may be named by."""
        del known
        return self.label

    def needs(self) -> tuple[Key, ...]:
        """Return what must exist before it can, and without which it cannot stay."""
        return ()

    def still_needs(self, want: "Resource | None") -> tuple[Key, ...]:
        """Return what it needs now and would go on needing if it became `want` while it exists."""
        del want
        return self.needs()

    def follows(self, others: Mapping[Key, "Resource"]) -> tuple[Key, ...]:
        """Return which of `others` should exist before it is created, though it can do without."""
        del others
        return ()

    def excludes(self, other: "Resource") -> bool:
        """Return whether it cannot be created while `other`, which goes, exists."""
        del other
        return False

    @property
    def stays(self) -> bool:
        """Whether it may stay though no plan calls for it."""
        return False

    def can_become(self, want: Self, changed: AbstractSet[str]) -> bool:
        """Return whether it can become `want`, which differs in `changed`, while it exists."""
        del want
        return changed <= self.LIVE

    def differences(self, want: Self) -> Iterator[tuple[str, str]]:
        """Return each field in which it differs from `want`, and how that reads."""
        for f in fields(self):
            wanted, found = getattr(want, f.name), getattr(self, f.name)
            if f.compare and wanted != found:
                yield f.name, _difference(f.name, self.TEXTS.get(f.name), wanted, found)


@dataclass(frozen=True, slots=True)
class Leftover(Resource):
    """What a run of vmnet has left: it is found and deleted, and no plan calls for it."""

    UNWANTED: ClassVar[str] = "left by a killed vmnet"


def _difference(name: str, text: Text | None, wanted: object, found: object) -> str:
    if text is None:
        return f"{name.replace('_', ' ')} is {plain(found)}, want {plain(wanted)}"
    return text if isinstance(text, str) else text(wanted, found)


def changed(*names: str) -> dict[str, Text]:
    """Return texts of fields that are too long or too secret to be shown."""
    return {name: f"{name.replace('_', ' ')} has changed" for name in names}


def plain(value: object) -> str:
    """Return a value as it reads in a difference."""
    match value:
        case tuple():
            return " ".join(map(plain, value)) or "none"
        case None | "":
            return "none"
        case bool():
            return "on" if value else "off"
        case _:
            return str(value)


def by_key(resources: Iterable[Resource]) -> dict[Key, Resource]:
    """Index resources by what identifies them."""
    return {r.key: r for r in resources}
