"""What this process may do, asked before anything is tried."""

import os
import re
import shlex
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from provisioner.errors import VmnetError
from provisioner.guest.domain import EMULATOR
from provisioner.host.jail import users

Capability = tuple[int, str, str]
"""Of capability(7): its bit, its name, what vmnet needs it for."""

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


_OTHERS_WRITE = 0o022


def require() -> None:
    """Raise VmnetError when a capability, or QEMU itself, is missing."""
    _require(_NEEDED)
    require_qemu()


def require_qemu() -> None:
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
    """Raise VmnetError when others could put files or links into a folder of vmnet's.

    Nor may they exchange it: in those above it they must not write, or only to what is their own.
    """
    for folder in folders:
        try:
            found = folder.lstat()
        except FileNotFoundError:
            _require_own_parents(folder)
            continue  # it will be made, as ours
        if not stat.S_ISDIR(found.st_mode):
            raise _no_folder(folder)
        shared = found.st_mode & stat.S_IWGRP and found.st_gid not in {0, os.getegid()}
        if found.st_uid not in {0, os.geteuid()} or found.st_mode & stat.S_IWOTH or shared:
            raise VmnetError(
                f"others than you could change what is in {folder} ({stat.filemode(found.st_mode)},"
                f" owner {found.st_uid})",
                fix=f"see who did that, then: chown {os.geteuid()} {folder}; chmod "
                f"{'g' if shared else ''}o-w {folder}",
            )
        _require_own_parents(folder)


def _require_own_parents(folder: Path) -> None:
    for parent in folder.absolute().parents:
        try:
            found = parent.stat()
        except OSError:
            continue  # it will be made, or cannot be gone through
        theirs = found.st_uid not in {0, os.geteuid()} and not _is_unmapped(found.st_uid)
        loose = found.st_mode & stat.S_IWOTH and not found.st_mode & stat.S_ISVTX
        if theirs or loose:
            raise VmnetError(
                f"others than you could exchange {folder}: {parent} is {_whose(found, theirs)}",
                fix="set VMNET_STATE_DIR, VMNET_RUN_DIR and VMNET_CACHE_DIR to places of your own"
                + ("" if theirs else f", or: chmod o-w {parent}"),
            )


def _whose(found: os.stat_result, theirs: object) -> str:
    return f"of user {found.st_uid}" if theirs else f"for all to write ({found.st_mode & 0o7777:o})"


def _is_unmapped(uid: int) -> bool:
    """Return whether a number stands for users whom this user namespace does not know."""
    outside = Path("/proc/self/uid_map").read_text(encoding="ascii").split()
    if outside == ["0", "0", str((1 << 32) - 1)]:
        return False
    return uid == int(Path("/proc/sys/kernel/overflowuid").read_text(encoding="ascii"))


def close_own_folders(home: Path, root: Path, *above: Path) -> None:
    """Remove others' write permission from a plan's folders, unless somebody has used it.

    A vmnet that was run under umask 000 made folders that everybody could write to; its VMs have to
    be taken down all the same. But libvirt obeys as root what lies in `root`. So each folder is
    closed before it is looked at, and then everything below `home` and `root` must be what vmnet,
    libvirt, QEMU or dnsmasq make there: others cannot make files of root's. Raises VmnetError that
    names what is not.
    """
    if not any(map(_is_open, (home, root, *above))):
        return
    for folder in above:
        _close(folder)
    for folder in (home, root):
        for path in _unexpected(folder, in_root=folder == root):
            raise VmnetError(
                f"others than you could write to {folder}, and {path} may be theirs"
                f" ({stat.filemode(path.lstat().st_mode)}, owner {path.lstat().st_uid})",
                fix=f"look at it; delete it if it is not yours: rm -r {shlex.quote(str(path))}",
            )


def _is_open(folder: Path) -> bool:
    """Return whether a folder is ours, and others may write to it."""
    try:
        found = folder.lstat()
    except FileNotFoundError:
        return False
    ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()
    return ours and bool(found.st_mode & _OTHERS_WRITE)


def _close(folder: Path) -> None:
    try:
        opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return
    try:
        found = os.fstat(opened)
        if found.st_uid == os.geteuid() and found.st_mode & _OTHERS_WRITE:
            os.fchmod(opened, stat.S_IMODE(found.st_mode) & ~_OTHERS_WRITE)
    finally:
        os.close(opened)


def _unexpected(folder: Path, *, in_root: bool) -> Iterator[Path]:
    if not folder.is_dir():
        return
    _close(folder)
    for path in sorted(folder.iterdir()):
        if not _is_expected(path, in_root=in_root):
            yield path
        elif path.is_dir() and not path.is_symlink():
            yield from _unexpected(path, in_root=in_root)


def _is_expected(path: Path, *, in_root: bool) -> bool:
    """Return whether nobody but vmnet and its programs can have made or written a file."""
    found = path.lstat()
    is_file = stat.S_ISREG(found.st_mode)
    if found.st_uid in {0, os.geteuid()}:
        # Written anew before libvirt reads it; and dnsmasq's, which vmnet only takes a name from.
        harmless = path.parts[-2:] == ("etc", "qemu.conf") or path.parent.name == "dhcp"
        return not is_file or not found.st_mode & _OTHERS_WRITE or harmless
    if users.is_guests(found.st_uid):
        # In libvirt's root QEMU's user has its own in the folder of its domain, which is root's
        # since it was started, and nothing beside files that libvirt obeys.
        is_domains = path.parent.name.startswith("domain-") and not path.is_symlink()
        of_qemu = is_domains or path.parent.lstat().st_uid == found.st_uid
        return stat.S_ISDIR(found.st_mode) or of_qemu or (is_file and not in_root)
    return is_file and path.parent.name == "dhcp" and path.suffix == ".pid"


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


def missing(needed: Sequence[Capability] = _NEEDED) -> list[tuple[str, str]]:
    """List the capabilities that vmnet lacks, and what it needs each for."""
    status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    found = re.search(r"^CapEff:\s*([0-9a-f]+)", status, re.MULTILINE)
    have = int(found[1], 16) if found else 0
    return [(name, why) for bit, name, why in needed if not have >> bit & 1]


def _require(needed: Sequence[Capability]) -> None:
    if lacking := missing(needed):
        described = ", ".join(f"{name} ({why})" for name, why in lacking)
        raise VmnetError(f"vmnet lacks {described}", fix="run it as root: sudo vmnet …")
