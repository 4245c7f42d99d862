"""Which accelerator guests run under, found out by booting one: /dev/kvm may exist and hang."""

import json
import os
import shutil
from pathlib import Path

from provisioner.errors import VmnetError
from provisioner.guest.domain import EMULATOR
from provisioner.host.jail import users
from provisioner.host.system import accounts, paths, programs
from provisioner.host.system.whole_files import Owner
from provisioner.network.facts import Chosen

_KVM = Path("/dev/kvm")
_DEADLINE_S = 8.0
# A kernel without a root file system ends here, a good way behind everything that hangs.
_KNOWN_POINT = "Kernel panic - not syncing: VFS"
_MACHINE = (
    *("-accel", "kvm", "-machine", "q35", "-cpu", "host", "-m", "128M", "-nodefaults"),
    *("-no-user-config", "-no-reboot", "-display", "none", "-serial", "stdio"),
)
_CMDLINE = "console=ttyS0 panic=-1 root=/dev/none"


def choose(wish: str, kernel: Path | None, cache: Path) -> Chosen:
    """Return "kvm" or "tcg" and why; `wish` is auto, kvm or tcg.

    `kernel` is what a test boot boots, None when there is nothing to boot.

    The test boot's outcome is kept per kernel, QEMU and rights on /dev/kvm. Raises VmnetError when
    KVM is wished for and does not work.
    """
    if wish == "tcg":
        return Chosen("tcg", "the plan says so")
    trouble = _trouble(kernel, cache)
    if not trouble:
        return Chosen("kvm", "a test boot under KVM worked")
    if wish == "kvm":
        raise VmnetError(
            f"the plan wants KVM, but {trouble}",
            fix="fix that (often: the user QEMU runs as must be in the group kvm, and /dev/kvm "
            "0660 root:kvm), or write `accel: auto`",
        )
    return Chosen("tcg", trouble)


def test(kernel: Path, cache: Path) -> str:
    """Boot one under KVM now, whatever is known, and keep the outcome: why it fails, or ""."""
    outcome = _test_boot(kernel, users.prober())
    _write(cache / "accel.json", {_key(users.prober()): outcome})
    return outcome


def may_work(cache: Path) -> bool:
    """Return whether KVM may be used as far as is known without a test boot: the last one's word.

    Nothing is booted: where none has been, /dev/kvm counts that may be opened.
    """
    try:
        known = _read(cache / "accel.json").get(_key(users.prober()), "")
    except FileNotFoundError:  # no /dev/kvm, or no QEMU
        return False
    return not known and os.access(_KVM, os.R_OK | os.W_OK)


def _trouble(kernel: Path | None, cache: Path) -> str:
    """Return why KVM cannot be used; an empty string when it can."""
    if not _KVM.exists():
        return "there is no /dev/kvm on this host"
    if kernel is None:
        return "there is no kernel to try KVM with (vmnet image build micro makes one)"
    key = _key(users.prober())
    known = _read(cache / "accel.json")
    return known[key] if key in known else test(kernel, cache)


def _key(owner: Owner) -> str:
    """Return all that the outcome depends on."""
    kvm, qemu, uname = _KVM.stat(), Path(EMULATOR).stat(), os.uname()
    parts = (uname.release, uname.version, kvm.st_mode, kvm.st_gid, kvm.st_uid)
    return " ".join(map(str, (*parts, qemu.st_size, qemu.st_mtime_ns, *owner)))


def _test_boot(kernel: Path, owner: Owner) -> str:
    argv = [EMULATOR, *_MACHINE, "-kernel", str(kernel), "-append", _CMDLINE]
    if os.geteuid() == 0 and (setpriv := shutil.which("setpriv")):
        groups = ",".join(map(str, users.groups_of(owner)))
        ids = [f"--reuid={owner[0]}", f"--regid={owner[1]}", f"--groups={groups}"]
        argv = [setpriv, *ids, *argv]
    try:
        ran = programs.run(argv, timeout_s=_DEADLINE_S, check=False, cwd=Path("/"))
    except VmnetError:
        return f"/dev/kvm exists, but a kernel booted under it hangs (tested {_DEADLINE_S:g} s)"
    if _KNOWN_POINT in ran.stdout:
        return ""
    why = programs.last_lines(ran.stderr or ran.stdout)
    user = accounts.name_of(owner[0])
    return f"/dev/kvm exists, but a test boot under it fails as user {user}: {why}"


def _read(file: Path) -> dict[str, str]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {str(k): str(v) for k, v in found.items()} if isinstance(found, dict) else {}


def _write(file: Path, known: dict[str, str]) -> None:
    paths.make(file.parent)
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    draft.write_text(json.dumps(known), encoding="utf-8")
    draft.rename(file)
