"""The image store: contents named after their SHA-256, read-only, and a record for each name.

A guest boots the copy that was hashed and checked here, never the file that was imported, which may
change at any time. The format is decided once, at import, and no tool ever probes it again.
"""

import errno
import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from provisioner.dataclass import dataclass
from provisioner.errors import Complaints, Exit, VmnetError, bad_input
from provisioner.host.image import copy, store_files
from provisioner.host.image.copy import Progress
from provisioner.host.image.source_file import GivenImage
from provisioner.host.image.store_files import NAMES, Tell
from provisioner.host.system import file_errors, whole_files
from provisioner.image import record as images
from provisioner.image.disk_header import DiskHeader, about
from provisioner.image.record import Origin, Stored
from provisioner.text import one_line

PlansByDigest = Mapping[str, tuple[str, ...]]
"""The digests that disks depend on, and the plans whose disks they are."""

_READ_ONLY = 0o444
_SPACE_FULL = file_errors.FULL | {errno.EFBIG}


@dataclass(frozen=True, slots=True)
class StoredImage:
    """An image of the store: its record, and where its content lies."""

    record: Stored
    path: Path


@dataclass(frozen=True, slots=True)
class Removable:
    """A content that was, or may be, removed: the names it had and the bytes that frees."""

    path: Path
    names: tuple[str, ...]
    size: int


def add(store: Path, given: GivenImage, origin: Origin, tell: Tell, progress: Progress) -> Stored:
    """Copy an image into the store, hashing and checking the copy, and give it its name.

    A name that is there already names the new content from then on. Raises Complaints when the
    image is refused; VmnetError when its digest is another one, or the disk is full.
    """
    images.require_name(origin.name)
    if found := copy.check_early(given, raw=origin.raw):
        raise Complaints(about(origin.source, found))
    store_files.prepare(store)
    with _disk_errors(store, given.size or 0):
        store_files.clear(store)
        store_files.clear(store / NAMES)
        with store_files.draft(store) as draft:
            record = _copied(given, draft.fileno(), origin, progress)
            with store_files.held(store, tell):
                path = store / images.content_name(record.digest)
                store_files.publish(draft, path, _READ_ONLY)
                _write(store, record)
    return record


def find(store: Path, name: str) -> StoredImage | None:
    """Return an image; None when there is none of this name.

    Raises VmnetError when its content is gone or is not as large as it was.
    """
    record = _read(store, name)
    return _kept(store, record) if record else None


def every(store: Path) -> list[StoredImage]:
    """List the images by name, without looking at their contents."""
    records = (_read(store, file.stem) for file in sorted((store / NAMES).glob("*.json")))
    return [StoredImage(r, store / images.content_name(r.digest)) for r in records if r]


def verify(kept: StoredImage, progress: Progress) -> None:
    """Hash a content anew. Raises VmnetError when it is not what was imported."""
    shown = f"{kept.record.name}: its content {kept.path}"
    try:
        with kept.path.open("rb") as file:
            found = copy.digest(file.fileno(), kept.record.size, progress)
            mode = os.fstat(file.fileno()).st_mode & 0o777
    except OSError as error:
        raise _broken(f"{shown} cannot be read: {error.strerror}") from error
    if found != kept.record.digest:
        raise _broken(f"{shown} has changed: its SHA-256 is {found}")
    if mode != _READ_ONLY:
        raise _broken(f"{shown} can be written to (mode {mode:04o})")


def remove(store: Path, name: str, used: PlansByDigest) -> Removable:
    """Remove a name, and its content with the last name. The caller holds the store alone.

    Raises VmnetError when there is none, or when plans have disks on its content.
    """
    record = _read(store, name)
    if record is None:
        raise unknown(name)
    others = [k for k in every(store) if k.record.digest == record.digest and k.record.name != name]
    if not others and (plans := used.get(record.digest)):
        raise VmnetError(
            f"the image {name} is in use: disks of {', '.join(plans)} depend on it",
            fix="take the plans down first: vmnet down --name " + plans[0],
            status=Exit.CONFLICT,
        )
    path = store / images.content_name(record.digest)
    _record_file(store, name).unlink(missing_ok=True)
    whole_files.sync(store / NAMES)
    freed = 0 if others else _unlinked(path)
    return Removable(path, (name,), freed)


def unused(store: Path, used: PlansByDigest) -> list[Removable]:
    """List the contents that no disk of a plan depends on, with all of their names."""
    names: dict[str, list[str]] = {}
    for kept in every(store):
        names.setdefault(kept.record.digest, []).append(kept.record.name)
    found = []
    for path in sorted(store.glob("sha256-*")):
        digest = images.digest_of(path.name)
        if digest and digest not in used:
            size = store_files.allocated(path.lstat())
            found.append(Removable(path, tuple(names.get(digest, ())), size))
    return found


def prune(store: Path, agreed: Sequence[Removable], used: PlansByDigest) -> list[Removable]:
    """Remove those contents that were agreed on and are unused still, and killed runs' drafts.

    The caller holds the store alone. Returns what was removed.
    """
    wanted = {gone.path for gone in agreed}
    gone = [one for one in unused(store, used) if one.path in wanted]
    for one in gone:
        for each in one.names:
            _record_file(store, each).unlink(missing_ok=True)
        _unlinked(one.path)
    freed = store_files.clear(store) + store_files.clear(store / NAMES) if store.is_dir() else 0
    return [*gone, Removable(store, (), freed)] if freed else gone


def unknown(name: str) -> VmnetError:
    """Return the error for a name that no image has."""
    return bad_input(
        f'there is no image "{one_line(name, 80)}" in the store',
        "those that are: vmnet image ls; one more: vmnet image import FILE",
    )


def _copied(given: GivenImage, draft: int, origin: Origin, progress: Progress) -> Stored:
    wanted = origin.digest
    kind = wanted.algorithm if wanted else "sha256"
    found = copy.copy(given, draft, sorted({"sha256", kind}), progress)
    of_file = given.finish() or found[kind]
    if wanted and of_file != wanted.hex:
        shown = one_line(origin.source, 120)
        raise bad_input(
            f"{shown}: its SHA-{kind.removeprefix('sha')} is {of_file}, not {wanted.hex}",
            "fetch it again; if it stays so, do not use it: it is not the file that was meant",
        )
    disk = copy.check(draft, raw=origin.raw)
    if not isinstance(disk, DiskHeader):
        raise Complaints(about(origin.source, disk))
    return Stored(
        name=origin.name,
        digest=found["sha256"],
        format=disk.format,
        virtual_size=disk.virtual_size,
        size=os.fstat(draft).st_size,
        source=one_line(origin.source, 500),
        imported=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        traits=origin.traits,
    )


def _write(store: Path, record: Stored) -> None:
    with store_files.draft(store / NAMES) as draft:
        draft.write(images.as_json(record))
        store_files.publish(draft, _record_file(store, record.name), 0o644)


def _record_file(store: Path, name: str) -> Path:
    return store / NAMES / f"{name}.json"


def _read(store: Path, name: str) -> Stored | None:
    try:
        text = _record_file(store, name).read_bytes() if images.is_name(name) else b""
    except OSError:
        return None
    record = images.from_json(text)
    return replace(record, name=name) if record else None


def _kept(store: Path, record: Stored) -> StoredImage:
    path = store / images.content_name(record.digest)
    try:
        size = path.stat().st_size
    except OSError as error:
        raise _broken(f"{record.name}: its content {path}: {error.strerror}") from error
    if size != record.size:
        raise _broken(f"{record.name}: its content {path} has {size} bytes, not {record.size}")
    return StoredImage(record, path)


def _unlinked(path: Path) -> int:
    freed = 0
    with suppress(FileNotFoundError):
        freed = store_files.allocated(path.lstat())
        path.unlink()
        whole_files.sync(path.parent)
    return freed


def _broken(what: str) -> VmnetError:
    return VmnetError(what, fix="import or pull it again", status=Exit.CHECK_FAILED)


@contextmanager
def _disk_errors(store: Path, needed: int) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno is None:  # not of the disk: gzip reports damage so
            raise
        if error.errno in _SPACE_FULL:
            free = shutil.disk_usage(store).free
            needs = (
                f"{needed >> 20:,} MiB are needed" if needed else "how much is needed is unknown"
            )
            raise VmnetError(
                f"the disk of the image store {store} is full: {needs}, {free >> 20:,} MiB are "
                "free",
                fix="make room there (vmnet image prune), or set VMNET_STATE_DIR to another place",
            ) from error
        raise VmnetError(
            f"cannot write the image store {store}: {error.strerror}",
            fix="make that place writable for you, or set VMNET_STATE_DIR to another one",
        ) from error
