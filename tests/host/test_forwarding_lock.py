"""The lock on a namespace's forwarding: no plan's own lock is the same."""

from pathlib import Path

import pytest

from provisioner.core import values
from provisioner.host import forwarding, locks, places


def test_no_name_makes_a_plan_wait_for_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VMNET_RUN_DIR", str(tmp_path / "run"))
    number = Path("/proc/thread-self/ns/net").stat().st_ino
    name = values.plan_name(f"forwarding-{number}")
    lock = places.lock_file(name)
    with locks.held(lock, f"up {name}", timeout_s=0, say=pytest.fail), forwarding.alone():
        assert list(places.run().iterdir()) == [lock]
