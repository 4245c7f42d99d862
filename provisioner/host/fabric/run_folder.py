"""The folder of one run of Ansible. Those whose run was killed go when the next one begins."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from provisioner.host.system import file_errors, paths

_FOLDER: Final = ".ansible"  # no plan's name begins with a dot


@contextmanager
def held() -> Iterator[Path]:
    """Make a folder that is there while the block runs; nobody else can read it.

    A lock on the folder itself is its owner's mark: the kernel frees it however the owner ends.
    Raises VmnetError when it cannot be made.
    """
    every = paths.run() / _FOLDER
    try:
        with _alone(every):
            _clear(every)
            folder = Path(tempfile.mkdtemp(dir=every))
            mark = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
            fcntl.flock(mark, fcntl.LOCK_EX)
    except OSError as error:
        raise file_errors.converted(error, "cannot make a folder in", every) from error
    try:
        yield folder
    finally:
        with suppress(OSError), _alone(every):
            shutil.rmtree(folder, ignore_errors=True)
            os.close(mark)
            every.rmdir()  # unless others are in it
            every.parent.rmdir()


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Make a folder, and keep others from making and clearing what is in it."""
    while True:
        paths.make(folder)
        try:
            lock = os.open(folder, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            continue  # whoever was the last in it has just taken it away
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if _is_still(lock, folder):
                yield
                return
        finally:
            os.close(lock)


def _is_still(lock: int, folder: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(lock), folder.stat())
    except FileNotFoundError:
        return False


def _clear(every: Path) -> None:
    """Remove the folders that nobody holds any more."""
    for folder in every.iterdir():
        with suppress(OSError):  # its owner takes it away just now
            mark = os.open(folder, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(mark)
