"""Network namespaces without a name: the calling thread goes in and comes back.

What is made inside is gone when the last thread, process and descriptor has left. /sys keeps
showing the namespace it was mounted in; /proc/thread-self/net and /proc/sys/net follow the thread.
"""

import ctypes
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

_NEW_NET = 0x40000000
_LIBC = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Namespace:
    """One namespace, held open by a descriptor."""

    descriptor: int

    @property
    def path(self) -> str:
        """What `ip link set DEVICE netns PATH` takes, from any process."""
        return f"/proc/{os.getpid()}/fd/{self.descriptor}"

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Be in it, with the calling thread and the programs that it starts."""
        with _way_back():
            _done(_LIBC.setns(self.descriptor, _NEW_NET), "setns")
            yield


@contextmanager
def fresh_namespace() -> Iterator[Namespace]:
    """Put the calling thread into a new namespace, its loopback up; afterwards back again."""
    with _way_back():
        _done(_LIBC.unshare(_NEW_NET), "unshare")
        descriptor = _current()
        try:
            ip("link set dev lo up")
            yield Namespace(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def far_namespace() -> Iterator[Namespace]:
    """Make another namespace without staying in it: the other end of a veth pair lives there."""
    with fresh_namespace() as here:
        descriptor = os.dup(here.descriptor)
    try:
        yield Namespace(descriptor)
    finally:
        os.close(descriptor)


def ip(*commands: str) -> None:
    """Run iproute2 once over all commands, where the calling thread is."""
    subprocess.run(
        ["ip", "-batch", "-"], input="\n".join(commands) + "\n", text=True, check=True, timeout=10
    )


@contextmanager
def _way_back() -> Iterator[None]:
    origin = _current()
    try:
        yield
    finally:
        try:
            _done(_LIBC.setns(origin, _NEW_NET), "setns")
        finally:
            os.close(origin)


def _current() -> int:
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def _done(result: int, call: str) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, f"{call}: {os.strerror(number)}")
