"""What a NIC of a plan is known by."""

from typing import NamedTuple


class NicId(NamedTuple):
    """A NIC: its VM's name, and its number in that VM, from 0."""

    vm: str
    number: int

    @property
    def path(self) -> tuple[str, str, str, int]:
        """Its place in the plan."""
        return ("vms", self.vm, "nics", self.number)
