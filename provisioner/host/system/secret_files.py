"""Files that only one user may read, from their first byte on."""

import os
from contextlib import suppress
from pathlib import Path

Owner = tuple[int, int]
"""A user's and a group's number."""


def write(path: Path, data: bytes, owner: Owner | None = None, *, durable: bool = True) -> None:
    """Write a file with mode 0600, whole or not at all; its name appears when it is on the disk.

    `owner` gets it, None leaves it to whoever vmnet runs as. One that is not `durable` may be gone
    when the host loses its power. Raises OSError.
    """
    draft = path.with_name(f".{path.name}.part")
    draft.unlink(missing_ok=True)  # of a run that was killed: the plan's lock is held
    try:
        # Never a chmod afterwards: whoever has opened a file keeps it open.
        file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(file, "wb") as stream:
            if owner:
                os.fchown(stream.fileno(), *owner)
            stream.write(data)
            stream.flush()
            if durable:
                os.fsync(stream.fileno())
        draft.rename(path)
        if durable:
            sync(path.parent)
    except OSError:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
        raise


def sync(folder: Path) -> None:
    """See to it that a folder's names are on the disk. Raises OSError."""
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
