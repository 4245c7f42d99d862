"""Errors of the operating system about files, as vmnet's, with the fix that belongs to each."""

import errno
from pathlib import Path
from typing import Final

from provisioner.errors import VmnetError
from provisioner.host.system import paths
from provisioner.text import one_line

FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
NO_SPACE: Final = ("No space left on device", "Disk quota exceeded")
"""What programs print for these."""


def converted(error: OSError, doing: str, path: Path, *, fix: str = "") -> VmnetError:
    """Return the error for a file that could not be made or read; `fix` is for other causes."""
    at = Path(error.filename) if isinstance(error.filename, str) else path
    why = error.strerror or str(error)
    return VmnetError(
        one_line(f"{doing} {at}: {why}", 600),
        fix=fix_of(error.errno, at) or fix or f"fix the permissions or the path: {at}",
    )


def actionable(error: VmnetError | OSError) -> VmnetError:
    """Return what the user can act on: an OSError must name a file. Raises any other one again."""
    if isinstance(error, VmnetError):
        return error
    if error.filename is None and fix_of(error.errno, Path()) == "":
        raise error
    return converted(error, "cannot use", Path(str(error.filename or ".")))


def fix_of(number: int | None, path: Path) -> str:
    """Return the fix for a file system that is full or read-only, "" for any other error."""
    elsewhere = _elsewhere(path)
    if number in FULL:
        return f"make room there (df -h {_there(path)}; df -i {_there(path)}){elsewhere}"
    if number == errno.EROFS:
        there = _there(path)
        return f"make the file system writable (findmnt -T {there}){elsewhere}"
    return ""


def no_space_fix(text: str, path: Path | None = None) -> str:
    """Return the fix for a program that printed that there is no space, "" when it did not."""
    if not any(sign in text for sign in NO_SPACE):
        return ""
    return fix_of(errno.ENOSPC, path or paths.state())


def _elsewhere(path: Path) -> str:
    """Name the variable that moves a file elsewhere."""
    for place, variable in (
        (paths.run, "VMNET_RUN_DIR"),
        (paths.cache, "VMNET_CACHE_DIR"),
        (paths.state, "VMNET_STATE_DIR"),
    ):
        if path.is_relative_to(place()):
            return f", or set {variable} to a folder on another file system"
    return ""


def _there(path: Path) -> Path:
    """Return the nearest folder above a path that exists: what df can be asked about."""
    return next((x for x in (path, *path.parents) if x.is_dir()), Path("/"))
