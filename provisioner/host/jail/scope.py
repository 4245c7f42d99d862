"""A guest's QEMU put into a cgroup of its own by systemd, where that runs.

Nobody but systemd may make one there: what it does not know of, it takes away (its
CGROUP_DELEGATION.md). Without systemd, QEMU's limits are those of its process.
"""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from provisioner.autostart.units import unit_of
from provisioner.errors import VmnetError
from provisioner.guest.domain import Domain
from provisioner.guest.jail.scope import scope_of, start_words
from provisioner.host.system import programs, systemd

_CALL_S: Final = 5.0
_MOVE_S: Final = 2.0  # systemd answers when the move is queued: it takes milliseconds
_POLL_S: Final = 0.002  # a move between cgroups has no event


def why_none() -> str:
    """Return why guests get no cgroup of their own here, "" when they do."""
    if not systemd.is_running():
        return "systemd does not run here"
    return "" if programs.is_installed("busctl") else "busctl is not installed"


def enter(domain: Domain, pid: int, memory: Callable[[], int]) -> None:
    """Put a guest's QEMU into its scope, if it is not there; `memory` tells the guest's, in bytes.

    A guest without is not refused: `vmnet status --wide` tells that its memory is not limited.
    """
    scope = scope_of(domain.plan, domain.vm)
    if not pid or why_none() or _is_in(pid, scope):
        return
    try:
        words = start_words(domain, pid, memory(), unit_of(domain.plan))
        programs.run(["busctl", *words], timeout_s=_CALL_S)
    except VmnetError:
        return
    end, pause = time.monotonic() + _MOVE_S, threading.Event()
    while not _is_in(pid, scope) and time.monotonic() < end:
        pause.wait(_POLL_S)


def _is_in(pid: int, scope: str) -> bool:
    try:
        lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    except OSError:
        return False
    return any(line.rpartition("/")[2] == scope for line in lines)
