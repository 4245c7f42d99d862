"""What libvirt has written down of a plan's domains, and what QEMUs say that no libvirt watches.

An embedded libvirt is open only while a command runs. In between a QEMU's monitor is nobody's:
whoever holds the plan's lock may ask there.
"""

import hashlib
import os
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from provisioner.errors import VmnetError
from provisioner.host.libvirt.qemu import monitor as qemu_monitor
from provisioner.host.libvirt.qemu import stray
from provisioner.host.libvirt.session import choose_connection, is_embedded
from provisioner.host.system import locks, paths

_SYSTEM = Path("/run/libvirt/qemu")


def digest(plan: str) -> str:
    """Return a digest of libvirt's records of a plan's domains: each change is written there."""
    folders = (paths.libvirt_root(plan) / "run" / "qemu", _SYSTEM)
    found = hashlib.blake2s()
    for folder in folders:
        for file in sorted(folder.glob(f"{plan}-*.xml")):
            with suppress(OSError):
                found.update(file.name.encode() + b"\0" + file.read_bytes())
    return found.hexdigest()


def run_states(plan: str, wish: str, pids: Collection[int]) -> tuple[str, ...] | None:
    """Return the run state of each QEMU as it tells it itself, "" where it does not.

    None while it cannot be asked: another command works on the plan, or a daemon watches it.
    """
    if not pids or not is_embedded(choose_connection(wish, plan).what):
        return None
    try:
        lock = paths.lock_file(plan)
        doing = f"status --watch {plan}"
        with locks.held(lock, doing, timeout_s=0, notify=lambda _: None):
            known = {x.pid: x.argv for x in stray.qemus(plan)}
            return tuple(_run_state(pid, known.get(pid, ())) for pid in pids)
    except VmnetError:
        return None


def _run_state(pid: int, argv: Collection[str]) -> str:
    try:
        process = os.pidfd_open(pid)
    except OSError:
        return ""
    try:
        with qemu_monitor.opened(process, tuple(argv), answer_s=0.3) as monitor:
            return monitor.run_state()
    except (OSError, ValueError):
        return ""
    finally:
        os.close(process)
