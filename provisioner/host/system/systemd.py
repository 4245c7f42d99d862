"""systemd's units of plans: written where the administrator's are, enabled, and asked about."""

import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Final

from provisioner.errors import Exit, VmnetError
from provisioner.host.system import file_errors, paths, programs, whole_files

UNITS: Final = Path("/etc/systemd/system")
PLANS: Final = Path("/etc/vmnet/plans")
NET_DEVICES: Final = Path("/etc/vmnet/net.json")
HOOK: Final = Path("/etc/libvirt/hooks/qemu.d/vmnet")

_SYSTEMCTL_S = 60.0
_BOOTED = Path("/run/systemd/system")  # sd_booted(3)


def require() -> None:
    """Raise VmnetError when this host has no systemd, or its units are not ours to write."""
    if os.geteuid():
        raise VmnetError(
            "only root can have plans brought up at boot", fix="run it by: sudo vmnet …"
        )
    if not programs.is_installed("systemctl"):
        raise VmnetError(
            "this host has no systemd, which would bring the plan up at boot",
            fix="let this host's own init run: vmnet up",
        )


def is_running() -> bool:
    """Return whether systemd is this host's init."""
    return _BOOTED.is_dir()


def write(path: Path, text: str, mark: str, *, mode: int = 0o644) -> bool:
    """Write a file, whole or not at all; return whether it is another one than before.

    Raises VmnetError, status CONFLICT, when there is one without the mark.
    """
    try:
        if (there := read(path)) is not None:
            if mark not in there:
                raise VmnetError(
                    f"{path} is in the way: vmnet has not made it",
                    fix=f"move it away: mv {path} ELSEWHERE",
                    status=Exit.CONFLICT,
                )
            if there == text and path.stat().st_mode & 0o777 == mode:
                return False
        paths.make(path.parent)
        whole_files.write_public(path, text, mode)
    except OSError as error:
        raise file_errors.converted(error, "cannot write", path) from error
    return True


def remove(path: Path, mark: str) -> bool:
    """Remove a file that has the mark, and its folder if it is empty; return whether it is gone."""
    there = read(path)
    if there is None or mark not in there:
        return False
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise file_errors.converted(error, "cannot remove", path) from error
    with suppress(OSError):  # something else is in it
        path.parent.rmdir()
    return True


def read(path: Path) -> str | None:
    """Return the text of a file, None when there is none. Raises VmnetError for a bad one."""
    try:
        return path.read_text("utf-8", errors="replace")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise file_errors.converted(error, "cannot read", path) from error


def reload() -> None:
    """Let systemd, if it runs, read its units again."""
    if is_running():
        _systemctl("daemon-reload")


def enable(unit: str) -> None:
    """Have a unit started at boot; without a running systemd the link is made all the same."""
    _systemctl("enable", unit)


def disable(unit: str) -> None:
    """Have a unit started at boot no more."""
    _systemctl("disable", unit)


def start(unit: str) -> None:
    """Start a unit, without waiting for it: its end is in its journal."""
    _systemctl("start", "--no-block", unit)


def stop(unit: str) -> None:
    """Stop a unit, where systemd runs; one that is not there is fine."""
    if state(unit) not in {"", "inactive"}:
        _systemctl("stop", unit)


def state(unit: str) -> str:
    """Return what systemd says of a unit: active, failed …; "" where it does not run."""
    if not is_running():
        return ""
    argv = ["systemctl", "show", "--property=ActiveState", "--value", unit]
    return programs.run(argv, timeout_s=_SYSTEMCTL_S).stdout.strip()


def is_enabled(unit: str) -> bool:
    """Return whether a unit is started at boot."""
    argv = ["systemctl", "is-enabled", unit]
    return programs.run(argv, timeout_s=_SYSTEMCTL_S, check=False).stdout.strip() == "enabled"


def plans() -> list[str]:
    """List the names of the plans that are stored."""
    names = (path.stem for path in PLANS.glob("*.yaml")) if PLANS.is_dir() else ()
    return sorted(name for name in names if re.fullmatch(r"[a-z0-9][a-z0-9-]*", name))


def has_hook_for(plan: str) -> bool:
    """Return whether libvirt's hook makes the devices of a plan's domains that libvirt starts."""
    return HOOK.is_file() and (PLANS / f"{plan}.yaml").is_file()


def _systemctl(*words: str) -> None:
    programs.run(
        ["systemctl", *words],
        timeout_s=_SYSTEMCTL_S,
        fix=f"see what it says: systemctl status {words[-1]}; journalctl -b -u {words[-1]}",
    )
