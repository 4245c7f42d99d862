"""vmnet receive, of a guest that is stopped for it: its files come, then it is started here.

Until its host says that the guest is ours now, nothing is started. A guest that does not start goes
again with all that has come; where that is not certain, its host is told nothing of the kind.
"""

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

from provisioner.commands.moving.arriving import (
    LONGEST_S,
    MOVED,
    CutOffError,
    Lines,
    NotComeError,
    cut_off,
    kept_keys,
    not_given,
    said,
    say,
)
from provisioner.commands.session import Session, begun
from provisioner.commands.target import CommandRun, PlanTarget, Tell
from provisioner.commands.up import brought_up, judged
from provisioner.errors import Complaints, Exit, VmnetError
from provisioner.guest.domain import Overlay
from provisioner.guest.moving.stopped_offer import OfferedFile, StoppedOffer, files_in
from provisioner.host.moving import carried
from provisioner.host.moving.carried import CarriedFiles
from provisioner.host.moving.peer import state_line
from provisioner.host.storage.disks import DiskDriver
from provisioner.host.storage.snapshots import require_room
from provisioner.host.system import paths
from provisioner.network.facts import STOPPED
from provisioner.reconcile import partial
from provisioner.report.report import Report
from provisioner.resource import Resource, Resources

HERE, READY, FILES, HAVE, WHOLE = "here", "ready", "files", "have", "whole"
"""What hosts say of a guest that is stopped for its move, besides `MOVED` and `FAILED`."""

_DECIDES_S: Final = 600.0  # that the other host may take to write down that the guest is ours


def take(target: PlanTarget, offer: StoppedOffer, run: CommandRun, lines: Lines) -> None:
    """Take a guest that another host offers. Raises VmnetError or Complaints when it has not come.

    NotComeError when nothing of it is here; CutOffError when only what has come of its files is.
    """
    only = frozenset({offer.vm})
    run = replace(run, only=only, all_or_nothing=True, pairs="none", tell=_surviving(run.tell))
    with begun(target, run) as session:
        if _runs(session, offer.vm):
            plan = session.target.name
            digests = {file.place: carried.came(plan, file.place) for file in offer.files}
            say(state_line(HERE, files=digests))
            return
        session.refuse()
        with kept_keys(session, offer.vm, offer.keys):
            wanted, _ = judged(session)
            own = _of_guest(wanted, offer.vm)
            for file in offer.files:
                _refuse_unfit(session, file, own)
            require_room(paths.home(session.target.name), _size(offer), f"{offer.vm}'s disks")
            say(state_line(READY))
            files = _carried(session, offer, own, lines)
            trouble = _started(session, offer, files)
        if trouble:
            raise trouble
        with suppress(BrokenPipeError):  # it asks again
            say(state_line("arrived"))


def _size(offer: StoppedOffer) -> int:
    return sum(file.size for file in offer.files)


def _runs(session: Session, vm: str) -> bool:
    return any(x.vm == vm and x.state != STOPPED for x in session.snapshot.facts.live)


def _surviving(tell: Tell) -> Callable[[str], None]:
    """Return what tells a line as long as anybody listens: what was begun is finished all the same.

    The host that listens may have died.
    """

    def told(line: str) -> None:
        with suppress(BrokenPipeError):
            tell(line)

    return told


def _of_guest(wanted: Resources, vm: str) -> Mapping[str, Resource]:
    """Return what the plan wants of a guest here, by path where that is a file."""
    return {key[1]: r for key, r in wanted.items() if partial.vm_of(r, wanted) == vm}


def _refuse_unfit(session: Session, file: OfferedFile, own: Mapping[str, Resource]) -> None:
    """Raise VmnetError when a file cannot be the guest's here."""
    plan = session.target.name
    path = paths.home(plan) / file.place
    want = own.get(str(path))
    have = next((r for k, r in session.snapshot.resources.items() if k[1] == str(path)), None)
    what, fix = "", ""
    if want is None:
        what = f"the plan has no {file.place} here"
        fix = "bring the guest to what the plan says first, where it runs: vmnet up"
    elif isinstance(want, Overlay) and want.backing != file.backing:
        what = (
            f"{file.place} lies over {file.backing or 'no image'}, and would lie over "
            f"{want.backing or 'none'} here"
        )
        fix = "import the same image here: vmnet image ls --json shows digests on both hosts"
    elif have and have.stays and not carried.came(plan, file.place):
        what = f"{path} is here already, and a guest has written to it"
        fix = f"if that may be lost: here, vmnet down --name {plan} --disks"
    if what:
        raise VmnetError(what, fix=fix, status=Exit.CONFLICT)


def _carried(
    session: Session, offer: StoppedOffer, own: Mapping[str, Resource], lines: Lines
) -> CarriedFiles:
    """Let the files come; return them when the guest is this host's.

    Raises VmnetError when they do not; only when the line was cut, what has come is kept.
    """
    home = paths.home(session.target.name)
    told = _heard(lines, FILES, LONGEST_S)
    files = files_in(told)
    if {x.place for x in files} - {x.place for x in offer.files} or not all(
        x.sha256 for x in files
    ):
        raise VmnetError("the other host offers other files now", fix="run vmnet move again there")
    for file in files:
        if (known := carried.came(session.target.name, file.place)) and known != file.sha256:
            _refuse_newer(home / file.place, session)
    records = {
        file.place: DiskDriver().record(want) if isinstance(want, Overlay) else {}
        for file in files
        if (want := own.get(str(home / file.place)))
    }
    coming = CarriedFiles(session.target.name, files, records)
    try:
        have = coming.begin()
        say(state_line(HAVE, files=have))
        for file in coming.missing():
            coming.write(file, lines.pieces(file.size - have[file.place]))
        coming.prove()
        say(state_line(WHOLE))
        _heard(lines, MOVED, _DECIDES_S)
    except CutOffError:
        raise
    except BaseException:
        coming.drop()
        raise
    return coming


def _refuse_newer(path: Path, session: Session) -> None:
    raise VmnetError(
        f"{path} has come here before, and the guest on the other host has written since",
        fix=f"if what is here may be lost: here, vmnet down --name {session.target.name} --disks",
        status=Exit.CONFLICT,
    )


def _heard(lines: Lines, state: str, within_s: float) -> Mapping[str, object]:
    """Return what the other host says when that is a state. Raises NotComeError otherwise."""
    found = said(lines.next(within_s))
    if not found:
        raise cut_off()
    if found.get("state") != state:
        raise not_given()
    return found


def _started(session: Session, offer: StoppedOffer, files: CarriedFiles) -> VmnetError | None:
    """Start a guest whose files are here. Raises NotComeError when it and they are gone again.

    Returns what is wrong where that is not so: the guest is here, and not as it should be.
    """
    error = VmnetError(f"{offer.vm} has not started", fix=f"look here: vmnet logs {offer.vm}")
    try:
        files.settle()
        session.look()
        report = brought_up(session, time.monotonic())
        error = _failure(report) or error
    except VmnetError as failed:
        error = failed
    except Complaints as complaints:
        error = complaints.errors[0]
    session.look()
    if any(domain.vm == offer.vm for domain in session.domains):
        return None
    if _runs(session, offer.vm) or files.had:
        return error
    files.drop()
    raise NotComeError(f"it has not started: {error.what}", fix=error.fix, status=error.status)


def _failure(report: Report) -> VmnetError | None:
    return report.failed[0].error if report.failed else None
