"""The identity of a NIC of a plan."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple, TypeVar

_T = TypeVar("_T")


class NicId(NamedTuple):
    """A NIC: its VM's name, and its number in that VM, from 0."""

    vm: str
    number: int

    @property
    def path(self) -> tuple[str, str, str, int]:
        """Its place in the plan."""
        return ("vms", self.vm, "nics", self.number)

    def __str__(self) -> str:
        """Return VM.NUMBER, as commands take it."""
        return f"{self.vm}.{self.number}"


def numbered(vm: str, nics: Iterable[_T]) -> Iterator[tuple[NicId, _T]]:
    """Return the NICs of one VM, each with its id."""
    return ((NicId(vm, number), nic) for number, nic in enumerate(nics))
