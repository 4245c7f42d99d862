"""What is to be moved, what has become of it, and what goes here afterwards."""

from dataclasses import asdict, replace
from enum import StrEnum

from provisioner.commands.lifecycle import down
from provisioner.commands.session import Session
from provisioner.dataclass import dataclass
from provisioner.errors import Exit
from provisioner.guest.domain import Overlay
from provisioner.json_document import json_document
from provisioner.plan.hosts import Login
from provisioner.report.report import Report


class MoveWay(StrEnum):
    """How a guest is moved: while it runs, stopped, or stopped only where it must be."""

    LIVE = "live"
    STOPPED = "stopped"
    AS_POSSIBLE = "as possible"


@dataclass(frozen=True, slots=True)
class Errand:
    """What is to be moved and where to; `plan` is the plan's text as the other host has it.

    `bandwidth_mib` is how many MiB/s it may take at most, 0 for no limit.
    """

    vm: str
    login: Login
    plan: str
    bandwidth_mib: int = 0
    way: MoveWay = MoveWay.LIVE


@dataclass(frozen=True, slots=True)
class Moved:
    """A guest that has moved, and for how long QEMU says it was stopped: 0 when it does not.

    `way` is "live", or "stopped" for one that was started anew there.
    """

    plan: str
    vm: str
    host: str
    downtime_ms: int
    way: str = str(MoveWay.LIVE)
    left: tuple[str, ...] = ()  # what could not be taken away here

    @property
    def status(self) -> Exit:
        """Whether nothing of it is left here."""
        return Exit.PARTLY_DONE if self.left else Exit.DONE


def as_json(moved: Moved) -> str:
    """Return what has become of a move as a document."""
    return json_document("move", moved.status, asdict(moved))


def taken_away(session: Session, vm: str) -> Report:
    """Take away what a guest had here: nothing of it is used any more."""
    session.look()
    disks = {
        r.path for r in session.snapshot.resources.values() if isinstance(r, Overlay) and r.vm == vm
    }
    session.run = replace(session.run, only=frozenset({vm}), doomed=frozenset(disks))
    return down.taken_away(session)
