"""Claims of addresses and MACs: what a killed command leaves of them goes with its plan."""

import fcntl
from pathlib import Path

import pytest

from provisioner.host.network import reservations
from provisioner.host.system import paths


@pytest.fixture
def lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The lock over all claims, as a command that was killed while it held it leaves it."""
    monkeypatch.setenv("VMNET_RUN_DIR", str(tmp_path / "run"))
    folder = paths.run() / ".claims"
    folder.mkdir(parents=True)
    (folder / "lab").write_text("{}")
    (folder / ".lock").touch()
    return folder / ".lock"


def test_what_a_killed_command_has_left_goes_with_its_plan(lock: Path) -> None:
    reservations.forget("lab")
    assert not lock.parent.exists()


def test_a_lock_that_another_command_holds_stays(lock: Path) -> None:
    with lock.open() as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        reservations.forget("lab")
        assert [path.name for path in lock.parent.iterdir()] == [".lock"]
