"""The ends of a copy that are on this host: a file that is sent, and one that arrives."""

import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Final

from provisioner.errors import bad_input
from provisioner.host.system import accounts, umask
from provisioner.text import one_line

MOST: Final = 256 << 20
"""Bytes of a file: more takes ssh, which is many times as fast."""


@contextmanager
def opened(here: str) -> Iterator[tuple[IO[bytes], os.stat_result]]:
    """Open a file that is sent. Raises VmnetError when it is none, too large, or cannot be read."""
    try:
        with Path(here).open("rb") as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                fix = "name a file; folders go by ssh: vmnet cp -r SRC DST"
                raise bad_input(f"{one_line(here)} is not a file", fix)
            refuse_large(found.st_size, here)
            yield file, found
    except OSError as error:
        what = f"cannot read {one_line(here)}: {error.strerror}"
        raise bad_input(what, "look at its name and its rights") from error


@contextmanager
def arriving(here: str, there: str) -> Iterator[IO[bytes]]:
    """Make a file for what comes from the guest's path `there`; its name appears when it is whole.

    `here` may be a folder. Raises VmnetError when it cannot be made.
    """
    final = Path(here)
    if final.is_dir():
        final /= PurePosixPath(there).name
    try:
        descriptor, name = tempfile.mkstemp(dir=final.parent, prefix=f".{final.name[:64]}-")
    except OSError as error:
        what = f"cannot write {one_line(str(final))}: {error.strerror}"
        raise bad_input(what, "look at the folder's name and its rights") from error
    draft = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fchmod(file.fileno(), 0o666 & ~umask.of_user())
            accounts.hand_over(file.fileno())
            os.fsync(file.fileno())
        draft.replace(final)
    finally:
        draft.unlink(missing_ok=True)


def refuse_large(size: int, name: str) -> None:
    """Raise VmnetError for a file that would take too long."""
    if size > MOST:
        raise bad_input(
            f"{one_line(name)} has more than the {MOST >> 20} MiB that go through a guest agent",
            "copy it by ssh, where the host reaches the guest: vmnet cp --way ssh SRC DST",
        )
