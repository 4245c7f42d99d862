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


@dataclass(frozen=True, slots=True)
class DiskDriver(FileDriver[Overlay]):
    """The driver of disks; `libvirt` lets those of running guests grow."""

    libvirt: LibvirtSession | None = None

    def found(self, plan: str) -> list[Overlay]:
        """List the files in the plan's folder for disks."""
        return [_read(path) for path in sorted(paths.folder(plan, "disk").glob("*.qcow2"))]

    def make(self, file: Overlay) -> None:
        """Create a disk, empty or over an image; VmnetError when there is no room.

        The format of the image is given, so that nothing is guessed from what a guest wrote.
        """
        path = Path(file.path)
        below = ("-F", file.backing_format, "-b", file.backing) if file.backing else ()
        fix = f"free some space or fix the permissions under {path.parent}"
        write_whole(
            path,
            self.owner,
            lambda draft: _qemu_img("create", *below, str(draft), str(file.size), fix=fix),
        )

    def update(self, file: Overlay) -> None:
        """Let a disk grow, through the guest that runs on it if one does."""
        if self.libvirt and (user := self.libvirt.user_of(file.path)):
            self.libvirt.domains.resize(user, file.path, file.size)
        else:
            _qemu_img("resize", file.path, str(file.size), fix="give its guest back its old size")


def _qemu_img(command: str, *words: str, fix: str) -> None:
    argv = ["qemu-img", command, "-q", "-f", "qcow2", *words]
    programs.run(argv, timeout_s=_DEADLINE_S, fix=fix)


def _read(path: Path) -> Overlay:
    """Return the disk in a file, of size 0 if it is not a disk as `make` makes them."""
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
