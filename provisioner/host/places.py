"""Where vmnet keeps its files; each place can be moved by an environment variable."""

import os
from hashlib import blake2s
from pathlib import Path

# The agent's socket, ROOT/lib/qemu/channel/target/domain-ID-<20 letters>/org.qemu.guest_agent.0,
# must fit sun_path (108 bytes, unix(7)): that leaves this much for the root of the embedded driver.
_MAX_ROOT = 27
_TRIES = 100


def make(folder: Path) -> Path:
    """Make a folder and those above it, while other commands may be removing empty ones.

    Raises OSError when it cannot be made.
    """
    for _ in range(_TRIES):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, FileNotFoundError):
            # There a moment ago and gone now, or the other way round: two plans share /run/vmnet.
            continue
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def cache() -> Path:
    """Images, libvirt's capability cache, the accelerator's test result: safe to delete."""
    return Path(os.environ.get("VMNET_CACHE_DIR", "/var/cache/vmnet"))


def state() -> Path:
    """One directory per plan, gone after `vmnet down`."""
    return Path(os.environ.get("VMNET_STATE_DIR", "/var/lib/vmnet"))


def run() -> Path:
    """Locks and the embedded libvirt's roots: nothing here outlives a boot of the host."""
    return Path(os.environ.get("VMNET_RUN_DIR", "/run/vmnet"))


def home(plan: str) -> Path:
    """The plan's own directory: consoles, seed images, records of device nodes."""
    return state() / plan


def consoles(plan: str) -> Path:
    """The plan's console logs."""
    return home(plan) / "console"


def seeds(plan: str) -> Path:
    """The plan's seed images."""
    return home(plan) / "seed"


def nodes(plan: str) -> Path:
    """A record of each /dev/tap node that vmnet, not the kernel, made for the plan."""
    return home(plan) / "node"


def libvirt_root(plan: str) -> Path:
    """The root of the plan's embedded libvirt."""
    root = run() / plan
    if len(str(root)) > _MAX_ROOT:
        tag = blake2s(plan.encode(), digest_size=3).hexdigest()
        root = run() / f"{plan[:6]}-{tag}"
    return root


def lock_file(plan: str) -> Path:
    """The file that is locked while a command changes the plan."""
    return run() / f"{plan}.lock"
