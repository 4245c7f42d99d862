"""Copies of what QEMU starts guests with: kernels, variables of UEFI, Ignition files."""

import hashlib
import os
import stat
from pathlib import Path

from provisioner.errors import VmnetError
from provisioner.guest.domain import FileCopy
from provisioner.host.storage import disks
from provisioner.host.storage.files import FileDriver, write_whole
from provisioner.host.system import paths
from provisioner.text import one_line

_PIECE = 1 << 20


def _write(copy: FileCopy, draft: Path) -> None:
    """Copy a file into the file `draft`, which must then have the digest that was judged.

    The plan's files are judged in another process, and a descriptor does not cross: between the two
    the name may have come to mean another file, and none of that may reach a guest. Raises OSError,
    and VmnetError when it is not the file that was judged.
    """
    # Without waiting: a pipe may lie there by now.
    handle = os.open(copy.source, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    digest = hashlib.sha256()
    with draft.open("wb") as to, os.fdopen(handle, "rb") as source:
        found = os.fstat(handle)
        left = found.st_size if stat.S_ISREG(found.st_mode) else 0
        while left and (piece := source.read(min(left, _PIECE))):
            digest.update(piece)
            to.write(piece)
            left -= len(piece)
    if copy.digest and digest.hexdigest() != copy.digest:
        raise VmnetError(
            f"{one_line(copy.source)} changed after it was looked at",
            fix="wait until whoever writes it has ended, then run the command again",
        )


class CopyDriver(FileDriver[FileCopy]):
    """The driver of copies."""

    __slots__ = ()

    def found(self, plan: str) -> list[FileCopy]:
        """List the files in the plan's folder for copies."""
        found = sorted(paths.folder(plan, "boot").glob("[!.]*"))
        kept = disks.kept(plan) if found else set()
        return [FileCopy(str(path), keep=path in kept) for path in found]

    def make(self, file: FileCopy) -> None:
        """Copy a file that is still the one that was judged."""
        write_whole(Path(file.path), lambda draft: _write(file, draft))
