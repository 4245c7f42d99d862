"""What both ways of taking a guest share: the lines of the other host, the plan, the keys."""

import os
import select
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from provisioner.commands.loading import texts
from provisioner.commands.moving import keys
from provisioner.commands.session import Session, mark_of
from provisioner.commands.target import PlanTarget
from provisioner.errors import Exit, VmnetError
from provisioner.guest.moving.offer import MOST_LENGTH, Keys
from provisioner.host.system import paths, plan_folders
from provisioner.json_document import strict
from provisioner.text import one_line

LONGEST_S: Final = 24 * 3600.0  # that a guest may take to arrive
MOVED, FAILED = "moved", "failed"
"""What the host that the guest leaves says when the guest is the other's, or is not."""

_PIECE: Final = 1 << 20
_DIGITS: Final = 12  # of the length of a piece
_STALLED_S: Final = 120.0  # in which some of a file has to come


class NotComeError(VmnetError):
    """A guest that has been expected has not come, and nothing of it is here."""


class CutOffError(NotComeError):
    """The other host says nothing any more; what has come of files is kept for the next time."""


class Lines:
    """The lines of standard input, and the bytes of files, each with a deadline."""

    def __init__(self) -> None:
        self._heard = b""

    def next(self, within_s: float) -> str:
        """Return the next line, "" when there is none any more or none has come in time."""
        end = time.monotonic() + within_s
        while b"\n" not in self._heard and len(self._heard) <= MOST_LENGTH:
            piece = _read(_PIECE, end - time.monotonic())
            if not piece:
                return ""
            self._heard += piece
        line, _, self._heard = self._heard.partition(b"\n")
        return line.decode("utf-8", "replace")

    def pieces(self, count: int) -> Iterator[bytes]:
        """Yield the bytes of a file, of which each piece comes after a line with its length.

        Raises CutOffError when they do not come, NotComeError when the file is not sent any more.
        """
        while count > 0:
            line = self.next(_STALLED_S)
            if not line:
                raise cut_off()
            length = int(line) if line.isascii() and line.isdecimal() and len(line) < _DIGITS else 0
            if not 0 < length <= count:
                raise not_given()
            yield from self._raw(length)
            count -= length

    def _raw(self, count: int) -> Iterator[bytes]:
        while count > 0:
            self._heard = self._heard or _read(_PIECE, _STALLED_S)
            if not self._heard:
                raise cut_off()
            piece, self._heard = self._heard[:count], self._heard[count:]
            count -= len(piece)
            yield piece


def _read(most: int, within_s: float) -> bytes:
    readable, _, _ = select.select([0], [], [], max(0.0, within_s))
    return os.read(0, most) if readable else b""


def cut_off() -> CutOffError:
    """Return the error for a host that says nothing any more."""
    return CutOffError(
        "the other host says nothing any more",
        fix="run vmnet move again there, which goes on from here",
    )


def not_given() -> NotComeError:
    """Return the error for a guest that its host keeps."""
    return NotComeError("it is not given away after all", fix="look there why")


def say(line: str) -> None:
    """Say a line to the other host. Raises BrokenPipeError when it does not listen."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def said(line: str) -> Mapping[str, Any]:
    """Return what the other host has said in a line, nothing when that is none."""
    try:
        found = strict(line)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def target_of(text: str, plan: str, vm: str, uri: str) -> PlanTarget:
    """Return the plan of an offer, which must be of its guest; `plan` is "" where any name may be.

    Raises VmnetError, and Complaints about the plan.
    """
    target = texts.loaded([("the offered plan", text)], (), None, uri=uri, folder=Path("/"))
    if target.name != (plan or target.name) or vm not in {vm.name for vm in target.plan.vms}:
        raise VmnetError(
            f"the offered plan {one_line(target.name)} has no VM {vm}",
            fix="name the plan that it runs in: vmnet move VM HOST --file PLAN",
            status=Exit.BAD_INPUT,
        )
    return target


@contextmanager
def kept_keys(session: Session, vm: str, given: Keys) -> Iterator[None]:
    """Have the guest's keys while it is made; they go with it when it does not come."""
    plan = session.target.name
    plan_folders.make(paths.home(plan), plan, mark_of(session.target))
    try:
        keys.keep(plan, vm, given)
        yield
    except BaseException:
        keys.forget(plan, vm)
        raise
