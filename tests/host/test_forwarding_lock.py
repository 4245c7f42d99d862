"""The lock on a namespace's forwarding: no plan's own lock has its name."""

from pathlib import Path

import pytest

from provisioner.core import values
from provisioner.host import forwarding, locks, places


@pytest.fixture(autouse=True)
def _own_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VMNET_RUN_DIR", str(tmp_path / "run"))


def test_a_plan_of_the_locks_name_does_not_wait_for_itself() -> None:
    number = Path("/proc/thread-self/ns/net").stat().st_ino
    name = values.plan_name(f"forwarding-{number}")
    lock = places.lock_file(name)
    with locks.held(lock, f"up {name}", timeout_s=0, say=pytest.fail), forwarding.alone():
        held = {file.name for file in places.run().iterdir()}
    assert held == {f"{name}.lock"}
