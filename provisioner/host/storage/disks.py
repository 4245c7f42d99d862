"""Guests' disks: qcow2 files laid over an image, or empty."""

from dataclasses import dataclass
from pathlib import Path

from provisioner.guest.domain import Overlay
from provisioner.host.libvirt.session import LibvirtSession
from provisioner.host.storage.files import FileDriver, write_whole
from provisioner.host.system import paths, programs
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


@dataclass(frozen=True, slots=True)
class DiskDriver(FileDriver[Overlay]):
    """The driver of disks; `libvirt` lets those of running guests grow."""

    libvirt: LibvirtSession | None = None

    def found(self, plan: str) -> list[Overlay]:
        """List the files in the plan's folder for disks."""
        return [_read(path) for path in sorted(paths.disks(plan).glob("*.qcow2"))]

    def make(self, file: Overlay) -> None:
        """Create a disk; see `write`."""
        write_whole(Path(file.path), self.owner, lambda draft: write(file, draft))

    def update(self, file: Overlay) -> None:
        """Let a disk grow, through the guest that runs on it if one does."""
        if self.libvirt and (user := self.libvirt.user_of(file.path)):
            self.libvirt.domains.resize(user, file.path, file.size)
        else:
            grow(file)


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
