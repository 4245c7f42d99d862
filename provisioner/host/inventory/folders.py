"""The folders in vmnet's places: of plans, of embedded libvirts, and their locks."""

import fcntl
import json
import os
import stat
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from xml.etree import ElementTree as ET

from provisioner.guest.domain import NAMESPACE
from provisioner.guest.xml.render import from_mark
from provisioner.host.system import paths, plan_folders, plan_marks
from provisioner.inventory.found import DiskFile, DomainRecord, LockHolder, PlanFolder
from provisioner.text import one_line

_MOST_NOTE = 4096
_BLOCK = 512  # what st_blocks counts in (stat(2))


def places() -> list[tuple[Path, Path]]:
    """Return where plans are: state and run folders, this user's and then root's."""
    found = [(paths.state(), paths.run())]
    shared = (Path("/var/lib/vmnet"), Path("/run/vmnet"))
    moved = {"VMNET_STATE_DIR", "VMNET_RUN_DIR"} & os.environ.keys()
    return found if os.geteuid() == 0 or moved else [*found, shared]


def read(state: Path, run: Path) -> Iterator[PlanFolder]:
    """Read the plans' folders in one state and one run folder; what cannot be read says so."""
    for folder in _folders(state):
        yield _read(folder, holds_files=True)
    for folder in _folders(run):
        found = _read(folder, holds_files=False)
        if found.mark or found.trouble:  # others may have folders there
            yield found


def locks(run: Path) -> dict[str, LockHolder]:
    """Return which plans' locks are held, and by whom. Each is tried for a moment."""
    found = {}
    for path in _listed(run):
        if path.suffix == ".lock" and not path.name.startswith("."):
            holder = _holder(path)
            if holder:
                found[path.stem] = holder
    return found


def _folders(place: Path) -> list[Path]:
    return [
        x
        for x in _listed(place)
        if not x.name.startswith(".") and x.is_dir() and not x.is_symlink()
    ]


def _listed(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _read(folder: Path, *, holds_files: bool) -> PlanFolder:
    mark = plan_marks.read(folder)
    try:
        list(os.scandir(folder))
        disks = tuple(_disks(folder / "disk")) if mark and holds_files else ()
        domains = tuple(_domains(folder / "run" / "qemu")) if mark and not holds_files else ()
    except OSError as error:
        trouble = f"it cannot be read: {error.strerror}"
        return PlanFolder(str(folder), holds_files, mark, trouble=trouble)
    return PlanFolder(str(folder), holds_files, mark, disks, domains)


def _disks(folder: Path) -> Iterator[DiskFile]:
    for path in sorted(folder.glob("[!.]*")) if folder.is_dir() else ():
        found = path.lstat()
        if stat.S_ISREG(found.st_mode) and plan_folders.is_own(path):
            vm = path.name.partition(".")[0]
            yield DiskFile(str(path), vm, found.st_blocks * _BLOCK)


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


def _holder(path: Path) -> LockHolder | None:
    """Return who holds a lock; None when nobody does, or that cannot be found out."""
    try:
        opened = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    with os.fdopen(opened, "rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _noted(file.read(_MOST_NOTE))
    return None


def _noted(note: bytes) -> LockHolder:
    try:
        found = json.loads(note)
        doing, since = str(found["doing"]), str(found["since"])
        return LockHolder(int(found["pid"]), one_line(f"vmnet {doing}", 60), one_line(since, 20))
    except (ValueError, KeyError, TypeError):
        return LockHolder()
