"""Where vmnet keeps its files; each place can be moved by an environment variable."""

import os
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal

from provisioner.errors import VmnetError

# The agent's socket, ROOT/lib/qemu/channel/target/domain-ID-<20 letters>/org.qemu.guest_agent.0,
# must fit sun_path (108 bytes, unix(7)): that leaves this much for the root of the embedded driver.
_MAX_ROOT = 27
_TRIES = 100

_FOLDER_MODE = 0o755

Folder = Literal["console", "seed", "disk", "boot", "dhcp", "keys", "node", "snapshot"]
"""Of a plan: console logs, seed images, disks that guests write to, copies of what QEMU starts them
with, the DHCP server's files, the ssh host keys of guests (ours alone to read), a record of each
/dev/tap node that vmnet, not the kernel, made, and the snapshots of its guests."""


AUTHORIZED_KEYS: Final = "authorized_keys"
LOGIN_KEY: Final = "ssh_key"
LOGIN_FILES: Final = (
    *(AUTHORIZED_KEYS, f".{AUTHORIZED_KEYS}.part"),
    *(LOGIN_KEY, f".{LOGIN_KEY}.part", f".{LOGIN_KEY}.part.pub"),
)
"""What a plan's folder may have of host/guest/login_keys.py, drafts of a killed run among them."""


def os_release() -> str:
    """Return the text that says which distribution this is (os-release(5)), "" without one."""
    for file in (Path("/etc/os-release"), Path("/usr/lib/os-release")):
        with suppress(OSError):
            return file.read_text(encoding="utf-8", errors="replace")
    return ""


def complete() -> None:
    """Add the folders of administration to PATH: those of users, and of `su`, lack them."""
    found = os.environ.get("PATH", os.defpath).split(":")
    os.environ["PATH"] = ":".join(dict.fromkeys([*found, "/usr/sbin", "/sbin"]))


def make(folder: Path) -> Path:
    """Make a folder and those above it, while other commands may be removing empty ones.

    Only their owner may write to them, whatever the umask is. Raises OSError when one cannot be
    made.
    """
    for _ in range(_TRIES):
        try:
            return _made(folder)
        except (FileExistsError, FileNotFoundError):
            # There a moment ago and gone now, or the other way round: two plans share /run/vmnet.
            continue
    return _made(folder)


def _made(folder: Path) -> Path:
    missing = [one for one in (folder, *folder.parents) if not one.is_dir()]
    for one in reversed(missing):
        one.mkdir(_FOLDER_MODE, exist_ok=True)
    return folder


def cache() -> Path:
    """Images, libvirt's capability cache, the accelerator's test result: safe to delete."""
    return _place("VMNET_CACHE_DIR", "XDG_CACHE_HOME", ".cache", "/var/cache/vmnet")


def state() -> Path:
    """One directory per plan, gone after `vmnet down`."""
    return _place("VMNET_STATE_DIR", "XDG_STATE_HOME", ".local/state", "/var/lib/vmnet")


def moves(plan: str) -> Path:
    """The sockets of guests of a plan that come or leave; no plan can have this folder's name."""
    return run() / ".moves" / _digest(plan, 4)


def store() -> Path:
    """The images that were imported, pulled or built; no plan can have this folder's name."""
    return state() / ".images"


def shared_store() -> Path:
    """Root's images, which everybody may use."""
    return Path("/var/lib/vmnet/.images")


def run() -> Path:
    """Locks and the embedded libvirt's roots: nothing here outlives a boot of the host."""
    if os.geteuid() == 0 or "VMNET_RUN_DIR" in os.environ:
        return Path(os.environ.get("VMNET_RUN_DIR", "/run/vmnet"))
    own = os.environ.get("XDG_RUNTIME_DIR")
    if not own:
        raise VmnetError(
            "there is no folder for what runs: XDG_RUNTIME_DIR is not set",
            fix="log in anew, or set VMNET_RUN_DIR to a short path that only you can write to",
        )
    return Path(own, "vm")  # short: see _MAX_ROOT


def claims() -> Path:
    """Return where running commands keep what they have claimed; no plan can have its name."""
    return run() / ".claims"


def shared_cache() -> Path:
    """Where root keeps what everybody may use."""
    return Path("/var/cache/vmnet")


def _place(name: str, xdg: str, at_home: str, of_root: str) -> Path:
    """Return root's place, or the user's own (XDG Base Directory Specification)."""
    if name in os.environ:
        return Path(os.environ[name])
    if os.geteuid() == 0:
        return Path(of_root)
    return Path(os.environ.get(xdg) or Path.home() / at_home, "vmnet")


def home(plan: str) -> Path:
    """The plan's own directory: consoles, seed images, records of device nodes."""
    return state() / plan


def folder(plan: str, kind: Folder) -> Path:
    """Return a folder in the plan's own directory."""
    return home(plan) / kind


def known_hosts(plan: str) -> Path:
    """The public keys that the plan's guests are known by, as ssh reads them."""
    return home(plan) / "known_hosts"


def libvirt_root(plan: str) -> Path:
    """The root of the plan's embedded libvirt."""
    root = run() / plan
    if len(str(root)) > _MAX_ROOT:
        tag = _digest(plan, 3)
        root = run() / f"{plan[:6]}-{tag}"
    if len(str(root)) > _MAX_ROOT:
        root = run() / _digest(plan, 4)
    return root


def hosts_file() -> Path:
    """Return the file by which this host knows names, in which plans may have a block."""
    return Path(os.environ.get("VMNET_HOSTS_FILE", "/etc/hosts"))


def lock_file(plan: str) -> Path:
    """The file that is locked while a command changes the plan."""
    return run() / f"{plan}.lock"


def _digest(text: str, size: int) -> str:
    from hashlib import blake2s  # it loads OpenSSL, which takes as long as all that --help needs

    return blake2s(text.encode(), digest_size=size).hexdigest()
