"""Which contents of the store are in use: those that disks of plans lean on."""

import errno
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from provisioner.errors import VmnetError
from provisioner.image import qcow2
from provisioner.image.disk_kind import HEAD

_CONTENT = re.compile(r"sha256-([0-9a-f]{64})(?![0-9a-f])", re.ASCII)


def in_use(state: Path) -> dict[str, tuple[str, ...]]:
    """Give the digests that disks below `state` (PLAN/disk/…) lean on, and whose the disks are.

    Drafts of disks count, too: an `up` may be making them. Raises VmnetError when a plan's disks
    cannot be listed: then nothing is known to be free.
    """
    found: dict[str, set[str]] = {}
    for folder in state.glob("*/disk"):
        for digest in _leaned_on(folder):
            found.setdefault(digest, set()).add(folder.parent.name)
    return {digest: tuple(sorted(plans)) for digest, plans in found.items()}


def _leaned_on(folder: Path) -> Iterator[str]:
    try:
        disks = list(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise VmnetError(
            f"cannot see what disks are in {folder}: {error.strerror}",
            fix="run it as the user whose plan that is, or as root",
        ) from error
    for disk in disks:
        yield from _CONTENT.findall(qcow2.backing(_head(disk)))


def _head(disk: Path) -> bytes:
    try:
        handle = os.open(disk, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW)
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.ENXIO, errno.ENOENT}:  # a link, a socket, or gone
            return b""
        raise VmnetError(
            f"cannot see what the disk {disk} leans on: {error.strerror}",
            fix="run it as the user whose plan that is, or as root",
        ) from error
    try:
        return os.pread(handle, HEAD, 0) if stat.S_ISREG(os.fstat(handle).st_mode) else b""
    finally:
        os.close(handle)
