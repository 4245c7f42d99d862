"""What the kernel says of a QEMU's process: which walls it stands behind."""

from pathlib import Path

from provisioner.guest.jail.walls import QemuSeen

_CGROUPS = Path("/sys/fs/cgroup")


def seen(pid: int) -> QemuSeen | None:
    """Return it; None when the process has ended."""
    process = Path("/proc", str(pid))
    try:
        status, limits = ((process / x).read_text(errors="replace") for x in ("status", "limits"))
        cgroup = (process / "cgroup").read_text(errors="replace")
    except OSError:
        return None
    own = next((x.removeprefix("0::/") for x in cgroup.splitlines() if x.startswith("0::/")), "")
    return QemuSeen(
        status,
        limits,
        _text(process / "attr" / "current"),
        _text(_CGROUPS / own / "memory.max") or "max",
        _text(process / "mountinfo"),
    )


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def module() -> str:
    """Return the security modules of this kernel that can confine a program, "" for none."""
    found = _text(Path("/sys/kernel/security/lsm")).strip().split(",")
    known = {"apparmor": "AppArmor", "selinux": "SELinux"}
    return ", ".join(known[name] for name in found if name in known)
