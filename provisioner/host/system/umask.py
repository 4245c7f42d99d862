"""The umask: vmnet's own for all that it makes, the user's for the files that go to the user."""

import os

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


def of_user() -> int:
    """Return the umask that vmnet was started with."""
    if not _of_user:
        before = os.umask(_OWN)
        os.umask(before)
        return before
    return _of_user[0]
