"""The umask: vmnet's own for all that it makes, the user's for the files that go to the user."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_OWN = 0o022
_of_user: list[int] = []  # empty where vmnet's own has not been set: in a program that imports us


def set_own() -> None:
    """Let nobody else write to what this process and its children make; all may read it.

    A job's umask may be 000, and then anybody could change what libvirt obeys as root; with 077 the
    user that QEMU runs as could not walk to its own files. What is secret is made with its mode.
    """
    before = os.umask(_OWN)
    if not _of_user:
        _of_user.append(before)


@contextmanager
def own() -> Iterator[None]:
    """Have vmnet's own umask while the block runs, in a program that imports vmnet.

    A process has one umask: the last block that ends gives the program's back.
    """
    with _BLOCKS.lock:
        if not _BLOCKS.count:
            _BLOCKS.before = os.umask(_OWN)
        _BLOCKS.count += 1
    try:
        yield
    finally:
        with _BLOCKS.lock:
            _BLOCKS.count -= 1
            if not _BLOCKS.count:
                os.umask(_BLOCKS.before)


class _Blocks:
    """How many blocks of `own` there are now, and what was before them."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.count = 0
        self.before = 0


_BLOCKS = _Blocks()


def of_user() -> int:
    """Return the umask that vmnet was started with."""
    if not _of_user:
        before = os.umask(_OWN)
        os.umask(before)
        return before
    return _of_user[0]
