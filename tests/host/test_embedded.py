"""libvirt inside vmnet's own process: one at a time in a root, also after a kill."""

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from provisioner.host.libvirt import embedded
from provisioner.host.system import paths

HOLD = """\
import fcntl, sys, time
file = open(sys.argv[1], "r+b")
fcntl.lockf(file, fcntl.LOCK_EX, 1, 0)
print("held", flush=True)
time.sleep(60)
"""


@pytest.fixture
def pid_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that libvirt locks while a plan's root is open."""
    monkeypatch.setenv("VMNET_RUN_DIR", str(tmp_path))
    path = paths.libvirt_root("lab") / "run/qemu/driver.pid"
    path.parent.mkdir(parents=True)
    path.touch()
    return path


def test_a_root_that_another_process_has_open_is_waited_for_until_that_ends(pid_file: Path) -> None:
    argv = [sys.executable, "-c", HOLD, str(pid_file)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == b"held\n"
        waiting = threading.Thread(target=embedded.await_release, args=["lab"])
        waiting.start()
        waiting.join(0.3)
        assert waiting.is_alive()
        holder.kill()
        waiting.join(5)
        assert not waiting.is_alive()


def test_a_root_that_nobody_has_open_is_not_waited_for(pid_file: Path) -> None:
    began = time.monotonic()
    embedded.await_release("lab")
    pid_file.unlink()
    embedded.await_release("lab")
    embedded.await_release("other")
    assert time.monotonic() - began < 1
