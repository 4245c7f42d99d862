"""Guests' disks: qcow2 files laid over an image, or empty."""

import struct
from pathlib import Path

from provisioner.core.resources import Disk
from provisioner.core.text import one_line
from provisioner.host import programs

_DEADLINE_S = 60.0
# Of every qcow2 file (QEMU: docs/interop/qcow2.txt): magic, version, where the backing file's name
# stands and how long it is, cluster bits, size.
_HEADER = struct.Struct(">4sIQIIQ")
_MAGIC = b"QFI\xfb"
_LONGEST_NAME = 1023
_READ = 64 * 1024
_HEADER_LENGTH_AT = 100
_BACKING_FORMAT = 0xE2792ACA


def write(disk: Disk, draft: Path) -> None:
    """Write a disk into the file `draft`. Raises VmnetError when there is no room.

    The format of what lies below is said aloud, so that nothing is guessed from what a guest wrote.
    """
    below = ["-F", disk.backing_format, "-b", disk.backing] if disk.backing else []
    words = ["create", "-q", "-f", "qcow2", *below, str(draft), str(disk.size)]
    programs.run(
        ["qemu-img", *words],
        timeout_s=_DEADLINE_S,
        fix=f"make room or mend the rights under {draft.parent}",
    )


def grow(disk: Disk) -> None:
    """Let a disk that no guest runs on grow. Raises VmnetError when it cannot."""
    words = ["resize", "-q", "-f", "qcow2", disk.path, str(disk.size)]
    programs.run(
        ["qemu-img", *words], timeout_s=_DEADLINE_S, fix="give its guest back its old size"
    )


def observe(folder: Path) -> list[Disk]:
    """List the disks in a plan's folder for them."""
    return [_read(path) for path in sorted(folder.glob("*.qcow2"))]


def _read(path: Path) -> Disk:
    """Read what `create` has said; a file that says anything else is no disk of the plan's."""
    try:
        with path.open("rb") as file:
            head = file.read(_READ)
        magic, _, at, length, _, size = _HEADER.unpack_from(head)
        if magic != _MAGIC or length > _LONGEST_NAME or at + length > len(head):
            return Disk(str(path), 0)
        backing = head[at : at + length].decode() if at else ""
        return Disk(str(path), size, one_line(backing, _LONGEST_NAME), _backing_format(head))
    except (OSError, struct.error, UnicodeDecodeError):
        return Disk(str(path), 0)


def _backing_format(head: bytes) -> str:
    """Find the header extension that says how the file below is laid out."""
    (at,) = struct.unpack_from(">I", head, _HEADER_LENGTH_AT)
    while True:
        kind, length = struct.unpack_from(">II", head, at)
        if kind == _BACKING_FORMAT:
            return head[at + 8 : at + 8 + length].decode()
        if kind == 0:
            return ""
        at += 8 + (length + 7) // 8 * 8
