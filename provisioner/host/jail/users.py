"""The users that QEMUs run as on this host: which there are, who else has them, what is theirs."""

import grp
import os
import pwd
import re
import stat
import struct
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

from provisioner import naming
from provisioner.errors import VmnetError
from provisioner.guest.domain import Domain
from provisioner.guest.jail.user import DEFAULT, LEAST, SMALL, GuestUsers
from provisioner.host.jail import settings
from provisioner.host.system import file_errors, paths
from provisioner.host.system.whole_files import Owner

_SHARED: Final = ("libvirt-qemu", "qemu")
_RESERVED: Final = 64055  # for libvirt-qemu, by Debian
_KVM: Final = Path("/dev/kvm")
_ALL: Final = 0o6
_LIB: Final = Path("/var/lib/libvirt/qemu")
_WALK: Final = 0o1
_SUBORDINATE: Final = (Path("/etc/subuid"), Path("/etc/subgid"))
_ACL: Final = "system.posix_acl_access"
# linux/posix_acl_xattr.h: a version, then entries of tag, permissions and number.
_ACL_VERSION: Final = struct.pack("<I", 2)
_ENTRY: Final = struct.Struct("<HHI")
_OWNER, _USER, _GROUP, _MASK, _OTHER, _NO_ID = 0x01, 0x02, 0x04, 0x10, 0x20, 0xFFFFFFFF
_READ: Final = 4
_SHARING: Final = threading.Lock()  # guests are started side by side


def available() -> GuestUsers | None:
    """Return the users that this host has for guests, None where all of them share one.

    That is so for a user's own guests, in a user namespace with too few users, and where root has
    switched it off. Raises VmnetError when /etc/vmnet/config.yaml cannot be used.
    """
    if os.geteuid():
        return None
    uids = settings.guest_users(next(filter(_is_mapped, (DEFAULT, SMALL)), None))
    if uids is None:
        return None
    if not _is_mapped(uids):
        raise VmnetError(
            f"the users {uids[0]}-{uids[-1]} are not all there in this user namespace",
            fix=f"write another range for guest_users in {settings.place()}; "
            "which there are: cat /proc/self/uid_map",
        )
    return GuestUsers(uids, _kvm_group())


def of_daemon(found: GuestUsers | None) -> GuestUsers | None:
    """Return the users for guests of a libvirt daemon, with the group that walks to its folders."""
    try:
        lib = _LIB.stat()
    except OSError:
        return found
    return found and replace(found, group=0 if lib.st_mode & _WALK else lib.st_gid)


def _is_mapped(uids: range) -> bool:
    for kind in ("uid", "gid"):
        lines = Path(f"/proc/self/{kind}_map").read_text(encoding="ascii").splitlines()
        mapped = [(int(first), int(count)) for first, _, count in map(str.split, lines)]
        if not any(first <= uids[0] and uids[-1] < first + count for first, count in mapped):
            return False
    return True


def _kvm_group() -> int:
    """Return the group that opens /dev/kvm, 0 where everybody may, or nobody."""
    try:
        found = _KVM.stat()
    except OSError:
        return 0
    for_others = found.st_mode & _ALL == _ALL
    # Another group than kvm may open more than that: in a container it may be anybody's.
    return 0 if for_others or found.st_gid != _gid_of_kvm() else found.st_gid


def _gid_of_kvm() -> int | None:
    try:
        return grp.getgrnam("kvm").gr_gid
    except KeyError:
        return None


def shared() -> Owner:
    """Return the user and the group that QEMUs run as which have none of their own: never root."""
    if os.geteuid():
        return os.geteuid(), os.getegid()
    uid, gid = _RESERVED, _RESERVED
    for name in _SHARED:
        with suppress(KeyError):
            found = pwd.getpwnam(name)
            uid, gid = found.pw_uid, found.pw_gid
            break
    return uid, _gid_of_kvm() or gid


def owner_of(plan: str, vm: str) -> Owner:
    """Return the user and the group of a VM whose QEMU is not under KVM, as it is started now."""
    found = available()
    return found.of(plan, vm, "") if found else shared()


def of_server(plan: str, network: str) -> int:
    """Return the user of a network's DHCP server; no VM has a name with a slash."""
    found = available()
    return naming.guest_uid(plan, f"dhcp/{network}", found.uids) if found else os.geteuid()


def without_rights(owner: Owner, *, but: str = "") -> list[str]:
    """Return what stands before a command line that is to be run as a user, without any rights.

    `but` are capabilities that it has all the same, as setpriv spells them.
    """
    if os.geteuid():
        return []
    words = ["setpriv", f"--reuid={owner[0]}", f"--regid={owner[1]}", "--clear-groups"]
    if but:
        words += [f"--{kind}-caps=-all,{but}" for kind in ("inh", "ambient")]
    return [*words, "--no-new-privs", "--"]


def prober() -> Owner:
    """Return whom libvirt asks QEMU as what it can do: where guests have their own, none of them.

    To this user libvirt gives its folders when it is opened.
    """
    users = available()
    if users is None:
        return shared()
    return users.uids[0], users.kvm_group or shared()[1]


def groups_of(owner: Owner) -> set[int]:
    """Return the groups that a QEMU of this user's is in."""
    try:
        name = pwd.getpwuid(owner[0]).pw_name
    except KeyError:
        return {owner[1]}
    return {*os.getgrouplist(name, owner[1])}


def is_guests(uid: int) -> bool:
    """Return whether QEMUs may run as a user; root's may not."""
    users = available()
    return uid == shared()[0] or (users is not None and uid in users.uids)


def taken(uids: Mapping[str, int], plan: str) -> dict[int, str]:
    """Return by whom else the users of a plan's VMs, which are to be started, are had."""
    wanted = {*uids.values()}
    found = {uid: f"the process {pid}" for uid, pid in _processes(plan) if uid in wanted}
    found |= {uid: f"another plan: {path}" for uid, path in _files_of_others(plan) if uid in wanted}
    for file in _SUBORDINATE:
        for first, count, who in _subordinate(file):
            found |= {uid: f"{who}, in {file}" for uid in wanted if first <= uid < first + count}
    for uid in wanted:
        with suppress(KeyError):
            found[uid] = f"the group {grp.getgrgid(uid).gr_name}"
        with suppress(KeyError):
            found[uid] = f"{pwd.getpwuid(uid).pw_name}, in the user database"
    return found


def _processes(plan: str) -> Iterable[tuple[int, str]]:
    """List the users of all processes but those of a plan's own QEMUs and dnsmasqs."""
    for entry in os.scandir("/proc"):
        with suppress(OSError):  # it has just ended
            uid = entry.stat().st_uid
            if entry.name.isdecimal() and uid >= LEAST and not _is_of_plan(entry.name, plan):
                yield uid, entry.name


def _is_of_plan(pid: str, plan: str) -> bool:
    """Return whether a process is of a plan of this name, in any namespace, or ends.

    It may be a QEMU that libvirt has lost.
    """
    line = Path(f"/proc/{pid}/cmdline").read_bytes()
    own = re.compile(rb"guest=%b-|--conf-file=.*/%b/dhcp/" % ((re.escape(plan.encode()),) * 2))
    return not line or any(map(own.match, line.split(b"\0")))


def _subordinate(file: Path) -> Iterable[tuple[int, int, str]]:
    try:
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return
    for line in lines:
        if found := re.fullmatch(r"([^:]+):(\d+):(\d+)", line.strip(), re.ASCII):
            yield int(found[2]), int(found[3]), found[1]


def _files_of_others(plan: str) -> Iterable[tuple[int, Path]]:
    for path in paths.state().glob("*/disk/*.qcow2"):
        if path.parent.parent.name != plan:
            with suppress(OSError):
                yield path.lstat().st_uid, path


def hand_over(domain: Domain, owner: Owner | None) -> None:
    """Give a guest's files to the user whom its QEMU is about to run as. Raises VmnetError.

    Only those below the plan's folder, which is root's: its disks, seed and variables of UEFI; what
    several guests may have a part in (kernels, Ignition) they may read.
    """
    home = domain.home
    to = (domain.uid, domain.gid) if domain.uid else owner
    if to is None or not home:
        return
    own = [*(disk.path for disk in domain.disks), domain.seed, domain.nvram]
    for path in own:
        if path and Path(path).is_relative_to(home):
            _with(Path(path), lambda file: os.fchown(file, *to))
    for path in (domain.kernel, domain.initrd, domain.ignition):
        if path and Path(path).is_relative_to(home):
            with _SHARING:
                _with(Path(path), lambda file: _let_read(file, to))


def _with(path: Path, change: Callable[[int], None]) -> None:
    try:
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            if stat.S_ISREG(os.fstat(file).st_mode):
                change(file)
        finally:
            os.close(file)
    except OSError as error:
        raise file_errors.converted(error, "cannot give to its guest", path) from error


def _let_read(file: int, owner: Owner) -> None:
    """Let a user read a file that stays root's; where the file system has no ACLs, give it away."""
    try:
        known = os.getxattr(file, _ACL)
    except OSError:
        known = b""
    readers = {
        number
        for at in range(len(_ACL_VERSION), len(known), _ENTRY.size)
        for tag, _, number in [_ENTRY.unpack_from(known, at)]
        if tag == _USER
    }
    entries = [
        (_OWNER, _READ | 2, _NO_ID),
        *((_USER, _READ, uid) for uid in sorted(readers | {owner[0]})),
        (_GROUP, 0, _NO_ID),
        (_MASK, _READ, _NO_ID),
        (_OTHER, 0, _NO_ID),
    ]
    try:
        os.fchown(file, 0, 0)
        os.setxattr(file, _ACL, _ACL_VERSION + b"".join(_ENTRY.pack(*each) for each in entries))
    except OSError:
        os.fchown(file, *owner)
