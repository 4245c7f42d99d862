"""The folders of snapshots: made under a draft's name, listed, read, put back, removed."""

import errno
import os
import shutil
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

from provisioner.dataclass import dataclass
from provisioner.errors import Exit, VmnetError
from provisioner.guest import snapshot
from provisioner.guest.domain import FileCopy, Overlay, Seed
from provisioner.guest.snapshot import SavedFile, SavedGuest, SavedPlan
from provisioner.host.guest import host_keys
from provisioner.host.storage import disks
from provisioner.host.storage.sparse_copy import copy, sync
from provisioner.host.system import file_errors, paths, plan_folders, whole_files
from provisioner.resource import Resource

_FOLDER_MODE: Final = 0o700
_SLACK: Final = 8 << 20  # for the names, the manifest, what a file system takes for itself


@dataclass(frozen=True, slots=True)
class Draft:
    """A snapshot that is being made."""

    plan: str
    name: str

    @property
    def folder(self) -> Path:
        """Where its files are until it is whole."""
        return _folder(self.plan) / f".{self.name}.part"

    def memory(self, vm: str) -> Path:
        """Return the file for a guest's memory."""
        return self.folder / snapshot.MEMORY / vm

    def begin(self) -> None:
        """Make its folder, empty. Raises VmnetError, CONFLICT when there is one of that name."""
        final = _folder(self.plan) / self.name
        if os.path.lexists(final):
            raise VmnetError(
                f"there is a snapshot {self.name} already",
                fix=f"choose another name, or remove it first: vmnet snapshot rm {self.name}",
                status=Exit.CONFLICT,
            )
        with _converting(final):
            plan_folders.own(final)
            _remove(self.folder)
            self.folder.mkdir(_FOLDER_MODE)
            (self.folder / snapshot.MEMORY).mkdir(_FOLDER_MODE)

    def take(self, place: str) -> None:
        """Copy a file of the plan's folder, with what its mark says of it. Raises VmnetError."""
        source, to = paths.home(self.plan) / place, self.folder / place
        with _converting(source):
            to.parent.mkdir(_FOLDER_MODE, exist_ok=True)
            copy(source, to)
            if plan_folders.is_own(source):
                copy(_mark(source), _mark(to))

    def take_keys(self, vm: str) -> None:
        """Copy the keys that a guest's ssh server is known by, if there are any."""
        source = paths.folder(self.plan, "keys") / vm
        with _converting(source):
            for key in sorted(source.glob("key*")) if source.is_dir() else ():
                to = self.folder / "keys" / vm
                to.mkdir(_FOLDER_MODE, parents=True, exist_ok=True)
                copy(key, to / key.name)

    def guest(self, guest: SavedGuest) -> SavedGuest:
        """Return a guest with the sizes of its files. Raises VmnetError."""
        with _converting(self.folder):
            self.memory(guest.vm).chmod(0o600)  # as libvirt makes it; a daemon may be told else
            return replace(
                guest,
                memory=self.memory(guest.vm).stat().st_size,
                files=tuple(
                    SavedFile(place, (self.folder / place).stat().st_size)
                    for place in snapshot.places(guest.domain)
                ),
            )

    def finish(self, saved: SavedPlan) -> None:
        """Give it its name, when all of it is on the disk. Raises VmnetError."""
        final = _folder(self.plan) / self.name
        with _converting(final):
            manifest = self.folder / snapshot.MANIFEST
            whole_files.write_secret(manifest, snapshot.to_text(saved).encode())
            for path in sorted(self.folder.rglob("*"), reverse=True):
                sync(path)
            whole_files.sync(self.folder)
            self.folder.rename(final)
            whole_files.sync(final.parent)

    def abandon(self) -> None:
        """Take it away, when it could not be made."""
        _remove(self.folder)
        final = _folder(self.plan) / self.name
        if not os.path.lexists(final):
            plan_folders.disown(final)
            with suppress(OSError):
                final.parent.rmdir()


def names(plan: str) -> list[str]:
    """Return the names of a plan's snapshots, those alone that vmnet has made."""
    if not plan_folders.is_marked(paths.home(plan), plan):
        return []
    folder = _folder(plan)
    found = sorted(folder.glob("[!.]*")) if folder.is_dir() and not folder.is_symlink() else []
    return [x.name for x in found if plan_folders.is_own(x) and x.is_dir() and not x.is_symlink()]


def left(plan: str) -> bool:
    """Return whether a run was killed while it made a snapshot: it may have left paused guests."""
    home = paths.home(plan)
    return any(x.parent.name == "snapshot" for x in plan_folders.drafts(home))


def read(plan: str, name: str) -> SavedPlan:
    """Return what a snapshot says, its files proved to be there, whole.

    Raises VmnetError when there is none of that name, or it cannot be used.
    """
    if name not in names(plan):
        known = ", ".join(names(plan))
        raise VmnetError(
            f"there is no snapshot {name} of the plan {plan}",
            fix=f"its snapshots: {known}" if known else "make one: vmnet snapshot save NAME",
            status=Exit.BAD_INPUT,
        )
    folder = _folder(plan) / name
    try:
        with (folder / snapshot.MANIFEST).open("rb") as file:
            data = file.read(snapshot.MOST_BYTES + 1)
        text = data.decode()
    except OSError as error:
        raise snapshot.unusable(name, f"its manifest: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise snapshot.unusable(name, "its manifest is not UTF-8") from error
    if len(data) > snapshot.MOST_BYTES:
        raise snapshot.unusable(name, "its manifest is larger than any")
    saved = snapshot.from_text(text, plan, name, str(paths.home(plan)))
    for guest in saved.guests:
        _prove(folder / snapshot.MEMORY / guest.vm, guest.memory, name)
        for each in guest.files:
            _prove(folder / each.place, each.size, name)
    return saved


def memory(plan: str, name: str, vm: str) -> str:
    """Return the path of a guest's memory in a snapshot."""
    return str(_folder(plan) / name / snapshot.MEMORY / vm)


def files(plan: str, name: str, guests: Iterable[SavedGuest]) -> list[Resource]:
    """Return the files of guests as they will be when they have been put back."""
    folder, home = _folder(plan) / name, paths.home(plan)
    found: list[Resource] = []
    for place in (file.place for guest in guests for file in guest.files):
        match place.partition("/")[0]:
            case "disk":
                found.append(replace(disks.read(folder / place), path=str(home / place)))
            case "seed":
                found.append(Seed(str(home / place)))
            case _:
                found.append(FileCopy(str(home / place)))
    return found


def written_since(saved: SavedPlan, guests: Iterable[SavedGuest]) -> list[Path]:
    """Return the disks that are there and have been written to since a snapshot was made."""
    found = []
    for guest in guests:
        for place in sorted(snapshot.written_places(guest.domain)):
            path = paths.home(saved.plan) / place
            with suppress(FileNotFoundError):
                if path.lstat().st_mtime > saved.made:
                    found.append(path)
    return found


def absent(saved: SavedPlan, guests: Iterable[SavedGuest]) -> VmnetError | None:
    """Return why guests cannot be started: what they boot from, and is not the plan's, is gone."""
    home = paths.home(saved.plan)
    for guest in guests:
        domain = guest.domain
        there = files(saved.plan, saved.name, [guest])
        backing = (x.backing for x in there if isinstance(x, Overlay))
        for path in filter(None, (domain.kernel, domain.initrd, domain.loader, *backing)):
            if not Path(path).is_relative_to(home) and not Path(path).exists():
                return VmnetError(
                    f"{guest.vm} of the snapshot {saved.name} needs {path}, which is gone",
                    fix="build or import that image again (vmnet image build micro, vmnet image "
                    "import FILE), or start without the snapshot: vmnet up",
                )
    return None


def put_aside(saved: SavedPlan, guests: Sequence[SavedGuest]) -> list[tuple[Path, Path]]:
    """Copy the files of guests beside those of the plan; return each draft and its place.

    Nothing of the plan is changed by it; a run that is killed leaves drafts. Raises VmnetError.
    """
    folder, home = _folder(saved.plan) / saved.name, paths.home(saved.plan)
    done: list[tuple[Path, Path]] = []
    plan_folders.make(home, saved.plan)
    try:
        for place in (file.place for guest in guests for file in guest.files):
            final = home / place
            draft = final.with_name(f".{final.name}.part")
            with _converting(final):
                plan_folders.own(final)
                draft.unlink(missing_ok=True)
                done.append((draft, final))
                copy(folder / place, draft)
                sync(draft)
    except BaseException:
        drop(done)
        raise
    return done


def drop(drafts: Iterable[tuple[Path, Path]]) -> None:
    """Delete drafts that are not needed after all."""
    for draft, final in drafts:
        draft.unlink(missing_ok=True)
        if not os.path.lexists(final):
            plan_folders.disown(final)


def put_back(
    saved: SavedPlan, guests: Iterable[SavedGuest], drafts: Iterable[tuple[Path, Path]]
) -> None:
    """Give the drafts their places, and each guest the keys that it had. Raises VmnetError."""
    folder, home = _folder(saved.plan) / saved.name, paths.home(saved.plan)
    for draft, final in drafts:
        with _converting(final):
            draft.rename(final)
            mark = _mark(folder / final.relative_to(home))
            if mark.is_file() and mark.stat().st_size:
                whole_files.write_secret(_mark(final), mark.read_bytes())
            whole_files.sync(final.parent)
    keys = paths.folder(saved.plan, "keys")
    kept = [guest.vm for guest in guests if (folder / "keys" / guest.vm).is_dir()]
    for vm in kept:
        with _converting(keys / vm):
            if not keys.is_dir():
                keys.mkdir(_FOLDER_MODE)
            draft = keys / f".{vm}.part"
            _remove(draft)
            draft.mkdir(_FOLDER_MODE)
            for key in (folder / "keys" / vm).glob("key*"):
                copy(key, draft / key.name)
                sync(draft / key.name)
            _remove(keys / vm)
            draft.rename(keys / vm)
    if kept:
        host_keys.publish(keys, saved.plan)


def remove(plan: str, name: str) -> None:
    """Remove a snapshot; one that has gone is fine. Raises VmnetError."""
    final = _folder(plan) / name
    draft = Draft(plan, name).folder
    with _converting(final):
        _remove(draft)
        if os.path.lexists(final):
            final.rename(draft)  # killed from here on, the next up or down takes the rest away
            _remove(draft)
        plan_folders.disown(final)
        with suppress(OSError):
            final.parent.rmdir()


def require_room(folder: Path, needed: int, what: str) -> None:
    """Raise VmnetError unless there is room for so many bytes where a plan's files are."""
    there = next(x for x in (folder, *folder.parents) if x.is_dir())
    found = os.statvfs(there)
    free = found.f_bavail * found.f_frsize
    if needed + _SLACK > free:
        raise VmnetError(
            f"there is no room for {what}: it may need {_mib(needed + _SLACK)} MiB, and "
            f"{_mib(free)} MiB are free in {there}",
            fix=file_errors.fix_of(errno.ENOSPC, folder),
        )


def room(plan: str, places: Iterable[str]) -> int:
    """Return how many bytes files of a plan have on the disk."""
    return sum(_blocks(paths.home(plan) / place) for place in places)


def room_of(saved: SavedPlan, guests: Iterable[SavedGuest]) -> int:
    """Return how many bytes the files of guests have in a snapshot."""
    folder = _folder(saved.plan) / saved.name
    return sum(_blocks(folder / file.place) for guest in guests for file in guest.files)


def _folder(plan: str) -> Path:
    return paths.folder(plan, "snapshot")


def _mark(path: Path) -> Path:
    return path.with_name(f".{path.name}.own")


def _prove(path: Path, size: int, name: str) -> None:
    try:
        found = path.lstat().st_size
    except OSError as error:
        raise snapshot.unusable(name, f"{path.name}: {error.strerror}") from error
    if found != size:
        raise snapshot.unusable(
            name, f"{path.name} has {found} bytes, and was saved with {size}: it has been changed"
        )


def _blocks(path: Path) -> int:
    try:
        return path.stat().st_blocks * 512
    except OSError:
        return 0  # it is named when it is copied


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _mib(size: int) -> int:
    return -(-size >> 20)


class _converting:  # noqa: N801  (a context manager, read as a verb)
    """Raises the errors of the operating system about files as vmnet's."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        return

    def __exit__(self, _kind: object, error: BaseException | None, _at: object) -> None:
        if isinstance(error, OSError):
            raise file_errors.converted(error, "cannot use", self._path) from error
