"""What this process may do, asked before anything is tried."""

import os
import stat
from collections.abc import Sequence
from pathlib import Path

from provisioner.core.render import EMULATOR
from provisioner.errors import VmnetError

# capability(7): bit, name, what vmnet needs it for
_NEEDED = (
    (1, "CAP_DAC_OVERRIDE", "to write its files and open /dev/tap nodes"),
    (6, "CAP_SETGID", "to run QEMU as another user"),
    (7, "CAP_SETUID", "to run QEMU as another user"),
    (12, "CAP_NET_ADMIN", "to make macvtap devices"),
    (13, "CAP_NET_RAW", "to measure who reaches whom"),
)


_NEEDED_FOR_DEVICES = (
    (0, "CAP_CHOWN", "to give devices to their users"),
    (1, "CAP_DAC_OVERRIDE", "to write its files and see who holds a device"),
    (12, "CAP_NET_ADMIN", "to make macvtap devices"),
)


def require() -> None:
    """Raise VmnetError when a capability, or QEMU itself, is missing."""
    _require(_NEEDED)
    require_nothing()


def require_nothing() -> None:
    """Raise VmnetError when QEMU itself is missing: a user's guests on granted devices need it."""
    if not os.access(EMULATOR, os.X_OK):
        raise VmnetError(
            f"QEMU is not installed: {EMULATOR} cannot be run",
            fix="install it: apt-get install qemu-system-x86",
        )


def require_for_devices() -> None:
    """Raise VmnetError when a capability is missing that it takes to make devices for others."""
    _require(_NEEDED_FOR_DEVICES)


def require_own_folders(*folders: Path) -> None:
    """Raise VmnetError when others could put files or links into a folder of vmnet's."""
    for folder in folders:
        try:
            found = folder.lstat()
        except FileNotFoundError:
            continue  # it will be made, as ours
        if not stat.S_ISDIR(found.st_mode):
            raise _no_folder(folder)
        ours = stat.S_ISDIR(found.st_mode) and found.st_uid in {0, os.geteuid()}
        if not ours or found.st_mode & stat.S_IWOTH:
            raise VmnetError(
                f"others than you could change what is in {folder} ({stat.filemode(found.st_mode)},"
                f" owner {found.st_uid})",
                fix=f"see who did that, then: chown {os.geteuid()} {folder}; chmod o-w {folder}",
            )


def _no_folder(path: Path) -> VmnetError:
    if path.is_symlink():
        return VmnetError(
            f"{path} is a symbolic link, and vmnet's own folders must be real ones",
            fix=f"name what it leads to in VMNET_STATE_DIR or VMNET_RUN_DIR ({path.resolve()}), "
            f"or remove the link: rm {path}",
        )
    return VmnetError(
        f"{path} is a file, and vmnet needs a folder there",
        fix=f"move it away (mv {path} ELSEWHERE), or set VMNET_STATE_DIR or VMNET_RUN_DIR",
    )


def lacking() -> list[tuple[str, str]]:
    """List the capabilities that vmnet lacks, and what it needs each for."""
    return _missing(_NEEDED)


def _missing(needed: Sequence[tuple[int, str, str]]) -> list[tuple[str, str]]:
    have = _effective()
    return [(name, why) for bit, name, why in needed if not have >> bit & 1]


def _require(needed: Sequence[tuple[int, str, str]]) -> None:
    if missing := _missing(needed):
        told = ", ".join(f"{name} ({why})" for name, why in missing)
        raise VmnetError(f"vmnet lacks {told}", fix="run it as root: sudo vmnet …")


def _effective() -> int:
    for line in (
        Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
    ):
        if line.startswith("CapEff:"):
            return int(line.split()[1], 16)
    return 0
