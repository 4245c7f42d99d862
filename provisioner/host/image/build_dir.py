"""Where images are built: by one builder at a time, on the cache's disk, whole or not at all."""

import errno
import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from provisioner.errors import VmnetError
from provisioner.host.system.secret_files import sync

_MIB = 1 << 20
_NEARLY_NOTHING_MIB = 8
_SPACE_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


@dataclass(frozen=True, slots=True)
class Room:
    """The place of one kind of image in a cache.

    `name` tells its locks and leftovers from those of others, `what` is what is built in the user's
    words, `needed_mib` is the space that a build takes at most.
    """

    cache: Path
    name: str
    what: str
    needed_mib: int

    @property
    def images(self) -> Path:
        """The folder of all images, one folder each."""
        return self.cache / "images"

    @contextmanager
    def alone(self, say: Callable[[str], None]) -> Iterator[None]:
        """Let one builder work at a time; the lock dies with its holder.

        Raises VmnetError for whatever the disk refuses meanwhile, in words the user can act on.
        """
        with self._disk_errors(), self._locked(say):
            yield

    @contextmanager
    def workshop(self) -> Iterator[Path]:
        """Give a folder to work in, gone afterwards whatever happens; only for the lock's holder.

        Raises VmnetError when the disk has no room, before a long download and when it has filled
        up: never with the words of one of the programs we run.
        """
        for left in self.images.glob(f"work-{self.name}-*"):  # of a builder that was killed
            shutil.rmtree(left, ignore_errors=True)
        if self._free_mib() < self.needed_mib:
            raise self.full(self.cache)
        with tempfile.TemporaryDirectory(prefix=f"work-{self.name}-", dir=self.images) as name:
            try:
                yield Path(name)
            except VmnetError as error:
                if self._free_mib() < _NEARLY_NOTHING_MIB:  # whatever the program made of that
                    raise self.full(self.cache) from error
                raise

    def full(self, where: str | Path) -> VmnetError:
        """Tell that the disk is full, and how much room is needed."""
        needed = f"{self.needed_mib} MiB in {self.cache}"
        return VmnetError(
            f"the disk is full: {where} ({self._free_mib()} MiB free)",
            fix=f"make room for {needed}, or name another cache folder",
        )

    def _free_mib(self) -> int:
        return shutil.disk_usage(self.cache).free // _MIB

    @contextmanager
    def _locked(self, say: Callable[[str], None]) -> Iterator[None]:
        for made in (self.cache, self.images):
            if not made.is_dir():
                made.mkdir(parents=True, exist_ok=True)
                made.chmod(0o755)  # QEMU, another user, must come through
        lock = self.images / f"build-{self.name}.lock"
        handle = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                say(f"waiting for another vmnet that builds {self.what}")
                fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    @contextmanager
    def _disk_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            where = error.filename or self.cache
            if error.errno in _SPACE_FULL:
                raise self.full(where) from error
            raise VmnetError(
                f"cannot write the cache: {where}: {error.strerror}",
                fix=f"make {self.cache} writable for you, or name another cache folder",
            ) from error


def written(path: Path, content: bytes) -> dict[str, str | int]:
    """Write a file, readable for all, down to the disk; tell what a manifest says of it."""
    with path.open("wb") as stream:
        stream.write(content)
    return finished(path)


def finished(path: Path) -> dict[str, str | int]:
    """Bring a written file down to the disk; tell what a manifest says of it."""
    with path.open("rb") as stream:
        os.fchmod(stream.fileno(), 0o644)
        os.fsync(stream.fileno())
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return {"name": path.name, "size": path.stat().st_size, "sha256": digest}


def put_in_place(made: Path, final: Path) -> None:
    """Let the whole folder appear at once; a damaged one of that name gives way."""
    made.chmod(0o755)
    sync(made)
    if final.exists():
        final.rename(made.parent / "damaged")
    made.rename(final)
    sync(final.parent)


def newest_first(cache: Path, prefix: str) -> list[Path]:
    """Give the folders of images whose names start so."""
    found = (cache / "images").glob(f"{prefix}*")
    return sorted(found, key=lambda folder: (folder.stat().st_mtime_ns, folder.name), reverse=True)


def digest_of_files(*folders: tuple[Path, str]) -> str:
    """Hash the names and contents of all files below the folders that match their patterns."""
    hashed = hashlib.sha256()
    for folder, pattern in folders:
        for path in sorted(folder.rglob(pattern)):
            if path.is_file():
                content = path.read_bytes()
                hashed.update(f"{path.relative_to(folder)}\0{len(content)}\0".encode() + content)
    return hashed.hexdigest()


def digest(text: str) -> str:
    """Hash a text."""
    return hashlib.sha256(text.encode()).hexdigest()
