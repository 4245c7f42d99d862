"""The folders in vmnet's places: of plans, of embedded libvirts, and their locks."""

import fcntl
import json
import os
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from xml.etree import ElementTree as ET

from provisioner.errors import VmnetError
from provisioner.guest.domain import NAMESPACE
from provisioner.guest.xml.render import from_mark
from provisioner.host.guest import console_log
from provisioner.host.storage.disks import DiskDriver
from provisioner.host.system import paths, plan_folders, plan_marks, systemd
from provisioner.inventory.found import DiskFile, DomainRecord, LockHolder, PlanFolder
from provisioner.reconcile.resources import Look
from provisioner.text import one_line

_MOST_NOTE = 4096


def places() -> list[tuple[Path, Path]]:
    """Return where plans are: state and run folders, this user's and then root's."""
    shared = (Path("/var/lib/vmnet"), Path("/run/vmnet"))
    moved = {"VMNET_STATE_DIR", "VMNET_RUN_DIR"} & os.environ.keys()
    try:
        found = [(paths.state(), paths.run())]
    except VmnetError:  # a user without a login session has nothing that runs
        found = [(paths.state(), paths.state() / "nothing")]
    return found if os.geteuid() == 0 or moved else [*found, shared]


def read(state: Path, run: Path) -> Iterator[PlanFolder]:
    """Read the plans' folders in one state and one run folder; what cannot be read says so."""
    is_others = state != paths.state()
    for folder in _folders(state):
        yield _read(folder, holds_files=True, is_others=is_others)
    for folder in _folders(run):
        found = _read(folder, holds_files=False, is_others=is_others)
        if found.mark or found.trouble:  # others may have folders there
            yield found


def booted() -> frozenset[str]:
    """Return the names of the plans that come up when this host is started."""
    return frozenset(systemd.plans())


def locks(run: Path) -> tuple[dict[str, LockHolder], list[str]]:
    """Return which plans' locks are held, and by whom, and the files of free ones.

    Each is tried for a moment.
    """
    held, free = {}, []
    for path in _listed(run):
        if path.suffix == ".lock" and not path.name.startswith("."):
            try:
                held[path.stem] = _holder(path)
            except OSError:
                continue  # it has just been given back, or is not for us to try
            except LookupError:
                free.append(str(path))
    return held, free


def _folders(place: Path) -> list[Path]:
    return [x for x in _listed(place) if x.is_dir() and not x.is_symlink() and _may_be_one(x)]


def _may_be_one(folder: Path) -> bool:
    """Return whether a folder may be a plan's; one that is made or removed has another name."""
    if not folder.name.startswith("."):
        return True
    return folder.name.endswith(".new") and plan_marks.read(folder) is not None


def _listed(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _read(folder: Path, *, holds_files: bool, is_others: bool) -> PlanFolder:
    mark = plan_marks.read(folder)
    if is_others:  # what is in it is not for us to read
        return PlanFolder(str(folder), holds_files, mark, is_others=True)
    try:
        list(os.scandir(folder))
        disks = tuple(_disks(mark.plan)) if mark and folder == paths.home(mark.plan) else ()
        snapshots = tuple(_snapshots(folder / "snapshot")) if mark and holds_files else ()
        domains = tuple(_domains(folder / "run" / "qemu")) if mark and not holds_files else ()
    except OSError as error:
        trouble = f"it cannot be read: {error.strerror}"
        return PlanFolder(str(folder), holds_files, mark, trouble=trouble)
    stopped = console_log.stopped(folder / "console") if mark and holds_files else set()
    return PlanFolder(
        str(folder), holds_files, mark, disks, snapshots, domains, tuple(sorted(stopped))
    )


def _disks(plan: str) -> Iterator[DiskFile]:
    for disk in DiskDriver().observe(Look(plan)):
        yield DiskFile(disk.path, disk.vm, disk.taken, disk.stays)


def _snapshots(folder: Path) -> Iterator[str]:
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if not path.name.startswith(".") and plan_folders.is_own(path):
            yield one_line(path.name)


def _domains(folder: Path) -> Iterator[DomainRecord]:
    """Read the records of an embedded libvirt, which need not be open for that."""
    for path in sorted(folder.glob("*.xml")) if folder.is_dir() else ():
        try:
            status = ET.fromstring(path.read_text(errors="replace"))  # noqa: S314  (libvirt's own)
        except (ET.ParseError, FileNotFoundError):
            yield DomainRecord(one_line(path.stem), "", "", "")
            continue
        mark = status.find(f"domain/metadata/{{{NAMESPACE}}}*")
        domain = from_mark(unescape(mark.text or "").strip()) if mark is not None else None
        starting = status.get("reason") == "starting up"
        pid = status.get("pid", "")
        yield DomainRecord(
            one_line(path.stem),
            "being started" if starting else one_line(status.get("state", "")),
            domain.plan if domain else "",
            domain.vm if domain else "",
            int(pid) if pid.isdecimal() else 0,
        )


def _holder(path: Path) -> LockHolder:
    """Return who holds a lock. Raises OSError when it cannot be tried, LookupError when nobody."""
    opened = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(opened, "rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _noted(file.read(_MOST_NOTE))
    raise LookupError(path)


def _noted(note: bytes) -> LockHolder:
    try:
        found = json.loads(note)
        doing, since = str(found["doing"]), str(found["since"])
        return LockHolder(int(found["pid"]), one_line(f"vmnet {doing}", 60), one_line(since, 20))
    except (ValueError, KeyError, TypeError):
        return LockHolder()
