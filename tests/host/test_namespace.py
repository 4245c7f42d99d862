import socket
from pathlib import Path

import pytest

from tests.host_tools.namespace import Namespace, far_namespace, fresh_namespace, ip


def where() -> str:
    return str(Path("/proc/thread-self/ns/net").readlink())


def devices() -> set[str]:
    return {name for _, name in socket.if_nameindex()}


def test_a_thread_goes_in_and_comes_back() -> None:
    before = where()
    with fresh_namespace():
        inside = where()
    assert (inside != before, where()) == (True, before)


def test_a_thread_comes_back_from_an_error() -> None:
    before = where()
    with pytest.raises(ZeroDivisionError), fresh_namespace():
        _ = 1 / 0
    assert where() == before


def test_what_is_made_inside_stays_inside(namespace: Namespace) -> None:
    ip("link add name one type veth peer name two")
    with far_namespace() as far, far.entered():
        there = devices()
    with namespace.entered():
        assert ({"one", "two"} <= devices(), {"one", "two"} & there) == (True, set())


def test_no_descriptor_is_left_open() -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    with fresh_namespace(), far_namespace() as far, far.entered():
        pass
    assert len(list(Path("/proc/self/fd").iterdir())) == before
