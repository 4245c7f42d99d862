"""The store's folder, its lock and its drafts: what a killed run left is known and removed."""

import fcntl
import os
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from provisioner.errors import VmnetError
from provisioner.host.system import locks, paths
from provisioner.host.system.whole_files import sync
from provisioner.signals import deferred

NAMES = "names"
_LOCK = "lock"
_DRAFT = ".draft-"
_TIMEOUT_S = 30.0
_FOR_ALL = 0o755  # QEMU runs as another user, and root's images are for everybody
_OTHERS_MAY_WRITE = 0o022

Tell = Callable[[str], None]


def prepare(store: Path) -> None:
    """Make the store's folders. Raises VmnetError when somebody else could change what is there."""
    try:
        for folder in (store, store / NAMES):
            if not folder.is_dir():
                paths.make(folder)
                folder.chmod(_FOR_ALL)
            _require_ours(folder)
    except OSError as error:
        raise VmnetError(
            f"cannot make the image store {store}: {error.strerror}",
            fix="make that place writable for you, or set VMNET_STATE_DIR to another one",
        ) from error


def _require_ours(folder: Path) -> None:
    found = folder.stat()
    if found.st_uid != os.geteuid() or found.st_mode & _OTHERS_MAY_WRITE:
        raise VmnetError(
            f"others than you could change the images in {folder}",
            fix=f"see who did that, then: chown {os.geteuid()} {folder}; chmod go-w {folder}",
        )


@contextmanager
def held(store: Path, tell: Tell, *, alone: bool = False) -> Iterator[None]:
    """Hold the store: together with others so that nothing goes, or alone to take things away.

    An `up` holds it from choosing an image until its disks name the image. A store that is not
    there has nothing that could go. Nobody but its owner can hold the lock. Raises VmnetError when
    others still hold it after 30 s.
    """
    if not os.access(store, os.W_OK):  # not there, or somebody else's: it is not locked by us
        yield
        return
    try:
        handle = locks.private(store / _LOCK)
    except OSError as error:
        raise VmnetError(
            f"cannot use the image store {store}: {error.strerror}",
            fix="see whose it is (ls -ld), or set VMNET_STATE_DIR to a place of your own",
        ) from error
    try:
        _lock(handle, fcntl.LOCK_EX if alone else fcntl.LOCK_SH, tell)
        yield
    finally:
        os.close(handle)


def _lock(handle: int, how: int, tell: Tell) -> None:
    if locks.lock_until(handle, 0, how):
        return
    tell("waiting for another vmnet that uses the images")
    if not locks.lock_until(handle, time.monotonic() + _TIMEOUT_S, how):
        raise VmnetError(
            f"another vmnet still uses the images after {_TIMEOUT_S:g} s",
            fix="wait for it or end it, then run the command again",
        )


@contextmanager
def draft(folder: Path) -> Iterator[IO[bytes]]:
    """Yield a file to write, gone at the end unless it was renamed; its name cannot be guessed.

    Its lock shows that its writer lives: `clear` removes drafts without one.
    """
    made: IO[bytes] | None = None
    try:
        with deferred():  # an interrupt in between would leave a file that nobody knows
            made = _locked(folder)
        with made:
            yield made
    finally:
        if made is not None:
            Path(made.name).unlink(missing_ok=True)


def _locked(folder: Path) -> IO[bytes]:
    while True:
        file = tempfile.NamedTemporaryFile(dir=folder, prefix=_DRAFT, delete=False)  # noqa: SIM115
        fcntl.flock(file, fcntl.LOCK_EX)
        if os.fstat(file.fileno()).st_nlink:
            return file
        file.close()  # removed in the moment before it was locked


def clear(folder: Path) -> int:
    """Remove what killed runs have left half written; return how many bytes that frees."""
    freed = 0
    for left in folder.glob(f"{_DRAFT}*"):
        with suppress(OSError), left.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            freed += allocated(os.fstat(file.fileno()))
            left.unlink()
    return freed


def publish(file: IO[bytes], final: Path, mode: int) -> None:
    """Let a draft appear under its final name, whole and on the disk."""
    file.flush()
    os.fchmod(file.fileno(), mode)
    os.fsync(file.fileno())
    Path(file.name).rename(final)
    sync(final.parent)


def allocated(found: os.stat_result) -> int:
    """Return how many bytes of the disk a file takes; less than its size when it is sparse."""
    return found.st_blocks * 512 if stat.S_ISREG(found.st_mode) else 0
