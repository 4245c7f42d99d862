"""A request to the kernel's rtnetlink as a value: nothing of it is encoded yet."""

from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Any

from provisioner.dataclass import dataclass

Attribute = tuple[str, Any]


@dataclass(frozen=True, slots=True)
class Message:
    """One request, in the names that pyroute2 and the kernel's headers have for its parts."""

    type: str  # RTM_…
    fields: Mapping[str, int]  # of the header: struct ifinfomsg, ifaddrmsg, rtmsg, tcmsg
    attributes: Sequence[Attribute] = ()
    create: bool = False  # what exists is an error
    fixes: Mapping[int, str] = field(default_factory=dict)  # for the kernel's answers, by errno
    ignored: frozenset[int] = frozenset()  # answers that are no error


def nested(*attributes: Attribute) -> dict[str, Sequence[Attribute]]:
    """Return the value of an attribute that consists of attributes."""
    return {"attrs": attributes}
