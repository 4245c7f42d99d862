"""Image files as a user has them: plain or packed, read once from the first byte to the last."""

import hashlib
import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from provisioner.errors import VmnetError, bad_input
from provisioner.host.image import unpack
from provisioner.image.disk_kind import HEAD, TAIL, UNPACKED, kind
from provisioner.text import one_line

MOST_UNPACKED = 64 << 30


class GivenImage:
    """An image that is about to be read: its first HEAD bytes, and what is known beforehand.

    `tail` are its last TAIL bytes and `size` its length, where the file is not packed.
    """

    def __init__(self, file: "_ReadFile", unpacked: unpack.Unpacked | None = None) -> None:
        self._file = file
        self._unpacked = unpacked
        self.head = unpacked.head if unpacked else file.at(HEAD, 0)
        self.tail = b"" if unpacked else file.at(TAIL, max(0, file.size - TAIL))
        self.size = None if unpacked else file.size

    def readinto(self, buffer: memoryview) -> int:
        """Read on; 0 at the end."""
        return (self._unpacked or self._file).readinto(buffer)

    def position(self) -> tuple[int, int]:
        """Return how many bytes of the file have been read, and how many it has."""
        return self._file.done, self._file.size

    def finish(self) -> str:
        """Check that the whole file was good; return its digest where it is not the image's.

        Raises VmnetError when it changed meanwhile, or holds more than one image.
        """
        if self._unpacked:
            self._unpacked.finish()
            while self._file.read(1 << 20):  # what stands behind counts for the digest
                pass
        self._file.require_unchanged()
        return self._file.digest.hexdigest() if self._file.digest else ""


@contextmanager
def opened(
    path: Path, algorithm: str = "sha256", most: int = MOST_UNPACKED, *, shown: str = ""
) -> Iterator[GivenImage]:
    """Open an image file, unpacking it where need be, up to `most` bytes.

    Raises VmnetError when it is not a regular file, cannot be read, or is damaged.
    """
    shown = one_line(shown or str(path), 120)
    with _regular(path, shown) as handle:
        file = _ReadFile(handle, shown)
        found = kind(file.at(HEAD, 0))
        if found not in UNPACKED:
            yield GivenImage(file)
            return
        file.digest = hashlib.new(algorithm)
        with unpack.damage(shown):
            yield GivenImage(file, unpack.image_in(file, found, most))


class _ReadFile(io.RawIOBase):
    """A file that is read once; its digest grows with what is read if it has one."""

    def __init__(self, file: BinaryIO, shown: str) -> None:
        self._file = file
        self._shown = shown
        self._before = os.fstat(file.fileno())
        self.size = self._before.st_size
        self.digest: hashlib._Hash | None = None
        self.done = 0

    def readable(self) -> bool:
        return True

    def at(self, size: int, offset: int) -> bytes:
        with self._errors():
            return os.pread(self._file.fileno(), size, offset)

    def readinto(self, buffer: "memoryview | bytearray", /) -> int:  # type: ignore[override]
        with self._errors():
            read = os.readv(self._file.fileno(), [buffer])
        if self.digest:
            self.digest.update(memoryview(buffer)[:read])
        self.done += read
        return read

    def require_unchanged(self) -> None:
        now = os.fstat(self._file.fileno())
        same = (self.size, self._before.st_mtime_ns) == (now.st_size, now.st_mtime_ns)
        if not same or self.done != self.size:
            raise bad_input(
                f"{self._shown} changed while it was read",
                "wait until the program that writes it has ended, then import it again",
            )

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Turn a failed read into VmnetError: a bad disk, or a file of /proc."""
        try:
            yield
        except OSError as error:
            raise bad_input(
                f"cannot read {self._shown}: {error.strerror}",
                "name an image file that can be read to its end",
            ) from error


@contextmanager
def _regular(path: Path, shown: str) -> Iterator[BinaryIO]:
    """Open a regular file: a FIFO would wait for ever, a device has no end."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError as error:
        raise bad_input(
            f"cannot read {shown}: {error.strerror}",
            "name an image file that exists and may be read",
        ) from error
    except ValueError as error:  # a NUL in it
        raise bad_input(f"there can be no file {shown}", "name an image file") from error
    mode = os.fstat(handle).st_mode
    if not stat.S_ISREG(mode):
        os.close(handle)
        raise _not_a_file(shown, mode)
    with os.fdopen(handle, "rb", buffering=0) as file:
        with suppress(OSError):
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_SEQUENTIAL)
        yield file


def _not_a_file(shown: str, mode: int) -> VmnetError:
    kinds = {stat.S_IFDIR: "folder", stat.S_IFIFO: "pipe", stat.S_IFSOCK: "socket"}
    return bad_input(
        f"{shown} is a {kinds.get(stat.S_IFMT(mode), 'device')}, not an image file",
        "name a file; a disk is copied into one with: dd if=DEVICE of=FILE bs=1M",
    )
