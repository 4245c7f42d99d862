"""Which contents of the store are in use: those that disks of plans depend on."""

import errno
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from provisioner.errors import VmnetError
from provisioner.image import qcow2
from provisioner.image.disk_kind import HEAD
from provisioner.pattern import pattern

_CONTENT = pattern(r"sha256-([0-9a-f]{64})(?![0-9a-f])", re.ASCII)


def in_use(state: Path) -> dict[str, tuple[str, ...]]:
    """Return the digests that disks below `state` (PLAN/disk/…) depend on, and their plans.

    Drafts of disks count, too: an `up` may be making them; and those of snapshots. Raises
    VmnetError when a plan's disks cannot be listed: then nothing is known to be free.
    """
    found: dict[str, set[str]] = {}
    for folder in (*state.glob("*/disk"), *state.glob("*/snapshot/*/disk")):
        for disk in _disks(folder):
            for digest in _CONTENT.findall(qcow2.backing(_head(disk))):
                found.setdefault(digest, set()).add(folder.relative_to(state).parts[0])
    return {digest: tuple(sorted(plans)) for digest, plans in found.items()}


def _disks(folder: Path) -> Iterator[Path]:
    try:
        yield from list(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise _unseen(f"what disks are in {folder}", error) from error


def _head(disk: Path) -> bytes:
    try:
        handle = os.open(disk, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW)
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.ENXIO, errno.ENOENT}:  # a link, a socket, or gone
            return b""
        raise _unseen(f"what the disk {disk} depends on", error) from error
    try:
        return os.pread(handle, HEAD, 0) if stat.S_ISREG(os.fstat(handle).st_mode) else b""
    finally:
        os.close(handle)


def _unseen(what: str, error: OSError) -> VmnetError:
    return VmnetError(
        f"cannot see {what}: {error.strerror}",
        fix="run it as the user whose plan that is, or as root",
    )
