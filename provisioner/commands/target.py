"""What a command is about, and how it goes about it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from provisioner.commands.command import Command
from provisioner.host.system.plan_files import Fence

if TYPE_CHECKING:
    from provisioner.plan.load.positions import Places
    from provisioner.plan.model import Plan

Tell = Callable[[str], None]
"""Takes a line about something that happens."""


@dataclass(frozen=True, slots=True)
class Options:
    """What a command line can change about how a command goes about its work."""

    command: Command
    timeout_s: float = 0.0  # of waiting for guests; 0 leaves it to what they boot
    lock_timeout_s: float = 30.0
    recreate: bool = False
    pairs: str = "all"  # or "sample": a part of them that touches every guest
    idle: Callable[[], None] = lambda: None  # called while the guests boot: there is time then
    wide: bool = False  # the guests are asked about themselves


@dataclass(frozen=True, slots=True)
class NameTarget:
    """A plan that may have no file any more, by its name; `uri` is where libvirt is."""

    name: str
    uri: str = ""

    @property
    def connection(self) -> str:
        """Where libvirt is; "auto" leaves it to vmnet."""
        return self.uri or "auto"


@dataclass(frozen=True, slots=True)
class PlanTarget:
    """A plan that has been loaded."""

    name: str
    plan: "Plan"
    positions: "Places"  # of its values, in its file
    folder: Path = Path()  # of the plan's file: what it names is looked for from there
    uri: str = ""  # of libvirt, when the operator names one: instead of the plan's
    allowed: tuple[Path, ...] = ()  # outside that folder, by the operator: files, or whole folders

    @property
    def connection(self) -> str:
        """Where libvirt is: what the operator says, else the plan."""
        return self.uri or self.plan.connection

    @property
    def fence(self) -> Fence:
        """Where the files that the plan names may lie."""
        return Fence(self.folder, self.allowed)
