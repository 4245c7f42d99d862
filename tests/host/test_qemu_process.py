"""The process of a QEMU that is killed: proved to be it, and gone when the call returns."""

import os
import subprocess
from collections.abc import Iterator
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
