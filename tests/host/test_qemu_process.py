"""The process of a QEMU that is killed: proved to be it, and gone when the call returns."""

import os
import socket
import subprocess
import threading
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
def with_sockets(
    tmp_path: Path, number: int
) -> Iterator[tuple[subprocess.Popen[bytes], Path, list[socket.socket]]]:
    """Start a process that is proved to be a QEMU and has sockets; yield the other ends, too."""
    pairs = [socket.socketpair() for _ in range(number)]
    argv = ["sh", "-c", "echo; read x", "sh", "guest=lab-a", PROOF]
    passed = [theirs.fileno() for _, theirs in pairs]
    with subprocess.Popen(
        argv, pass_fds=passed, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout
        child.stdout.readline()
        for _, theirs in pairs:
            theirs.close()
        file = tmp_path / "lab-a.pid"
        file.write_text(f"{child.pid}\n")
        try:
            yield child, file, [ours for ours, _ in pairs]
        finally:
            child.kill()
            for ours, _ in pairs:
                ours.close()


def test_nobody_hears_of_a_killed_process_that_has_not_been_waited_for(tmp_path: Path) -> None:
    with with_sockets(tmp_path, 1) as (child, file, (monitor,)):

        def wait() -> None:
            os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
            threading.Event().wait(0.03)  # as an init does that is busy
            child.wait()

        def hear() -> None:
            assert monitor.recv(1) == b""
            known.append(Path(f"/proc/{child.pid}").exists())

        known: list[bool] = []
        threads = [threading.Thread(target=each) for each in (wait, hear)]
        for thread in threads:
            thread.start()
        assert qemu_process.kill(file, "lab-a", PROOF).endswith("it has been ended")
        for thread in threads:
            thread.join(10)
        assert known == [False]


def test_few_of_many_sockets_of_a_process_are_taken(tmp_path: Path) -> None:
    with with_sockets(tmp_path, 100) as (child, _, _):
        process = os.pidfd_open(child.pid)
        copies = qemu_process._sockets(process, child.pid)
        for file in (process, *copies):
            os.close(file)
        assert len(copies) == 32
