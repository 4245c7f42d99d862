"""Image files as a user has them: plain or packed, read once from the first byte to the last."""

import hashlib
import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Protocol

from provisioner.errors import Exit, VmnetError
from provisioner.host.image import unpack
from provisioner.image.disk_kind import HEAD, TAIL, kind
from provisioner.text import one_line

MOST_UNPACKED = 64 << 30


class Given(Protocol):
    """An image that is about to be read."""

    head: bytes
    """Its first HEAD bytes."""
    tail: bytes
    """Its last TAIL bytes, where they are known beforehand."""
    size: int | None
    """How many bytes it has, where that is known beforehand."""

    def readinto(self, buffer: memoryview) -> int:
        """Read on; 0 at the end."""

    def far(self) -> tuple[int, int]:
        """Tell how many bytes of the file have been read, and how many it has."""

    def finish(self) -> str:
        """See that the whole file was good; give its digest where it differs from the image's.

        Raises VmnetError when it changed meanwhile, or holds more than one image.
        """


@contextmanager
def opened(
    path: Path, algorithm: str = "sha256", most: int = MOST_UNPACKED, *, shown: str = ""
) -> Iterator[Given]:
    """Open an image file, unpacking it where need be, up to `most` bytes.

    Raises VmnetError when it is not a regular file, cannot be read, or is damaged.
    """
    shown = one_line(shown or str(path), 120)
    with _regular(path, shown) as file:
        with _reading(shown):
            head = os.pread(file.fileno(), HEAD, 0)
        found = kind(head)
        if found not in unpack.KINDS:
            yield _Plain(file, head, shown)
            return
        outer = _Hashed(file, hashlib.new(algorithm), shown)
        with unpack.damage(shown):
            unpacked = unpack.image_in(outer, found, most)
            yield _Packed(unpacked, outer, file, shown)


class _Plain:
    """A file that is the image."""

    def __init__(self, file: BinaryIO, head: bytes, shown: str) -> None:
        self._file = file
        self._shown = shown
        self._before = os.fstat(file.fileno())
        self._done = 0
        self.head = head
        self.size: int | None = self._before.st_size
        with _reading(shown):
            self.tail = os.pread(file.fileno(), TAIL, max(0, self._before.st_size - TAIL))

    def readinto(self, buffer: memoryview) -> int:
        with _reading(self._shown):
            read = os.readv(self._file.fileno(), [buffer])
        self._done += read
        return read

    def far(self) -> tuple[int, int]:
        return self._done, self._before.st_size

    def finish(self) -> str:
        _unchanged(self._before, self._file, self._done, self._shown)
        return ""


class _Packed:
    """A file that the image has to be unpacked from."""

    size: int | None = None
    tail = b""

    def __init__(
        self, unpacked: unpack.Unpacked, outer: "_Hashed", file: BinaryIO, shown: str
    ) -> None:
        self._unpacked = unpacked
        self._outer = outer
        self._file = file
        self._shown = shown
        self._before = os.fstat(file.fileno())
        self.head = unpacked.head

    def readinto(self, buffer: memoryview) -> int:
        return self._unpacked.readinto(buffer)

    def far(self) -> tuple[int, int]:
        return self._outer.done, self._before.st_size

    def finish(self) -> str:
        self._unpacked.finish()
        while self._outer.read(1 << 20):  # what stands behind counts for the digest
            pass
        _unchanged(self._before, self._file, self._outer.done, self._shown)
        return self._outer.digest.hexdigest()


class _Hashed(io.RawIOBase):
    """A file whose digest grows as it is read."""

    def __init__(self, file: BinaryIO, digest: "hashlib._Hash", shown: str) -> None:
        self._file = file
        self._shown = shown
        self.digest = digest
        self.done = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "memoryview | bytearray", /) -> int:  # type: ignore[override]
        with _reading(self._shown):
            read = os.readv(self._file.fileno(), [buffer])
        self.digest.update(memoryview(buffer)[:read])
        self.done += read
        return read


@contextmanager
def _regular(path: Path, shown: str) -> Iterator[BinaryIO]:
    """Open a regular file: a FIFO would wait for ever, a device has no end."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError as error:
        raise VmnetError(
            f"cannot read {shown}: {error.strerror}",
            fix="name an image file that is there and may be read",
            status=Exit.BAD_INPUT,
        ) from error
    except ValueError as error:  # a NUL in it
        raise VmnetError(
            f"there can be no file {shown}", fix="name an image file", status=Exit.BAD_INPUT
        ) from error
    mode = os.fstat(handle).st_mode
    if not stat.S_ISREG(mode):
        os.close(handle)
        raise VmnetError(
            f"{shown} is {_KINDS.get(stat.S_IFMT(mode), 'something else')}, not an image file",
            fix="name a file; a disk is copied into one with: dd if=DEVICE of=FILE bs=1M",
            status=Exit.BAD_INPUT,
        )
    with os.fdopen(handle, "rb", buffering=0) as file:
        with suppress(OSError):
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_SEQUENTIAL)
        yield file


@contextmanager
def _reading(shown: str) -> Iterator[None]:
    """Turn a failed read into VmnetError: a bad disk, or a file of /proc that is not a file."""
    try:
        yield
    except OSError as error:
        raise VmnetError(
            f"cannot read {shown}: {error.strerror}",
            fix="name an image file that can be read to its end",
            status=Exit.BAD_INPUT,
        ) from error


_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFBLK: "a device",
    stat.S_IFCHR: "a device",
}


def _unchanged(before: os.stat_result, file: BinaryIO, done: int, shown: str) -> None:
    after = os.fstat(file.fileno())
    same = (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns)
    if not same or done != before.st_size:
        raise VmnetError(
            f"{shown} changed while it was read",
            fix="wait until whoever writes it has ended, then import it again",
            status=Exit.BAD_INPUT,
        )
