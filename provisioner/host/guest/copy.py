"""One file to a guest or from it, piece by piece, through its agent."""

import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import IO, Concatenate, Final, ParamSpec, Protocol, TypeVar

from provisioner.errors import Exit, VmnetError
from provisioner.host.guest.commands import Guests
from provisioner.host.guest.files import READ
from provisioner.host.system import umask
from provisioner.text import one_line

P = ParamSpec("P")
R = TypeVar("R")
MOST: Final = 256 << 20
"""Bytes of a file: more takes ssh, which is many times as fast."""

_RUN_S: Final = 20.0
Progress = Callable[[int, int], None]
"""Called with the bytes that are done, and of how many: 0 when unknown."""


class Guest(Protocol):
    """One guest: calls a method of Guests for it."""

    def __call__(
        self,
        method: Callable[Concatenate[Guests, P], R],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R:
        """Call a method and return its result, or raise VmnetError."""


def put(guest: Guest, here: str, there: str, progress: Progress) -> None:
    """Copy a file of this host into a guest, where its name appears when it is whole.

    `there` may be a folder, or "" for the agent's own. Raises VmnetError when it cannot.
    """
    source = Path(here)
    try:
        with source.open("rb") as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise VmnetError(
                    f"{one_line(here)} is not a file",
                    fix="name a file; folders go by ssh: vmnet cp -r SRC DST",
                    status=Exit.BAD_INPUT,
                )
            _bound(found.st_size, here)
            final = _in_guest(guest, source.name, there)
            draft = f"{final}.vmnet-part"
            _send(guest, file, draft, found.st_size, progress)
    except OSError as error:
        raise VmnetError(
            f"cannot read {one_line(here)}: {error.strerror}",
            fix="look at its name and its rights",
            status=Exit.BAD_INPUT,
        ) from error
    _succeeds(guest, "chmod", f"{stat.S_IMODE(found.st_mode) & 0o777:o}", "--", draft)
    if not _succeeds(guest, "mv", "-f", "--", draft, final):
        raise VmnetError(
            f"the guest could not give the copy its name: it is {one_line(draft)} in there",
            fix=f"look whether {one_line(final)} is a folder, or may not be written",
        )


def get(guest: Guest, there: str, here: str, progress: Progress) -> None:
    """Copy a guest's file to this host, where its name appears when it is whole.

    `here` may be a folder. Raises VmnetError when it cannot.
    """
    final = Path(here)
    if final.is_dir():
        final /= PurePosixPath(there).name
    with _opened(guest, there, "r") as handle:
        try:
            descriptor, name = tempfile.mkstemp(dir=final.parent, prefix=f".{final.name[:64]}-")
        except OSError as error:
            raise VmnetError(
                f"cannot write {one_line(str(final))}: {error.strerror}",
                fix="look at the folder's name and its rights",
                status=Exit.BAD_INPUT,
            ) from error
        draft = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as file:
                _gather(guest, handle, there, file.write, progress)
                file.flush()
                os.fchmod(file.fileno(), 0o666 & ~umask.of_user())
                os.fsync(file.fileno())
            draft.replace(final)
        finally:
            draft.unlink(missing_ok=True)


def _send(guest: Guest, file: IO[bytes], draft: str, size: int, progress: Progress) -> None:
    try:
        with _opened(guest, draft, "w") as handle:
            done = 0
            while data := file.read(READ):
                _bound(done + len(data), draft)  # it grows while it is read
                guest(Guests.file_write, handle, data)
                done += len(data)
                progress(done, size)
    except BaseException:
        _succeeds(guest, "rm", "-f", "--", draft)
        raise


def _gather(
    guest: Guest, handle: int, there: str, write: Callable[[bytes], object], progress: Progress
) -> None:
    done, last = 0, False
    while not last:
        data, last = guest(Guests.file_read, handle)
        done += len(data)
        _bound(done, there)
        write(data)
        progress(done, 0)


def _succeeds(guest: Guest, *argv: str) -> bool:
    """Return whether a program inside ends well; False too where none may be run."""
    with suppress(VmnetError):
        return guest(Guests.run, ["/usr/bin/env", *argv], _RUN_S).status == 0
    return False


def _in_guest(guest: Guest, name: str, there: str) -> str:
    """Return the path of the copy: a folder of the guest's takes it under its own name."""
    if not there or there.endswith("/") or _succeeds(guest, "test", "-d", there):
        return f"{there.rstrip('/')}/{name}" if there else name
    return there


def _bound(size: int, name: str) -> None:
    if size > MOST:
        raise VmnetError(
            f"{one_line(name)} has more than the {MOST >> 20} MiB that go through a guest agent",
            fix="copy it by ssh, where the host reaches the guest: vmnet cp --way ssh SRC DST",
            status=Exit.BAD_INPUT,
        )


@contextmanager
def _opened(guest: Guest, path: str, mode: str) -> Iterator[int]:
    handle = guest(Guests.file_open, path, mode)
    try:
        yield handle
    except BaseException:
        with suppress(VmnetError):
            guest(Guests.file_close, handle)
        raise
    guest(Guests.file_close, handle)  # a disk that is full may be reported here only
