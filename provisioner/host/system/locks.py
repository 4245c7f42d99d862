"""One command at a time per plan: flock(2), which the kernel frees when its holder dies."""

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TextIO

from provisioner.errors import VmnetError
from provisioner.host.system import file_errors, paths
from provisioner.text import one_line

_POLL_S = 0.1
_FLAGS = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
# Whoever can open a lock's file, if only to read it, can hold the lock for ever (flock(2)).
_FOR_US = 0o600


@contextmanager
def held(
    path: Path, doing: str, *, timeout_s: float, notify: Callable[[str], None], tidy: bool = True
) -> Iterator[None]:
    """Hold the lock; while another command holds it, notify once and wait.

    `tidy`: the lock's folder is there for locks only, and goes when it is empty. Raises
    VmnetError when the lock is still held after `timeout_s` seconds.
    """
    try:
        paths.make(path.parent)
    except OSError as error:
        raise file_errors.converted(error, "cannot make the folder", path.parent) from error
    with _acquired(path, timeout_s, notify) as file:
        note = json.dumps({"pid": os.getpid(), "doing": doing, "since": _since()})
        with suppress(OSError):  # only flock is to be trusted: a full disk keeps nobody waiting
            os.ftruncate(file.fileno(), 0)
            os.write(file.fileno(), note.encode())
        try:
            yield
        finally:
            # Unlinked while held: whoever waits on the old file sees that it has gone.
            path.unlink(missing_ok=True)
            if tidy:
                with suppress(OSError):  # another plan's files may be in it
                    path.parent.rmdir()


@contextmanager
def _acquired(path: Path, timeout_s: float, notify: Callable[[str], None]) -> Iterator[TextIO]:
    end = time.monotonic() + timeout_s
    notified = False
    while True:
        try:
            file = os.fdopen(os.open(path, _FLAGS, _FOR_US), "a+", encoding="utf-8")
        except FileNotFoundError:
            paths.make(path.parent)
            continue
        except OSError as error:
            raise file_errors.converted(error, "cannot lock", path) from error
        with file:
            if lock_until(file, min(end, time.monotonic() + (_POLL_S if notified else 0))):
                if _is_still(file, path):
                    yield file
                    return
                continue
            holder = _holder(path)
            if not notified:
                notify(f"waiting for {holder}")
                notified = True
            if time.monotonic() >= end:
                raise VmnetError(
                    f"{holder} has not ended after {timeout_s:g} s",
                    fix="wait for it or end it, then run the command again",
                )


def private(path: Path) -> int:
    """Open the file of a lock that stays, as one that nobody else can open; return its descriptor.

    An older vmnet has left one that others can read, and hold: it is made anew. Raises OSError.
    """
    while True:
        file = os.open(path, _FLAGS, _FOR_US)
        found = os.fstat(file)
        if found.st_uid == os.geteuid() and not found.st_mode & 0o077:
            return file
        os.close(file)
        path.unlink(missing_ok=True)


def lock_until(file: IO[str] | IO[bytes] | int, end: float, how: int = fcntl.LOCK_EX) -> bool:
    """Try to lock a file until the monotonic time `end`: flock(2) knows no deadline."""
    import select

    while True:
        try:
            fcntl.flock(file, how | fcntl.LOCK_NB)
        except BlockingIOError:
            left = end - time.monotonic()
            if left <= 0:
                return False
            select.select([], [], [], min(left, 0.05))
        else:
            return True


def _is_still(file: TextIO, path: Path) -> bool:
    """Return whether the locked file is the one that the path names now."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _since() -> str:
    """Return the time, and from where this command was asked for when that was by ssh."""
    address, *_ = os.environ.get("SSH_CONNECTION", "").split() or [""]
    by = f", by ssh from {one_line(address, 45)}" if address else ""
    return time.strftime("%T") + by


def _holder(path: Path) -> str:
    """Describe who holds the lock, as far as the file says: only flock is to be trusted."""
    try:
        held_by = json.loads(path.read_text(encoding="utf-8"))
        return one_line(
            f"`vmnet {held_by['doing']}` (pid {held_by['pid']}, since {held_by['since']})"
        )
    except (OSError, ValueError, KeyError, TypeError):
        return "another vmnet command"
