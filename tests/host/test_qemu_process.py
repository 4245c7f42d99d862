"""The process of a QEMU that is killed: proved to be it, and gone when the call returns."""

import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from provisioner.host.libvirt import qemu_process

PROOF = "/run/vmnet/lab"


@pytest.fixture
def started(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """A process with the words that prove a QEMU on its command line, and its pid file."""
    words = ("guest=lab-a,debug-threads=on", f"path={PROOF}/monitor")
    argv = ["sh", "-c", "echo; read x", "sh", *words]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout
        child.stdout.readline()  # exec(2) closes what Popen waits for before it sets the cmdline
        file = tmp_path / "lab-a.pid"
        file.write_text(f"{child.pid}\n")
        yield child, file
        child.kill()


@pytest.mark.parametrize("_", range(5))
def test_a_process_that_was_killed_has_closed_its_files(
    started: tuple[subprocess.Popen[bytes], Path], _: int
) -> None:
    child, file = started
    assert qemu_process.kill(file, "lab-a", PROOF).endswith("it has been ended")
    assert os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


@pytest.mark.parametrize(("domain", "proof"), [("lab-b", PROOF), ("lab-a", "/run/vmnet/other")])
def test_a_process_that_is_not_proved_lives_on(
    started: tuple[subprocess.Popen[bytes], Path], domain: str, proof: str
) -> None:
    child, file = started
    assert qemu_process.kill(file, domain, proof).endswith("is another program")
    assert child.poll() is None


@contextmanager
def with_sockets(tmp_path: Path, number: int) -> Iterator[tuple[Path, list[socket.socket]]]:
    """Start a process that is proved to be a QEMU and has sockets; yield the other ends."""
    pairs = [socket.socketpair() for _ in range(number)]
    argv = ["sh", "-c", "echo; read x", "sh", "guest=lab-a", PROOF]
    passed = [theirs.fileno() for _, theirs in pairs]
    with subprocess.Popen(
        argv, pass_fds=passed, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout
        child.stdout.readline()
        for ours, theirs in pairs:
            ours.settimeout(0)
            theirs.close()
        file = tmp_path / "lab-a.pid"
        file.write_text(f"{child.pid}\n")
        try:
            yield file, [ours for ours, _ in pairs]
        finally:
            child.kill()
            for ours, _ in pairs:
                ours.close()


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_nobody_hears_of_a_killed_process_before_the_block_ends(tmp_path: Path) -> None:
    with with_sockets(tmp_path, 1) as (file, (monitor,)):
        with qemu_process.killed(file, "lab-a", PROOF) as said:
            assert said.endswith("it has been ended")
            with pytest.raises(BlockingIOError):
                monitor.recv(1)
        assert monitor.recv(1) == b""


def test_a_process_with_many_sockets_takes_few_of_our_files(tmp_path: Path) -> None:
    with with_sockets(tmp_path, 200) as (file, _):
        before = open_files()
        with qemu_process.killed(file, "lab-a", PROOF):
            assert before < open_files() < before + 40
        assert open_files() == before
