"""libvirt inside our own process: its root, its settings, and who its QEMUs run as."""

import ctypes
import fcntl
import os
import select
import stat
import struct
import time
from pathlib import Path

from provisioner.host.jail import folders, users
from provisioner.host.system import file_errors, paths, plan_folders, programs

_TEST_S = 5.0
_RELEASE_S = 10.0
_FLOCK = "@hhqqi4x"  # struct flock
_CLONE_NEWNS, _MS_BIND, _MS_REC, _MS_SLAVE = 0x20000, 0x1000, 0x4000, 1 << 19
_MS_NOSUID, _MNT_DETACH = 2, 2
_READ_WRITE = 0o6

# Why each line, measured with libvirt 9.0: without stdio_handler virtlogd is needed; without
# dynamic_ownership = 0 images are chowned while they run; QEMU runs as a user without capabilities.
_QEMU_CONF = """\
stdio_handler = "file"
security_driver = "none"
cgroup_controllers = []
namespaces = [{namespaces}]
seccomp_sandbox = 1
max_core = 0
max_files = {files}
max_processes = {processes}
user = "+{user}"
group = "+{group}"
dynamic_ownership = 0
remember_owner = 0
"""


# Of a user who is not root: QEMU runs as that user anyway.
_OWN_CONF = """\
stdio_handler = "file"
security_driver = "none"
seccomp_sandbox = 1
max_core = 0
"""

# A guest of many queues and disks has some hundred files. QEMU makes up to 64 threads for each
# disk; where all guests are one user, its limit is that of all together.
_MOST_FILES = 8192
_MOST_THREADS = 2048
_MOST_OF_ALL = 32768


def has_vms(plan: str) -> bool:
    """Return whether the plan's embedded libvirt knows of VMs that run."""
    return any((paths.libvirt_root(plan) / "run" / "qemu").glob("*.xml"))


def owner() -> tuple[int, int] | None:
    """Return who must own what embedded QEMUs read that have no user of their own.

    None where that is us anyway.
    """
    return None if os.geteuid() else users.shared()


def can_open(path: str, as_user: tuple[int, int], *, write: bool) -> bool:
    """Return whether QEMUs of a user and a group can open a file that vmnet has not made."""
    if os.geteuid():
        return os.access(path, os.R_OK | (os.W_OK if write else 0))
    # Asked as that user, with its groups: modes alone do not tell (ACLs, folders on the way).
    groups = ",".join(map(str, users.groups_of(as_user)))
    ids = [f"--reuid={as_user[0]}", f"--regid={as_user[1]}", f"--groups={groups}"]
    argv = ["setpriv", *ids, "--", "test"]
    able = programs.run([*argv, "-r", path], timeout_s=_TEST_S, check=False)
    if write and able.returncode == 0:
        able = programs.run([*argv, "-w", path], timeout_s=_TEST_S, check=False)
    return able.returncode == 0


def prepare_root(plan: str) -> Path:
    """Lay out the root of the plan's embedded libvirt, with the capability cache all plans share.

    Probing QEMU's capabilities takes seconds, and the result is the same for every plan. Raises
    VmnetError when a directory cannot be made.
    """
    root = paths.libvirt_root(plan)
    shared = paths.cache() / "libvirt"
    user, group = users.prober()
    plan_folders.make(root, plan)
    try:
        paths.make(root / "etc")
        paths.make(shared)
        # QEMU, another user, must be able to walk to its sockets below.
        root.parent.chmod(0o755)
        root.chmod(0o755)
        if not (root / "cache").is_symlink():
            (root / "cache").symlink_to(shared)
        most = _MOST_THREADS if users.available() else _MOST_OF_ALL
        conf = _OWN_CONF
        if not os.geteuid():
            hide_useless_kvm()
            conf = _QEMU_CONF.format(
                user=user,
                group=group,
                files=_MOST_FILES,
                processes=most,
                namespaces='"mount"' if _can_make_dev(root / "etc") else "",
            )
        _write_once(root / "etc" / "qemu.conf", conf)
        take_back_folders(plan)
    except OSError as error:
        raise file_errors.converted(
            error,
            "cannot prepare",
            root,
            fix="vmnet needs a writable /run and /var/cache, or VMNET_RUN_DIR and VMNET_CACHE_DIR",
        ) from error
    return root


def _can_make_dev(folder: Path) -> bool:
    """Return whether libvirt can give each QEMU a /dev of its own, with what its guest needs alone.

    It mounts a tmpfs and makes the nodes there, which containers mostly may not; and it moves what
    is mounted below /dev, which fails for a file, as podman mounts devices, and where one mount
    hides another (libvirt 9.0, qemuDomainBuildNamespace: EINVAL). It is tried over `folder`, in the
    worker's own mount namespace: nothing has to be made on a disk that may be full.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        lines = Path("/proc/self/mountinfo").read_text().splitlines()
        below = [place for line in lines if (place := line.split()[4]).startswith("/dev/")]
        if len(set(below)) < len(below) or not all(Path(place).is_dir() for place in below):
            return False
        if libc.mount(b"dev", bytes(folder), b"tmpfs", _MS_NOSUID, None) != 0:
            return False
        try:
            os.mknod(folder / "null", stat.S_IFCHR | 0o600, Path("/dev/null").stat().st_rdev)
            (folder / "null").read_bytes()
        finally:
            libc.umount2(bytes(folder), _MNT_DETACH)
    except OSError:
        return False
    return True


def take_back_folders(plan: str) -> None:
    """Give root the folders that libvirt gives to a user for QEMU when it is opened."""
    if not os.geteuid():
        folders.take_back(paths.libvirt_root(plan) / "lib" / "qemu")


def await_release(plan: str) -> None:
    """Wait until the worker of a vmnet that was killed has let go of the plan's libvirt.

    It dies with its vmnet, but may be in the middle of a call: a moment later a domain that it was
    starting would be found half started, by a libvirt that is open. libvirt locks a file for
    as long as it is open (virPidFileAcquirePath); who holds the lock the kernel tells
    (fcntl(2), F_GETLK).
    """
    end = time.monotonic() + _RELEASE_S
    try:
        with (paths.libvirt_root(plan) / "run" / "qemu" / "driver.pid").open("rb") as file:
            while (left_s := end - time.monotonic()) > 0:
                wish = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 1, 0)
                kind, *_, pid = struct.unpack(_FLOCK, fcntl.fcntl(file, fcntl.F_GETLK, wish))
                if kind == fcntl.F_UNLCK:
                    return
                _await_end(pid, left_s)
    except OSError:
        return  # no libvirt was open there, or its process has just ended


def _await_end(pid: int, within_s: float) -> None:
    process = os.pidfd_open(pid)
    try:
        select.select([process], [], [], within_s)
    finally:
        os.close(process)


def _write_once(path: Path, text: str) -> None:
    """Write a file unless it has this text: `down` must work when the disk is full.

    One that others could write to is made anew: somebody may hold it open, to write to it later.
    """
    if path.is_file() and not path.stat().st_mode & 0o022 and path.read_text() == text:
        return
    path.unlink(missing_ok=True)
    path.write_text(text)


def private_mounts() -> bool:
    """Move this process into a mount namespace of its own, before its first thread."""
    libc = ctypes.CDLL(None, use_errno=True)
    return bool(
        libc.unshare(_CLONE_NEWNS) == 0
        and libc.mount(b"none", b"/", None, _MS_REC | _MS_SLAVE, None) == 0
    )


def hide_useless_kvm() -> None:
    """Cover /dev/kvm, in our own mount namespace, when the user that QEMU runs as cannot open it.

    libvirt probes QEMU with CAP_DAC_OVERRIDE and finds KVM, then looks as QEMU's user and does not:
    it throws its capability cache away each time, and probes for seconds again (libvirt 9.0,
    virQEMUCapsIsValid). Without the right to do so the start is slower, not wrong.
    """
    kvm = Path("/dev/kvm")
    try:
        if not kvm.exists() or _may_use(kvm):
            return
        cover = paths.run() / ".no-kvm"
        paths.make(cover.parent)
        cover.touch(0o600)
    except OSError:
        return
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mount(bytes(cover), bytes(kvm), None, _MS_BIND, None)
    cover.unlink(missing_ok=True)


def _may_use(device: Path) -> bool:
    found, owner = device.stat(), users.prober()
    groups = users.groups_of(owner)
    shift = 6 if found.st_uid == owner[0] else 3 if found.st_gid in groups else 0
    return bool(found.st_mode >> shift & _READ_WRITE == _READ_WRITE)
