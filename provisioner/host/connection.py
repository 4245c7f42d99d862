"""Which libvirt to speak to, and how the embedded one is set up."""

import ctypes
import grp
import os
import pwd
import socket
import struct
from pathlib import Path

from provisioner.core.facts import Chosen
from provisioner.errors import VmnetError
from provisioner.host import places

_SOCKETS = ("/run/libvirt/virtqemud-sock", "/run/libvirt/libvirt-sock")
_CLONE_NEWNS, _MS_BIND, _MS_REC, _MS_SLAVE = 0x20000, 0x1000, 0x4000, 1 << 19
_READ_WRITE = 0o6

# Why each line, measured with libvirt 9.0: without stdio_handler virtlogd is needed; without
# dynamic_ownership = 0 images are chowned while they run; QEMU runs as a user without capabilities.
_QEMU_CONF = """\
stdio_handler = "file"
security_driver = "none"
cgroup_controllers = []
namespaces = []
user = "{user}"
group = "{group}"
dynamic_ownership = 0
remember_owner = 0
"""


def choose(wish: str, plan: str) -> Chosen:
    """Give the URI to open and why; `wish` is "auto" or a libvirt URI."""
    if wish != "auto":
        return Chosen(wish, "the plan names it")
    embedded = f"qemu:///embed?root={places.libvirt_root(plan)}"
    if has_vms(plan):
        return Chosen(embedded, "this plan's VMs were started by vmnet's embedded libvirt")
    for path in _SOCKETS:
        pid = _listener(path)
        if pid is None:
            continue
        if not _same_network(pid):
            return Chosen(
                embedded,
                f"embedded libvirt: the daemon at {path} runs in another network namespace, "
                "where it cannot see this one's devices",
            )
        return Chosen("qemu:///system", f"a libvirt daemon answers at {path}")
    return Chosen(embedded, "embedded libvirt: no libvirt daemon answers")


def _listener(path: str) -> int | None:
    """Give the pid of whoever listens on a Unix socket, None when nobody does."""
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(2)
        try:
            s.connect(path)
        except OSError:
            return None
        pid, _, _ = struct.unpack("=iii", s.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        return int(pid)


def _same_network(pid: int) -> bool:
    try:
        ours, theirs = (os.stat(f"/proc/{p}/ns/net") for p in ("self", pid))  # noqa: PTH116
    except OSError:
        return True  # hidden from us: libvirt itself will say what is wrong
    return ours.st_ino == theirs.st_ino


def has_vms(plan: str) -> bool:
    """Tell whether the plan's embedded libvirt knows of VMs that run."""
    return any((places.libvirt_root(plan) / "run" / "qemu").glob("*.xml"))


def is_embedded(uri: str) -> bool:
    """Tell whether a URI means the driver inside our own process."""
    return uri.startswith("qemu:///embed")


def run_user() -> tuple[str, str]:
    """Give the user and the group that embedded QEMUs run as: never root."""
    user = next((u for u in ("libvirt-qemu", "qemu", "nobody") if _exists(u)), "nobody")
    try:
        group = grp.getgrnam("kvm").gr_name
    except KeyError:
        group = grp.getgrgid(pwd.getpwnam(user).pw_gid).gr_name
    return user, group


def _exists(user: str) -> bool:
    try:
        pwd.getpwnam(user)
    except KeyError:
        return False
    return True


def prepare_root(plan: str) -> Path:
    """Lay out the root of the plan's embedded libvirt, with the capability cache all plans share.

    Probing QEMU's capabilities takes seconds, and the result is the same for every plan. Raises
    VmnetError when a directory cannot be made.
    """
    root = places.libvirt_root(plan)
    shared = places.cache() / "libvirt"
    user, group = run_user()
    try:
        places.make(root / "etc")
        places.make(shared)
        # QEMU, another user, must be able to walk to its sockets below.
        root.parent.chmod(0o755)
        root.chmod(0o755)
        if not (root / "cache").is_symlink():
            (root / "cache").symlink_to(shared)
        (root / "etc" / "qemu.conf").write_text(_QEMU_CONF.format(user=user, group=group))
    except OSError as error:
        raise VmnetError(
            f"cannot prepare {error.filename or root}: {error.strerror}",
            fix="vmnet needs a writable /run and /var/cache, or VMNET_RUN_DIR and VMNET_CACHE_DIR",
        ) from error
    return root


def private_mounts() -> bool:
    """Give this process a mount namespace of its own; must come before its first thread."""
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
    user, group = run_user()
    try:
        if not kvm.exists() or _may_use(kvm, user, group):
            return
        cover = places.run() / ".no-kvm"
        places.make(cover.parent)
        cover.touch(0o600)
    except OSError:
        return
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mount(bytes(cover), bytes(kvm), None, _MS_BIND, None)
    cover.unlink(missing_ok=True)


def _may_use(device: Path, user: str, group: str) -> bool:
    found = device.stat()
    owner = pwd.getpwnam(user)
    groups = {*os.getgrouplist(user, owner.pw_gid), grp.getgrnam(group).gr_gid}
    shift = 6 if found.st_uid == owner.pw_uid else 3 if found.st_gid in groups else 0
    return bool(found.st_mode >> shift & _READ_WRITE == _READ_WRITE)
