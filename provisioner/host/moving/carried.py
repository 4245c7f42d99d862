"""The files of a guest that goes to another host while it is stopped: read here, written there.

There each is written under a draft's name, with its digest in its mark: a move that was cut off is
gone on with. It gets its own name when its guest is about to be started on that host.
"""

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

from provisioner.errors import VmnetError
from provisioner.guest.moving.stopped_offer import OfferedFile
from provisioner.host.storage.snapshots import require_room
from provisioner.host.storage.sparse_copy import sync
from provisioner.host.system import file_errors, paths, plan_folders, whole_files

_PIECE: Final = 1 << 20
_FLAGS: Final = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


def measured(path: Path, file: OfferedFile) -> OfferedFile:
    """Return a file that no guest writes to any more, with its size and its digest.

    Raises VmnetError when it cannot be read.
    """
    digest, size = hashlib.sha256(), 0
    for piece in pieces(path):
        digest.update(piece)
        size += len(piece)
    return OfferedFile(file.place, size, digest.hexdigest(), file.backing)


def pieces(path: Path, start: int = 0) -> Iterator[bytes]:
    """Yield the bytes of a file from one of them on. Raises VmnetError when it cannot be read."""
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | _FLAGS), "rb") as source:
            source.seek(start)
            while piece := source.read(_PIECE):
                yield piece
    except OSError as error:
        raise file_errors.converted(error, "cannot read", path) from error


def came(plan: str, place: str) -> str:
    """Return the digest that a file had when it came from another host, "" when it did not."""
    path = paths.home(plan) / place
    return plan_folders.record(path).came if path.is_file() and plan_folders.is_own(path) else ""


class CarriedFiles:
    """Files of one guest that come to this host; `records` is what stands beside each."""

    def __init__(
        self, plan: str, files: Iterable[OfferedFile], records: Mapping[str, Mapping[str, object]]
    ) -> None:
        self._plan = plan
        self._home = paths.home(plan)
        self._records = records
        self._files = [file for file in files if came(plan, file.place) != file.sha256]
        self.had = {file.place for file in files} - {file.place for file in self._files}

    def begin(self) -> dict[str, int]:
        """Make ready for what is missing; return how many bytes of each file are here.

        Raises VmnetError when there is no room for them, or they cannot be made.
        """
        here = {file.place: self._begun(file) for file in self._files}
        missing = sum(file.size - here[file.place] for file in self._files)
        require_room(self._home, missing, "the guest's disks")
        return here

    def missing(self) -> Iterator[OfferedFile]:
        """List the files that have to come, in the order in which they do."""
        yield from self._files

    def write(self, file: OfferedFile, data: Iterable[bytes]) -> None:
        """Write what comes of a file behind what is there. Raises VmnetError when it cannot be."""
        draft = self._draft(file)
        try:
            opened = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_APPEND | _FLAGS, 0o600)
            with os.fdopen(opened, "ab") as to:
                for piece in data:
                    to.write(piece)
                to.flush()
                os.fsync(to.fileno())
        except OSError as error:
            raise file_errors.converted(error, "cannot write", draft) from error

    def prove(self) -> None:
        """Raise VmnetError unless each file is what it was on the other host, to the last byte."""
        for file in self._files:
            found = measured(self._draft(file), file)
            if found != file:
                raise VmnetError(
                    f"{file.place} has not come as it was sent: its digest is another one",
                    fix="run vmnet move again; when it happens again, test both hosts' memory",
                )

    def settle(self) -> None:
        """Give all files their own names. Raises VmnetError."""
        for file in self._files:
            path = self._home / file.place
            try:
                self._draft(file).rename(path)
                whole_files.sync(path.parent)
            except OSError as error:
                raise file_errors.converted(error, "cannot write", path) from error

    def drop(self) -> None:
        """Take away what has come, under whichever name: its host still has it."""
        for file in self._files:
            path = self._home / file.place
            self._draft(file).unlink(missing_ok=True)
            path.unlink(missing_ok=True)
            plan_folders.disown(path)

    def _draft(self, file: OfferedFile) -> Path:
        return plan_folders.draft_of(self._home / file.place)

    def _begun(self, file: OfferedFile) -> int:
        path, draft = self._home / file.place, self._draft(file)
        try:
            if plan_folders.is_own(path):
                path.unlink(missing_ok=True)  # no guest has written to it
            plan_folders.own(path)
            if plan_folders.record(path).came != file.sha256 or draft.is_symlink():
                draft.unlink(missing_ok=True)
            record = self._records.get(file.place, {})
            plan_folders.write_record(path, {**record, "came": file.sha256})
            size = draft.stat().st_size if draft.exists() else 0
            if size > file.size:
                draft.unlink()
                return 0
            if size:
                sync(draft)
        except OSError as error:
            raise file_errors.converted(error, "cannot write", path) from error
        return size
