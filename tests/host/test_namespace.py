import os
import socket

from namespace import Namespace, far_namespace, fresh_namespace, ip


def where() -> str:
    return os.readlink("/proc/thread-self/ns/net")


def devices() -> set[str]:
    return {name for _, name in socket.if_nameindex()}


def test_a_thread_goes_in_and_comes_back() -> None:
    before = where()
    with fresh_namespace():
        inside = where()
    assert (inside != before, where()) == (True, before)


def test_a_thread_comes_back_from_an_error() -> None:
    before = where()
    try:
        with fresh_namespace():
            raise KeyError
    except KeyError:
        assert where() == before


def test_what_is_made_inside_stays_inside(namespace: Namespace) -> None:
    ip("link add name one type veth peer name two")
    with far_namespace() as far, far.entered():
        there = devices()
    with namespace.entered():
        assert ({"one", "two"} <= devices(), {"one", "two"} & there) == (True, set())


def test_no_descriptor_is_left_open() -> None:
    before = len(os.listdir("/proc/self/fd"))
    with fresh_namespace(), far_namespace() as far, far.entered():
        pass
    assert len(os.listdir("/proc/self/fd")) == before
