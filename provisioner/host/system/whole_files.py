"""Files that are there whole or not at all: secrets of one user's, reports for the user."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, TextIO

from provisioner.errors import Exit, VmnetError
from provisioner.host.system import accounts

Owner = tuple[int, int]
"""A user's and a group's number."""


def write_secret(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Write a file with mode 0600, whole or not at all; its name appears when it is on the disk.

    One that is not `durable` may be gone when the host loses its power. Raises OSError.
    """
    with _drafted(path, durable=durable) as stream:
        stream.write(data)


def write_public(path: Path, text: str, mode: int = 0o644, *, durable: bool = True) -> None:
    """Write a file that everybody may read, whole or not at all. Raises OSError."""
    with _drafted(path, durable=durable) as stream:
        os.fchmod(stream.fileno(), mode)
        stream.write(text.encode())


@contextmanager
def _drafted(path: Path, *, durable: bool) -> Iterator[BinaryIO]:
    """Open a draft of a file, 0600, which gets its name when the block has filled it."""
    draft = path.with_name(f".{path.name}.part")
    draft.unlink(missing_ok=True)  # of a run that was killed: whoever writes holds a lock
    try:
        # Never a chmod afterwards: whoever has opened a file keeps it open.
        file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(file, "wb") as stream:
            yield stream
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
    """Write a folder's names to the disk. Raises OSError."""
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def write_report(path: Path, text: str) -> None:
    """Write a report, in place of what stood there. Raises VmnetError when it cannot be."""
    try:
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", dir=path.parent, prefix=f".{path.name}.", delete=False
        ) as file:
            file.write(text)
            os.fchmod(file.fileno(), 0o644)
            accounts.hand_over(file.fileno())
        try:
            os.replace(file.name, path)  # noqa: PTH105  (both are in one directory)
        except OSError:
            Path(file.name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise _refusal(path, error) from error


def write_bundle(path: Path, data: bytes) -> None:
    """Write a new file, 0600, for whoever runs vmnet. Raises VmnetError when it cannot be."""
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(file, "wb") as stream:
            accounts.hand_over(stream.fileno())
            stream.write(data)
    except OSError as error:
        raise _refusal(path, error) from error


def append_report(path: Path, text: str) -> None:
    """Add to a file that others add to as well. Raises VmnetError when it cannot be."""
    try:
        with _appending(path) as file:
            file.write(text)
    except OSError as error:
        raise _refusal(path, error) from error


def _appending(path: Path) -> TextIO:
    """Open a file to add to; one that is made for that belongs to whoever runs vmnet."""
    try:
        file = path.open("x", encoding="utf-8")
    except FileExistsError:
        return path.open("a", encoding="utf-8")
    accounts.hand_over(file.fileno())
    return file


def _refusal(path: Path, error: OSError) -> VmnetError:
    return VmnetError(
        f"cannot write {path}: {error.strerror}",
        fix="name a file in a directory that is there and may be written to",
        status=Exit.HOST_CANNOT,
    )
