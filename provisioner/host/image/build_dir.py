"""Where images are built: by one builder at a time, on the cache's disk, whole or not at all."""

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
from provisioner.host.system import file_errors
from provisioner.host.system.secret_files import sync

_MIB = 1 << 20
_NEARLY_NOTHING_MIB = 8


@dataclass(frozen=True, slots=True)
class BuildDir:
    """The place of one kind of image in a cache.

    `name` is in the names of its lock and its leftovers, `what` is what is built in messages,
    `needed_mib` is the space that a build takes at most.
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
    def locked(self, tell: Callable[[str], None]) -> Iterator[None]:
        """Let one builder work at a time; the lock dies with its holder.

        Raises VmnetError for whatever the disk refuses meanwhile.
        """
        try:
            for made in (self.cache, self.images):
                if not made.is_dir():
                    made.mkdir(parents=True, exist_ok=True)
                    made.chmod(0o755)  # QEMU, another user, must come through
            with (self.images / f"build-{self.name}.lock").open("ab") as lock:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    tell(f"waiting for another vmnet that builds {self.what}")
                    fcntl.flock(lock, fcntl.LOCK_EX)
                yield
        except OSError as error:
            where = error.filename or self.cache
            if error.errno in file_errors.FULL:
                raise self.full(where) from error
            raise VmnetError(
                f"cannot write the cache: {where}: {error.strerror}",
                fix=f"make {self.cache} writable for you, or name another cache folder",
            ) from error

    @contextmanager
    def work_folder(self) -> Iterator[Path]:
        """Yield a folder to work in, gone afterwards whatever happens; only for the lock's holder.

        Raises VmnetError when the disk has no room, before a long download and when it has filled
        up: never with the message of one of the programs we run.
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
        """Return the error for a full disk, with the space that is needed."""
        needed = f"{self.needed_mib} MiB in {self.cache}"
        return VmnetError(
            f"the disk is full: {where} ({self._free_mib()} MiB free)",
            fix=f"make room for {needed}, or name another cache folder",
        )

    def _free_mib(self) -> int:
        return shutil.disk_usage(self.cache).free // _MIB


def synced(path: Path) -> dict[str, str | int]:
    """Sync a written file to the disk, readable for all; return what a manifest says of it."""
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
    """Return the folders of images whose names start so."""
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
