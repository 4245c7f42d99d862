"""The partial file of a download: it survives a cut line, a Ctrl-C and a kill."""

import errno
import hashlib
import json
import os
import stat
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from provisioner.host.system import file_errors
from provisioner.host.system.whole_files import sync
from provisioner.image.digest import Digest
from provisioner.image.http import PartialContent
from provisioner.image.source import Url

SPACE_FULL: Final = file_errors.FULL | {errno.EFBIG}
_READ = 1 << 20


class PartFile:
    """NAME.part beside the file that it will become, with NAME.part.json: what it is a part of.

    Everything written goes through sha256, and through `also` when another digest is wanted.
    Raises OSError when the disk refuses.
    """

    def __init__(self, into: Path, also: str | None = None) -> None:
        self.path = into.with_name(into.name + ".part")
        self._notes = into.with_name(into.name + ".part.json")
        self._into = into
        self._algorithms = dict.fromkeys(("sha256", *((also,) if also else ())))
        self._etag: str | None = None
        self._total: int | None = None
        self._open()

    def __enter__(self) -> Self:
        """Return the open file."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it; a part stays, but not on a disk that is full."""
        self._file.close()
        full = isinstance(error, OSError) and error.errno in SPACE_FULL
        if full or not self.size:
            self.path.unlink(missing_ok=True)
            self._notes.unlink(missing_ok=True)

    @property
    def content(self) -> PartialContent:
        """Return what is here."""
        return PartialContent(self.size, self._etag, self._total)

    def belongs_to(self, url: Url) -> None:
        """Keep what is here if it is a part of the file at this address, else begin anew."""
        notes: object = None
        with suppress(OSError, ValueError):
            notes = json.loads(self._notes.read_text(encoding="utf-8"))
        match notes:
            case {"of": of, "boot": boot, "etag": None | str() as etag, "total": total} if (
                self.size and (of, boot) == (_key(url), _boot())
            ):
                self._etag = etag
                self._total = total if isinstance(total, int) else None
            case _:
                self.begin(url)

    def begin(self, url: Url, etag: str | None = None, total: int | None = None) -> None:
        """Throw away what is here and note what will come."""
        self._file.seek(0)
        self._file.truncate()
        self._empty()
        self._etag, self._total = etag, total
        notes = {"of": _key(url), "etag": etag, "total": total, "boot": _boot()}
        draft = self._notes.with_name(self._notes.name + ".new")
        with os.fdopen(_opened(draft, os.O_TRUNC), "w", encoding="utf-8") as stream:
            json.dump(notes, stream)
        draft.rename(self._notes)

    def write(self, data: bytes) -> None:
        """Append the next bytes."""
        self._file.write(data)
        self._count(data)

    @property
    def digests(self) -> tuple[Digest, ...]:
        """Return the digests of what is here."""
        return tuple(Digest(one.name, one.hexdigest()) for one in self._hashes)

    def put_in_place(self) -> None:
        """Let the whole file appear under its name."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self.path.rename(self._into)
        self._notes.unlink(missing_ok=True)
        sync(self._into.parent)

    def _open(self) -> None:
        handle = _opened(self.path, 0)
        found = os.fstat(handle)
        if found.st_nlink != 1 or found.st_uid != os.geteuid() or not stat.S_ISREG(found.st_mode):
            os.close(handle)  # not one that we made: make our own
            self.path.unlink()
            handle = _opened(self.path, os.O_EXCL)
        os.fchmod(handle, 0o600)
        self._file = os.fdopen(handle, "r+b", buffering=0)
        self._empty()
        while data := self._file.read(_READ):
            self._count(data)

    def _empty(self) -> None:
        self.size = 0
        self._hashes = [hashlib.new(name) for name in self._algorithms]

    def _count(self, data: bytes) -> None:
        for one in self._hashes:
            one.update(data)
        self.size += len(data)


def _opened(path: Path, flags: int) -> int:
    """Open a file of our own to read and write; a link in its place is not followed."""
    with suppress(OSError):
        if path.is_symlink():
            path.unlink()
    wanted = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | flags
    return os.open(path, wanted, 0o600)


def _key(url: Url) -> str:
    """Return a name of an address that keeps nothing of it that may be secret."""
    return hashlib.sha256(str(url).encode()).hexdigest()


def _boot() -> str:
    """Return the name of this boot: after a power cut the end of a file may be zeros."""
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return ""
