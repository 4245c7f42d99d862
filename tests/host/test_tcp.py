"""Knocking at ports, some of which are hostile."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from provisioner.host.probe import tcp

HERE = "127.0.0.1"


@contextmanager
def served(talk: Callable[[socket.socket], None]) -> Iterator[int]:
    """A server on loopback that talks to whoever comes."""
    with socket.create_server((HERE, 0)) as server:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    caller, _ = server.accept()
                    with caller, suppress(OSError):
                        talk(caller)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
    thread.join(10)


def endless(caller: socket.socket) -> None:
    while True:
        caller.sendall(b"x" * 65536)


def drops(caller: socket.socket) -> None:
    for letter in b"SSH-2.0-slow" * 100:
        caller.sendall(bytes([letter]))
        caller.settimeout(0.05)
        with suppress(TimeoutError):
            caller.recv(1)


@pytest.mark.parametrize(
    ("says", "is_ssh"),
    [
        (b"SSH-2.0-dropbear\r\n", True),
        (b"welcome\r\nto this\r\nSSH-2.0-x\n", True),
        (b"SSH-2.0-without an end", False),
        (b"HTTP/1.1 400 Bad Request\r\n", False),
        (b"", False),
    ],
)
def test_an_ssh_server_is_known_by_its_greeting(says: bytes, is_ssh: bool) -> None:  # noqa: FBT001
    with served(lambda caller: caller.sendall(says)) as port:
        assert tcp.speaks_ssh(HERE, port, 5) == is_ssh
        assert tcp.opens(HERE, port, 5)


@pytest.mark.parametrize("talk", [endless, drops])
def test_a_greeting_without_end_costs_no_more_than_its_time(
    talk: Callable[[socket.socket], None],
) -> None:
    with served(talk) as port:
        began = time.monotonic()
        assert not tcp.speaks_ssh(HERE, port, 1)
        assert time.monotonic() - began < 3


def test_a_refusal_is_an_answer_though_nothing_opens() -> None:
    with socket.create_server((HERE, 0)) as server:
        port = server.getsockname()[1]
    assert not tcp.opens(HERE, port, 1)
    assert not tcp.speaks_ssh(HERE, port, 1)
    assert tcp.answers(HERE, port, 1)
