"""What a command is about: a plan, and the options of the command line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from provisioner.host.system import plan_files as planfiles

if TYPE_CHECKING:
    from provisioner.plan.load.loader import Loaded
    from provisioner.plan.model import Plan


Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Options:
    """What a command line can change about how a command goes about its work."""

    command: str
    timeout_s: float = 0.0  # of waiting for guests; 0 leaves it to what they boot
    lock_timeout_s: float = 30.0
    recreate: bool = False
    pairs: str = "all"  # or "sample": a part of them that touches every guest
    idle: Callable[[], None] = lambda: None  # called while the guests boot: there is time then
    wide: bool = False  # the guests are asked for their own words


@dataclass(frozen=True, slots=True)
class Target:
    """What a command is about: a plan, or only the name of one that may have no file any more."""

    name: str
    loaded: Loaded | None = None
    folder: Path = Path()  # of the plan's file: what it names is looked for from there
    uri: str = ""  # of libvirt, when the operator names one: instead of the plan's
    allowed: tuple[Path, ...] = ()  # outside that folder, by the operator: files, or whole folders

    @property
    def plan(self) -> Plan:
        """The plan itself; only commands that demand a file ask for it."""
        if self.loaded is None:
            raise RuntimeError(self.name)
        plan: Plan = self.loaded.plan
        return plan

    @property
    def connection(self) -> str:
        """Where libvirt is: what the operator says, else the plan, else found out."""
        return self.uri or (self.loaded.plan.connection if self.loaded else "auto")

    @property
    def fence(self) -> planfiles.Fence:
        """Where the files that the plan names may lie."""
        return planfiles.Fence(self.folder, self.allowed)
