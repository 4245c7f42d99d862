"""The probes that run inside guests, run by this host's shell instead of an agent."""

import os
import re
import socket
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path

import pytest

from provisioner.check.result import Probed
from provisioner.host.guest.commands import Guests, Ran
from provisioner.host.guest.probes import probe
from provisioner.plan.checks import Check, CheckSpec, Probe, What, line
from tests.host_tools.namespace import fresh_namespace, ip

HERE = ip_address("127.0.0.1")


class Shell(Guests):
    """A guest that is this host, with the tools of a folder alone if one is given."""

    def __init__(self, tools: Path | None = None) -> None:
        self._tools = tools

    def run(
        self, argv: Sequence[str], timeout_s: float, stdin: bytes = b"", call_s: int = 5
    ) -> Ran:
        assert call_s
        environment = {**os.environ, "PATH": str(self._tools)} if self._tools else None
        ran = subprocess.run(
            argv, env=environment, input=stdin, timeout=timeout_s, capture_output=True, check=False
        )
        return Ran(ran.returncode, ran.stdout, ran.stderr)


class Redirecting(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(301 if self.path == "/moved" else 200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Keep silent."""


@pytest.fixture(autouse=True)
def loopback() -> Iterator[None]:
    with fresh_namespace():
        ip("link set lo up")
        yield


@contextmanager
def serving(kind: socket.SocketKind) -> Iterator[int]:
    """A port on loopback; what comes by UDP is sent back once."""
    with socket.socket(socket.AF_INET, kind) as server:
        server.bind((str(HERE), 0))
        if kind is socket.SOCK_STREAM:
            server.listen()
        else:

            def echo() -> None:
                data, sender = server.recvfrom(100)
                server.sendto(data, sender)

            threading.Thread(target=echo, daemon=True).start()
        yield server.getsockname()[1]


def done(text: str, shell: Shell | None = None) -> Probed:
    check = line(f"a -> b {text}")
    assert isinstance(check, Check)
    return probe(shell or Shell(), Probe(check.asked, HERE, within_s=1.0))


def test_a_port_is_open_or_refused() -> None:
    with serving(socket.SOCK_STREAM) as port:
        assert done(f"tcp/{port}") == Probed(reached=True, note=f"tcp/{port} is open")
    refused = Probed(reached=False, note=f"tcp/{port} was refused", refused=True)
    assert done(f"tcp/{port}") == refused


def test_a_datagram_is_answered_or_refused() -> None:
    with serving(socket.SOCK_DGRAM) as port:
        assert done(f"udp/{port}") == Probed(reached=True, note=f"udp/{port} has answered")
    assert done(f"udp/{port}").refused


def test_a_page_has_the_status_that_is_wanted() -> None:
    with ThreadingHTTPServer((str(HERE), 0), Redirecting) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        port = server.server_address[1]
        assert done(f"http://web:{port}/") == Probed(reached=True, value="status 200")
        moved = done(f"http://web:{port}/moved status 200")
        server.shutdown()
    assert moved == Probed(reached=False, value="status 301")


def test_pings_are_counted() -> None:
    found = done("loss < 1%")
    assert (found.reached, found.value, found.sent, found.answered) == (True, "0% lost", 50, 50)
    assert done("latency < 1s").reached


@pytest.mark.parametrize(
    ("text", "lacks"),
    [
        ("tcp/22", "neither bash, python3 nor nc"),
        ("udp/53", "no nslookup"),
        ("udp/9", "no bash to send a datagram with"),
        ("http://web/", "neither curl nor wget"),
        ("dns web", "neither nslookup nor getent"),
    ],
)
def test_a_guest_without_a_tool_is_untested(text: str, lacks: str, tmp_path: Path) -> None:
    assert done(text, Shell(tmp_path)) == Probed(
        None, note=f"cannot be tested: the guest has {lacks}"
    )


@pytest.mark.parametrize(
    ("due", "said"),
    [
        (("127.0.0.1",), ""),
        (("127.0.0.1", "fd00::7"), ""),
        (("192.0.2.1",), "its resolver says 127.0.0.1, and not 192.0.2.1"),
        (
            ("127.0.0.1", "192.0.2.1"),
            "its resolver says 127.0.0.1, and not 127.0.0.1, 192.0.2.1",
        ),
        (("fd00::7",), "its resolver says 127.0.0.1, and not fd00::7"),
    ],
)
def test_a_name_has_the_addresses_that_are_due(
    due: tuple[str, ...], said: str, tmp_path: Path
) -> None:
    """By a getent that knows one address."""
    for tool in ("sh", "timeout"):
        (tmp_path / tool).symlink_to(f"/usr/bin/{tool}")
    (tmp_path / "getent").write_text('#!/bin/sh\necho "127.0.0.1 STREAM localhost"\n')
    (tmp_path / "getent").chmod(0o755)
    asked = CheckSpec(What.DNS, text="localhost")
    wanted = tuple(map(ip_address, due))
    found = probe(Shell(tmp_path), Probe(asked, None, within_s=1.0, due=wanted))
    assert found == Probed(reached=not said, value=said)


def test_addresses_are_pinged_side_by_side_with_packets_of_a_size() -> None:
    six, silent = ip_address("::1"), ip_address("192.0.2.1")
    found = Shell().ping({HERE: 1, six: 1, silent: 1}, {HERE: 1500})
    assert {address: ping.size for address, ping in found.items()} == {HERE: 1500, six: 104}
    assert Shell().sizes_answered(HERE, [68, 1000, 70_000]) == {68, 1000}


def test_nics_are_listed_a_line_each() -> None:
    ran = Shell().run_script("guest-probe.sh", 5.0, "nics")
    line = re.compile(rb"\d+ [0-9a-f:]{17} 0x[0-9a-f]+")
    assert ran.status == 0
    assert all(line.fullmatch(each) for each in ran.stdout.splitlines())


def sent_in_the_hope_of_silence(*others: str) -> int:
    """How many of a hundred pings are sent that should not be answered, and are not."""
    ip("link add wire type veth peer name far")
    ip("addr add 10.9.9.1/24 dev wire")
    for device in ("wire", "far"):
        ip(f"link set {device} up")
    words = ["S0.05,100,56,10.9.9.2,", *others]
    ran = Shell().run_script("guest-probe.sh", 60.0, "pings", "1", "4", *words)
    (told,) = re.findall(r"10\.9\.9\.2 ping statistics ---\n(\d+) packets", ran.stdout.decode())
    return int(told)


def test_silence_is_awaited_until_a_moment_after_others_have_answered() -> None:
    assert sent_in_the_hope_of_silence(f"0.05,2,56,{HERE},") < 100


def test_silence_with_nobody_beside_it_who_answers_is_awaited_to_the_end() -> None:
    assert sent_in_the_hope_of_silence() == 100


def test_a_ping_leaves_from_the_address_that_is_asked_for_and_from_no_other() -> None:
    own, foreign = ip_address("127.0.0.2"), ip_address("192.0.2.1")
    assert HERE in Shell().ping({HERE: 1}, sources={HERE: own})
    assert HERE not in Shell().ping({HERE: 1}, sources={HERE: foreign})
    assert HERE in Shell().ping({HERE: 1})
