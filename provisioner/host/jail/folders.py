"""libvirt's folders: they belong to root, so that no QEMU puts a link where root makes files.

libvirt gives them to its user for QEMU when it is opened, and those of a domain to the domain's
when it starts it. QEMU reads its own key there and makes a screen's socket before its guest runs;
all others it is given as descriptors. So root takes them back before the guest's first instruction.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

_WALKED: Final = 0o755
_CLOSED: Final = 0o700
_OWN: Final = 0o600


def take_back(lib: Path) -> None:
    """Let root alone change what is below `lib`, and walk to the files of one domain.

    `lib` is LIBVIRT/lib/qemu. Folders that a QEMU has made are not looked into.
    """
    for folder in (lib, lib / "channel", lib / "channel" / "target"):
        _take(folder, _WALKED)
    for folder in _below(lib):
        if folder.name.startswith("domain-"):
            take_domain(folder)
        elif folder.name != "channel":
            _take(folder, _WALKED)
    for folder in _below(lib / "channel" / "target"):
        _take(folder, _CLOSED)


def take_started(lib: Path, number: int) -> None:
    """Take back the folders of the domain that has just been started, by libvirt's number for it.

    Not by its name: libvirt cuts a long one short, and that of a sibling begins like it.
    """
    for folder in _below(lib):
        if _is_of(folder, number):
            take_domain(folder)
    for folder in _below(lib / "channel" / "target"):
        if _is_of(folder, number):
            _take(folder, _CLOSED)


def take_domain(folder: Path) -> None:
    """Take back the folder of a domain, and leave its sockets to its user and root alone."""
    if not _take(folder, _CLOSED):
        return
    for path in _below(folder):
        with suppress(OSError):
            # The folder is root's by now: what is a socket stays one.
            if stat.S_ISSOCK(path.lstat().st_mode):
                path.chmod(_OWN)


def _is_of(folder: Path, number: int) -> bool:
    return folder.name.startswith(f"domain-{number}-")


def _below(folder: Path) -> Iterator[Path]:
    with suppress(OSError):
        yield from sorted(folder.iterdir())


def _take(folder: Path, mode: int) -> bool:
    """Give a folder to root; return whether it is one. Links are not followed."""
    try:
        opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        found, me = os.fstat(opened), (os.geteuid(), os.getegid())
        if (found.st_uid, found.st_gid) != me:
            os.fchown(opened, *me)
        if stat.S_IMODE(found.st_mode) != mode:
            os.fchmod(opened, mode)
    finally:
        os.close(opened)
    return True
