"""What the drivers of guests' files share: seed images, disks, copies of what QEMU starts with.

Each is made under a draft's name that no observer takes for a whole one, and is nobody else's to
read: 0600. It is given to the user that its guest's QEMU runs as when that is started.
"""

import os
import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import ClassVar, Generic, TypeVar

from provisioner.dataclass import dataclass
from provisioner.guest.domain import GuestFile, LeftDraft
from provisioner.host.system import file_errors, paths, plan_folders, whole_files
from provisioner.reconcile.resources import Look

_F = TypeVar("_F", bound=GuestFile)


@dataclass(frozen=True, slots=True)
class FileDriver(ABC, Generic[_F]):
    """The driver of one kind of files."""

    DOING: ClassVar[str] = "cannot write"
    """How the error begins when a file cannot be made."""

    @abstractmethod
    def found(self, plan: str) -> Iterable[_F]:
        """List the files in the plan's folder for them, whoever made them."""

    @abstractmethod
    def make(self, file: _F) -> None:
        """Make a file, whole or not at all. Raises OSError or VmnetError."""

    def record(self, file: _F) -> Mapping[str, object]:
        """Return what stands beside the file."""
        del file
        return {}

    def observe(self, look: Look) -> list[_F]:
        """List those that vmnet marked when it made them, in a folder that it made too."""
        found = self.found(look.plan) if look.has_home else ()
        return [file for file in found if plan_folders.is_own(Path(file.path))]

    def create(self, file: _F) -> None:
        """Make a file: the whole of it under its name, or nothing. Raises VmnetError."""
        path = Path(file.path)
        try:
            plan_folders.own(path, self.record(file))
            self.make(file)
        except OSError as error:
            raise file_errors.converted(error, self.DOING, path) from error
        finally:
            if not os.path.lexists(path):
                plan_folders.disown(path)

    def update(self, file: _F) -> None:
        """Make the file anew. Raises VmnetError as `create`."""
        self.create(file)

    def delete(self, file: _F) -> None:
        """Delete a file; one that has gone already is fine."""
        path = Path(file.path)
        path.unlink(missing_ok=True)
        plan_folders.disown(path)


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a draft, which gets its name when it is whole and on the disk.

    Raises OSError, and what `write` raises.
    """
    draft = plan_folders.draft_of(path)
    try:
        paths.make(path.parent)
        draft.unlink(missing_ok=True)
        os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        write(draft)
        handle = os.open(draft, os.O_RDONLY | os.O_NOFOLLOW)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
        draft.rename(path)
        whole_files.sync(path.parent)
    finally:
        draft.unlink(missing_ok=True)


class DraftDriver:
    """The driver of what killed runs have left of files that were being written."""

    def observe(self, look: Look) -> list[LeftDraft]:
        """List the drafts in the plan's folder."""
        drafts = plan_folders.drafts(paths.home(look.plan)) if look.has_home else ()
        return [LeftDraft(str(path)) for path in drafts]

    def delete(self, draft: LeftDraft) -> None:
        """Delete a draft; one that has gone already is fine."""
        path = Path(draft.path)
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)  # of a snapshot
        else:
            plan_folders.discard(path)
