"""Agents asked at their sockets: who answers, who only talks, and who keeps silent."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from provisioner.host.guest import agent_pulse

SILENT_S = 0.5


@contextmanager
def agent(path: Path, answer: Callable[[int], bytes]) -> Iterator[Path]:
    """Be QEMU: take one client at a time, and answer what an agent would."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()

        def serve() -> None:
            while True:
                try:
                    client, _ = server.accept()
                except OSError:
                    return
                with client:
                    asked = client.recv(4096)
                    client.sendall(answer(json.loads(asked)["arguments"]["id"]))
                    client.recv(1)  # until it is closed

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield path
        server.shutdown(socket.SHUT_RDWR)


def returned(number: object) -> bytes:
    return json.dumps({"return": number}).encode() + b"\n"


def test_who_answers_is_not_silent_whatever_it_has_said_before(tmp_path: Path) -> None:
    with agent(tmp_path / "a", lambda n: b'{"return": {}}\nrubbish\n' + returned(n)) as path:
        began = time.monotonic()
        assert agent_pulse.unanswered({"a": path}, 30.0) == set()
        assert time.monotonic() - began < 30.0


def test_who_says_something_else_or_nothing_is_silent(tmp_path: Path) -> None:
    with (
        agent(tmp_path / "a", lambda _: b"") as nothing,
        agent(tmp_path / "b", lambda _: returned("x" * 100)) as other,
        agent(tmp_path / "c", returned) as well,
    ):
        sockets = {"a": nothing, "b": other, "c": well}
        assert agent_pulse.unanswered(sockets, SILENT_S) == {"a", "b"}


def test_who_has_ended_or_has_no_socket_is_left_to_others(tmp_path: Path) -> None:
    sockets = {"a": tmp_path / "none", "b": None}
    assert agent_pulse.unanswered(sockets, SILENT_S) == set()
