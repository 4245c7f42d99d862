"""vmnet image receive: an image that another host has, by its digest, on from where it was cut."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

from provisioner.commands.image import Tell, add, stored
from provisioner.errors import Exit, VmnetError, bad_input
from provisioner.host.libvirt import privileges
from provisioner.host.system import file_errors, locks, paths
from provisioner.image import record as images
from provisioner.image.digest import Digest
from provisioner.image.record import Origin, Stored
from provisioner.text import one_line

_PIECE: Final = 1 << 20
_SPARE: Final = 64 << 20  # of the disk, for everybody else
_WAIT_S: Final = 600.0


def wanted(text: str) -> Stored:
    """Return the record of an image that another host has. Raises VmnetError when it is none."""
    found = images.told(text)
    if not found:
        raise bad_input(
            f"{one_line(text, 80)} is no record of an image",
            "give what the file names/NAME.json of an image store has",
        )
    return found


def there(image: Stored) -> int:
    """Return how many bytes of an image are here, from its beginning on."""
    if _content(image).exists():
        return image.size
    try:
        return min(_part(image).stat().st_size, image.size)
    except OSError:
        return 0


def receive(image: Stored, rest: IO[bytes], tell: Tell) -> str:
    """Take what is missing of an image, from a stream, and keep it; return what was done.

    Raises VmnetError when the stream ends too early, and the next call goes on from there; when
    the digest is another one, and then nothing is kept; or when the disk is full.
    """
    privileges.require_own_folders(paths.state(), paths.store(), paths.cache())
    shown = f"{image.name}, sha256:{image.digest}"
    with _held(image, tell):
        kept = stored(image.name)
        if kept and kept.record.digest == image.digest:
            return f"{shown} is here"
        part = _part(image)
        path = _content(image)
        if not path.exists():
            with _disk_errors(part):
                _append(part, image, rest)
            path = part
        try:
            origin = Origin(
                image.name,
                image.source,
                image.traits,
                Digest("sha256", image.digest),
                raw=image.format == "raw",
            )
            add(path, origin, tell, lambda _done, _all: None, shown=image.name)
        finally:
            part.unlink(missing_ok=True)  # the store has its own copy, or it is the wrong content
    return f"{shown} has come"


def _append(part: Path, image: Stored, rest: IO[bytes]) -> None:
    """Write a stream behind what is there, up to the image's size."""
    with part.open("ab") as file:
        missing = image.size - file.tell()
        if missing + _SPARE > shutil.disk_usage(part.parent).free:
            raise VmnetError(
                f"the disk is too full for the image {image.name}: {missing >> 20:,} MiB are "
                "missing of it",
                fix="make room there: vmnet image prune",
            )
        while missing > 0 and (data := rest.read(min(_PIECE, missing))):
            file.write(data)
            missing -= len(data)
        file.flush()
        os.fsync(file.fileno())
    if missing > 0:
        raise VmnetError(
            f"{missing:,} of {image.size:,} bytes of the image {image.name} have not come",
            fix="send it again, which goes on from there: vmnet up",
            status=Exit.PARTLY_DONE,
        )


@contextmanager
def _held(image: Stored, tell: Tell) -> Iterator[None]:
    """Keep others from receiving the same content."""
    part = _part(image)
    lock = part.with_name(f".{part.name}.lock")
    doing = f"image receive {image.name}"
    with locks.held(lock, doing, timeout_s=_WAIT_S, notify=tell, tidy=False):
        yield


@contextmanager
def _disk_errors(part: Path) -> Iterator[None]:
    try:
        if part.is_symlink():
            part.unlink()
        yield
    except OSError as error:
        raise file_errors.converted(error, "cannot write", part) from error


def _content(image: Stored) -> Path:
    return paths.store() / images.content_name(image.digest)


def _part(image: Stored) -> Path:
    return paths.cache() / "downloads" / f"{images.content_name(image.digest)}.part"
