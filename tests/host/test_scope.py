"""A cgroup of a QEMU's own, where systemd can make one."""

import os
import shutil
from pathlib import Path

from provisioner.host.jail import scope
from tests.builders.domain import WEB


def test_a_scope_is_made_only_where_systemd_runs_and_can_be_asked() -> None:
    can = Path("/run/systemd/system").is_dir() and shutil.which("busctl") is not None
    assert (scope.why_none() == "") is can


def test_a_process_without_a_scope_stays_where_it_is() -> None:
    before = Path("/proc/self/cgroup").read_text()
    scope.enter(WEB, 0, lambda: 1 << 28)
    if scope.why_none():
        scope.enter(WEB, os.getpid(), lambda: 1 << 28)
    assert Path("/proc/self/cgroup").read_text() == before
