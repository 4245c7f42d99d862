"""Which contents of the store are in use: those that disks of plans lean on."""

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from provisioner.core import qcow2
from provisioner.core.diskkinds import HEAD

_CONTENT = re.compile(r"sha256-([0-9a-f]{64})(?![0-9a-f])", re.ASCII)


def in_use(state: Path) -> dict[str, tuple[str, ...]]:
    """Give the digests that disks below `state` (PLAN/disk/…) lean on, and whose the disks are.

    Drafts of disks count, too: an `up` may be making them.
    """
    found: dict[str, set[str]] = {}
    for folder in state.glob("*/disk"):
        for digest in _leaned_on(folder):
            found.setdefault(digest, set()).add(folder.parent.name)
    return {digest: tuple(sorted(plans)) for digest, plans in found.items()}


def _leaned_on(folder: Path) -> Iterator[str]:
    for disk in folder.iterdir():
        yield from _CONTENT.findall(qcow2.backing(_head(disk)))


def _head(disk: Path) -> bytes:
    try:
        handle = os.open(disk, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW)
    except OSError:  # a link, a socket, or gone meanwhile
        return b""
    try:
        return os.pread(handle, HEAD, 0) if stat.S_ISREG(os.fstat(handle).st_mode) else b""
    finally:
        os.close(handle)
