"""Guests' disks: qcow2 files laid over an image, or empty."""

from pathlib import Path

from provisioner.guest.domain import Overlay
from provisioner.host.system import programs
from provisioner.image import qcow2
from provisioner.image.disk_kind import HEAD
from provisioner.text import one_line

_DEADLINE_S = 60.0
_MOST_PATH = 1023


def write(disk: Overlay, draft: Path) -> None:
    """Write a disk into the file `draft`. Raises VmnetError when there is no room.

    The format of what lies below is said aloud, so that nothing is guessed from what a guest wrote.
    """
    below = ["-F", disk.backing_format, "-b", disk.backing] if disk.backing else []
    words = ["create", "-q", "-f", "qcow2", *below, str(draft), str(disk.size)]
    programs.run(
        ["qemu-img", *words],
        timeout_s=_DEADLINE_S,
        fix=f"free some space or fix the permissions under {draft.parent}",
    )


def grow(disk: Overlay) -> None:
    """Let a disk that no guest runs on grow. Raises VmnetError when it cannot."""
    words = ["resize", "-q", "-f", "qcow2", disk.path, str(disk.size)]
    programs.run(
        ["qemu-img", *words], timeout_s=_DEADLINE_S, fix="give its guest back its old size"
    )


def observe(folder: Path) -> list[Overlay]:
    """List the disks in a plan's folder for them."""
    return [_read(path) for path in sorted(folder.glob("*.qcow2"))]


def _read(path: Path) -> Overlay:
    """Read what `create` has said; a file that says anything else is not a disk of the plan's."""
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
    except OSError:
        head = b""
    header = qcow2.read(head)
    if header is None:
        return Overlay(str(path), 0)
    below = one_line(qcow2.backing(head), _MOST_PATH)
    return Overlay(str(path), header.virtual_size, below, qcow2.backing_format(head))
