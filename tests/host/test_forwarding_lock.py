"""The lock on a namespace's forwarding: no plan's own lock has its name."""

from pathlib import Path

import pytest

from provisioner.host.network import forwarding
from provisioner.host.system import locks, paths
from provisioner.plan import scalars


@pytest.fixture(autouse=True)
def _own_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VMNET_RUN_DIR", str(tmp_path / "run"))


def test_a_plan_of_the_locks_name_does_not_wait_for_itself() -> None:
    number = Path("/proc/thread-self/ns/net").stat().st_ino
    name = scalars.plan_name(f"forwarding-{number}")
    lock = paths.lock_file(name)
    with locks.held(lock, f"up {name}", timeout_s=0, notify=pytest.fail), forwarding.alone():
        held = {file.name for file in paths.run().iterdir()}
    assert held == {f"{name}.lock", ".claims"}
    assert not paths.claims().exists()
