"""What a command is about, and what it works with."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING

from provisioner.commands.command import Command
from provisioner.dataclass import dataclass
from provisioner.host.system.plan_files import Fence

if TYPE_CHECKING:
    from provisioner.errors import Where
    from provisioner.host.system.worker import Worker
    from provisioner.plan.load.positions import Places
    from provisioner.plan.model import Plan

Tell = Callable[[str], None]
"""Shows the user a line about something that happens."""


@dataclass(frozen=True, slots=True)
class SnapshotWish:
    """Which snapshot guests are to be put back to."""

    name: str
    vms: tuple[str, ...] = ()  # all of it without
    only_missing: bool = False  # when all of them run already, they stay as they are


@dataclass(frozen=True, slots=True)
class CommandRun:
    """One run of a command: what it works with, and what its command line can change about it.

    `worker` is there in commands that start one (see command.py).
    """

    command: Command
    worker: "Worker"
    timeout_s: float = 0.0  # of waiting for guests; 0 leaves it to what they boot
    lock_timeout_s: float = 30.0
    tell: Tell = lambda _: None
    count: Callable[[Callable[[], str]], None] = lambda _: None  # takes what tells how far it is
    timed: bool = False  # how long each step took is told with it
    recreate: bool = False
    only: frozenset[str] | None = None  # the VMs that it is about; None for the whole plan
    all_or_nothing: bool = False  # what it has created goes again when a step fails
    pairs: str = "all"  # or "sample": a part of them that touches every guest; or "none"
    prepare: bool = False  # all is made that a start takes, and no guest is started
    idle: Callable[[], None] = lambda: None  # called while the guests boot: there is time then
    ttl_s: int = 0  # for how long the plan is brought up; 0 says nothing of it
    wide: bool = False  # the guests are asked about themselves
    grace_s: float = 30.0  # that guests with disks, or that are stopped, have to shut down
    doomed: frozenset[str] | None = frozenset()  # disks that down removes; None means all
    snapshot: SnapshotWish | None = None
    agree: Callable[[Sequence[str]], None] = lambda _: None  # asks the user; raises for a no


@dataclass(frozen=True, slots=True)
class NameTarget:
    """A plan that may have no file any more, by its name; `uri` is where libvirt is."""

    name: str
    uri: str = ""

    @property
    def connection(self) -> str:
        """Where libvirt is; "auto" leaves it to vmnet."""
        return self.uri or "auto"

    def vm(self, name: str) -> str:
        """Return a VM's name as it is. Raises VmnetError when it cannot be one."""
        from provisioner.errors import bad_input
        from provisioner.plan.scalars import is_vm_name
        from provisioner.text import one_line

        if is_vm_name(name):
            return name
        what = f'"{one_line(name)}" is no name of a VM' if name else "which VM?"
        raise bad_input(what, "name one of the plan's: vmnet ls shows them")


@dataclass(frozen=True, slots=True)
class PlanTarget:
    """A plan that has been loaded."""

    name: str
    plan: "Plan"
    positions: "Places"  # of its values, in its file
    folder: Path = Path()  # of the plan's file: what it names is looked for from there
    file: str = ""  # that file; "" for a plan of the command line
    words: str = ""  # of that command line, by which the plan is found again; no secret is in them
    uri: str = ""  # of libvirt, when the operator names one: instead of the plan's
    digest: str = ""  # SHA-256 of its text, in UTF-8
    changed: tuple[str, ...] = ()  # the keys that --set has changed
    allowed: tuple[Path, ...] = ()  # outside that folder, by the operator: files, or whole folders
    variables: "Mapping[str, Where]" = field(default_factory=dict)  # set in the environment
    inherited: "Mapping[str, Where]" = field(default_factory=dict)  # defaults from outside it

    @property
    def connection(self) -> str:
        """Where libvirt is: what the operator names, else the plan."""
        return self.uri or self.plan.connection

    @property
    def fence(self) -> Fence:
        """Where the files that the plan names may lie."""
        return Fence(self.folder, self.allowed)
