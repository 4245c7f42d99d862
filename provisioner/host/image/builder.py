"""How images are built: by one builder at a time, on the cache's disk, whole or not at all."""

import os
import shutil
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

from provisioner.dataclass import dataclass
from provisioner.errors import VmnetError, bad_input
from provisioner.host.image import built, packages
from provisioner.host.image.built import BuiltImage
from provisioner.host.image.packages import Package
from provisioner.host.system import file_errors, locks

_MIB = 1 << 20
_NEARLY_NOTHING_MIB = 8
_BUILD_S = 3600.0  # that another build may take


@dataclass
class ImageBuilder(ABC):
    """Builds the image `name` into a cache; a subclass knows of what, and how.

    `KIND` names its recipe, `NEEDED_MIB` is the space that a build takes at most.
    """

    cache: Path
    tell: Callable[[str], None]
    name: str

    KIND: ClassVar[str]
    NEEDED_MIB: ClassVar[int]

    @property
    def what(self) -> str:
        """Return how messages call the image."""
        return f"the {self.name} image"

    def require(self) -> None:
        """Raise VmnetError when this host cannot build the image."""
        packages.require(self.what)

    @abstractmethod
    def versions(self, folder: Path) -> list[Package]:
        """Return the packages that it would be made of now; `folder` is to work in."""

    @abstractmethod
    def make(self, folder: Path, wanted: list[Package], out: Path, final: str) -> BuiltImage:
        """Make the image's files in `out`, which will be called `final`; return their names."""

    def build(self) -> BuiltImage:
        """Return the image of the current recipe and package versions, building it if need be.

        Several may build at once: one does, the others wait and find it. Raises VmnetError when
        the host cannot; nothing is left then.
        """
        self.require()
        with self._locked(), self._work_folder() as folder:
            wanted = self.versions(folder)
            final = self._images / built.folder_name(self.KIND, self.name, wanted)
            if found := built.load(final):
                self.tell(f"{self.what} is up to date: {final}")
                return found
            self.require_space()
            out = folder / "image"
            out.mkdir(mode=0o755)
            built.put_in_place(self.make(folder, wanted, out, final.name), wanted, out, final)
        found = built.load(final)
        if not found:
            raise VmnetError(
                f"the image in {final} was damaged as it was built", fix="build it again"
            )
        self.tell(f"built {self.what}: {final}")
        return found

    def take_in(self, given: Path) -> BuiltImage:
        """Take an image that was built elsewhere into the cache, verified, whole or not at all.

        Raises VmnetError when it is not whole, or of another recipe than this vmnet's.
        """
        if not built.is_current(self.KIND, self.name, given.name):
            raise bad_input(
                f"{given} is no folder of {self.what} that this version of vmnet builds",
                "build it there with the same version: vmnet image build micro --output DIR",
            )
        with self._locked(), self._work_folder() as folder:
            final = self._images / given.name
            if found := built.load(final):
                self.tell(f"{self.what} is there already: {final}")
                return found
            self.require_space()
            out = folder / "image"
            built.copied(given, out)
            out.rename(final)
            found = built.load(final)
        if not found:
            raise VmnetError(f"the image in {given} is not whole", fix="copy it here again")
        return found

    def require_space(self) -> None:
        """Raise VmnetError before a long download when the disk has no room for the image."""
        if self._free_mib() < self.NEEDED_MIB:
            raise self._full(self.cache)

    @property
    def _images(self) -> Path:
        return self.cache / "images"

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Let one builder work at a time; the lock dies with its holder.

        Raises VmnetError for whatever the disk refuses meanwhile.
        """
        try:
            for made in (self.cache, self._images):
                if not made.is_dir():
                    made.mkdir(parents=True, exist_ok=True)
                    made.chmod(0o755)  # QEMU, another user, must come through
            lock = locks.private(self._images / f"build-{self.name}.lock")
            try:
                self._await_others(lock)
                yield
            finally:
                os.close(lock)
        except OSError as error:
            where = error.filename or self.cache
            if error.errno in file_errors.FULL:
                raise self._full(where) from error
            raise VmnetError(
                f"cannot write the cache: {where}: {error.strerror}",
                fix=f"make {self.cache} writable for you, or name another cache folder",
            ) from error

    def _await_others(self, lock: int) -> None:
        if locks.lock_until(lock, 0):
            return
        self.tell(f"waiting for another vmnet that builds {self.what}")
        if not locks.lock_until(lock, time.monotonic() + _BUILD_S):
            raise VmnetError(
                f"another vmnet still builds {self.what} after {_BUILD_S / 60:g} minutes",
                fix="end it, then run the command again",
            )

    @contextmanager
    def _work_folder(self) -> Iterator[Path]:
        """Yield a folder to work in, gone afterwards whatever happens; only for the lock's holder.

        Raises VmnetError for a disk that fills up: never with the message of a program we run.
        """
        for left in self._images.glob(f"work-{self.name}-*"):  # of a builder that was killed
            shutil.rmtree(left, ignore_errors=True)
        prefix = f"work-{self.name}-"
        with tempfile.TemporaryDirectory(prefix=prefix, dir=self._images) as name:
            try:
                yield Path(name)
            except VmnetError as error:
                if self._free_mib() < _NEARLY_NOTHING_MIB:  # whatever the program made of that
                    raise self._full(self.cache) from error
                raise

    def _full(self, where: str | Path) -> VmnetError:
        return VmnetError(
            f"the disk is full: {where} ({self._free_mib()} MiB free)",
            fix=f"make room for {self.NEEDED_MIB} MiB in {self.cache}, or name another cache "
            "folder",
        )

    def _free_mib(self) -> int:
        return shutil.disk_usage(self.cache).free // _MIB
