"""Network namespaces without a name: threads work in them, and a kill takes them away.

A namespace and every device in it go when the last thread, process and descriptor has left it. The
calling thread never leaves its own: what is to happen elsewhere gets threads of its own.
"""

import ctypes
import errno
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from provisioner.errors import VmnetError

_CLONE_NEWNET = 0x40000000
_T = TypeVar("_T")


@contextmanager
def namespaces(number: int) -> Iterator[list[int]]:
    """Make some namespaces; yield a descriptor of each. Raises VmnetError without the right to."""
    made: list[int] = []
    try:
        for _ in range(number):
            made += side_by_side([_make])
        yield made
    finally:
        for descriptor in made:
            os.close(descriptor)


def run_in(namespace: int, work: Callable[[], _T]) -> _T:
    """Do a work in a namespace, in a thread that ends with it."""
    return side_by_side([inside(namespace, work)])[0]


def inside(namespace: int, work: Callable[[], _T]) -> Callable[[], _T]:
    """Return the same work, done in a namespace; only for a thread that ends with it."""

    def moved() -> _T:
        _check(_libc().setns(namespace, _CLONE_NEWNET), "enter a network namespace")
        return work()

    return moved


def side_by_side(works: Sequence[Callable[[], _T]]) -> list[_T]:
    """Do each work in a thread of its own, all at once; raise the first error after the last."""
    from concurrent.futures import ThreadPoolExecutor

    # A worker of a pool that is done takes the next work: one worker per work cannot happen to
    # keep another's namespace, since each work enters its own first.
    with ThreadPoolExecutor(len(works)) as pool:
        return [future.result() for future in [pool.submit(work) for work in works]]


def _make() -> int:
    _check(_libc().unshare(_CLONE_NEWNET), "make a network namespace")
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _check(result: int, doing: str) -> None:
    if result == 0:
        return
    number = ctypes.get_errno()
    fix = "see what limits namespaces here: sysctl user.max_net_namespaces"
    if number == errno.EPERM:
        fix = "run it as root: this needs CAP_SYS_ADMIN (in a container: --cap-add SYS_ADMIN)"
    raise VmnetError(f"cannot {doing}: {os.strerror(number)}", fix=fix)
