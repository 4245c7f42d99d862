"""Download a file once, whatever the server does, and prove it: nothing unproved gets its name."""

import hashlib
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from provisioner.dataclass import dataclass
from provisioner.errors import VmnetError
from provisioner.host.download.limits import AttemptFailed, Limits, Pace, failed
from provisioner.host.download.part_file import SPACE_FULL, PartFile
from provisioner.host.system import locks
from provisioner.image.digest import Digest
from provisioner.image.http import NoBody, is_chunked, judge, range_headers
from provisioner.image.source import Remote, Url

if TYPE_CHECKING:
    from provisioner.host.download.http import Reply

_MIB = 1 << 20
_SPARE = 16 * _MIB  # of the disk, for everybody else

Progress = Callable[[int, int | None], None]
"""Gets how many bytes are here, and how many there will be if the server has stated it.

It is called for every piece that comes, some thousand times a second on a fast line.
"""


@dataclass(frozen=True, slots=True)
class Fetched:
    """A file that is here: its digests (sha256 first), its size in bytes, where it came from.

    `fresh` is False when it was here already. `shown_url` is safe to show and to keep.
    """

    path: Path
    digests: tuple[Digest, ...]
    size: int
    shown_url: str
    fresh: bool = True


@contextmanager
def fetching(
    source: Remote,
    into: Path,
    *,
    limits: Limits = Limits(),  # noqa: B008  (a frozen value)
    tell: Callable[[str], None] = lambda _: None,
    progress: Progress = lambda _done, _total: None,
    there: Callable[[], Path | None] = lambda: None,
) -> Iterator[Fetched]:
    """Download a file to the path `into`, from the first mirror that has it, and keep it locked.

    The caller does something with it while it is locked. Several that want the same path download
    it once: the others wait, and find it at `into`, or where `there`, called once they have
    waited, returns that the first has put it. A file without a
    digest in `source` is taken as it comes. An interrupt leaves INTO.part, with which the next
    call goes on. Raises VmnetError, and then `into` is not there, when no mirror gave a file with
    the digest that was asked for, or the disk refuses it.
    """
    _make_private(into.parent)
    lock = into.with_name(f".{into.name}.lock")
    doing = f"image pull {source.urls[0].file_name}"
    with locks.held(lock, doing, timeout_s=limits.total_s, notify=tell, tidy=False):
        if elsewhere := there():
            yield _found(elsewhere, source)
            return
        with _disk_errors(into):
            got = _still_good(into, source, tell) if into.exists() else None
            got = got or _Download(source, into, tell, progress, Pace(limits)).run()
        yield got


def _still_good(into: Path, source: Remote, tell: Callable[[str], None]) -> Fetched | None:
    found = _found(into, source)
    if source.digest is None or source.digest in found.digests:
        return found
    tell(f"{into} is {found.digests[0]}, not {source.digest}: downloading it anew")
    into.unlink()
    return None


def _found(path: Path, source: Remote) -> Fetched:
    digests = []
    for name in dict.fromkeys(["sha256", source.digest.algorithm if source.digest else "sha256"]):
        with path.open("rb") as stream:
            digests.append(Digest(name, hashlib.file_digest(stream, name).hexdigest()))
    return Fetched(path, tuple(digests), path.stat().st_size, str(source.urls[0]), fresh=False)


@dataclass(frozen=True, slots=True)
class _Download:
    """One download of one file, from mirror to mirror."""

    source: Remote
    into: Path
    tell: Callable[[str], None]
    progress: Progress
    pace: Pace

    def run(self) -> Fetched:
        """Try the mirrors in turn."""
        errors: list[VmnetError] = []
        also = self.source.digest.algorithm if self.source.digest else None
        with PartFile(self.into, also) as part:
            for url in self.source.urls:
                try:
                    return self._from(url, part)
                except AttemptFailed as failure:
                    errors.append(failure.error)
                    if url is not self.source.urls[-1]:
                        self.tell(f"{failure.error.what}: trying the next mirror")
        if len(errors) == 1:
            raise errors[0]
        raise VmnetError(
            "no mirror has the file:\n  " + "\n  ".join(error.what for error in errors),
            fix=errors[0].fix,
        )

    def _from(self, url: Url, part: PartFile) -> Fetched:
        """Go on at one mirror as long as something comes; begin once more if a part was bad."""
        part.belongs_to(url)
        for left in reversed(range(self.pace.limits.tries)):
            before = part.size
            try:
                self._receive(url, part)
                return self._proved(url, part)
            except _WrongDigest as failure:
                if not before:
                    raise
                self.tell(f"{failure.error.what}: downloading it from the start")
            except AttemptFailed as failure:
                grown = part.size - before >= self.pace.limits.least_bytes
                if not (failure.passing and grown and left):
                    raise
                self.tell(f"{failure.error.what}: going on at {part.size // _MIB} MiB")
        raise failed(url, f"it broke off {self.pace.limits.tries} times")

    def _receive(self, url: Url, part: PartFile) -> None:
        """Ask for what is missing and write it down."""
        have = part.content
        if have.size and have.total == have.size:
            return  # killed between the last byte and the name
        from provisioner.host.download import http

        with http.get(url, range_headers(have), self.pace) as reply:
            body = judge(reply.status, reply.headers, have)
            if not isinstance(body, NoBody):
                if body.resumes:
                    self.tell(f"going on with {url} at {part.size // _MIB} MiB")
                else:
                    part.begin(url, reply.headers.get("ETag"), body.total)
                self._body(reply, part, body.total)
                return
        if not body.ask_again:
            raise failed(url, body.why)
        self.tell(f"{url}: {body.why}: downloading it from the start")
        part.begin(url)
        self._receive(url, part)

    def _body(self, reply: "Reply", part: PartFile, total: int | None) -> None:
        if total is not None and total > self.pace.limits.max_bytes:
            raise self._too_large(reply.url, f"the file has {total // _MIB} MiB", part)
        if total is not None:
            _require_space(self.into.parent, total - part.size)
        elif not is_chunked(reply.headers) and self.source.digest is None:
            why = "it does not say how long the file is, and there is no digest to tell"
            raise failed(reply.url, why, fix="give the digest: SOURCE@sha256:HEX")
        self.progress(part.size, total)
        for data in reply.chunks():
            if part.size + len(data) > self.pace.limits.max_bytes:
                raise self._too_large(reply.url, f"more than {part.size // _MIB} MiB come", part)
            part.write(data)
            self.progress(part.size, total)
        if total is not None and part.size != total:
            raise failed(reply.url, f"it sent {part.size} bytes of {total}", passing=True)

    def _too_large(self, url: Url, what: str, part: PartFile) -> AttemptFailed:
        part.begin(url)
        limit = self.pace.limits.max_bytes // _MIB
        return failed(url, f"{what}, but {limit} MiB is the limit", fix="use a smaller image")

    def _proved(self, url: Url, part: PartFile) -> Fetched:
        digests, size, wanted = part.digests, part.size, self.source.digest
        if wanted and wanted not in digests:
            part.begin(url)
            found = next(one for one in digests if one.algorithm == wanted.algorithm)
            raise _WrongDigest(
                VmnetError(
                    f"{url}: the file ({size} bytes) is {found}, but {wanted} was expected",
                    fix="it is not the file that was meant: ask who gave the digest, "
                    "or whether the server has a newer file under the same name",
                )
            )
        part.put_in_place()
        return Fetched(self.into, digests, size, str(url))


class _WrongDigest(AttemptFailed):
    """All bytes are here and have the wrong digest."""


def _make_private(folder: Path) -> None:
    """Make the folder if need be; nobody else may write where we look for parts."""
    with _disk_errors(folder):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.stat()
    if found.st_uid not in {0, os.geteuid()} or found.st_mode & stat.S_IWOTH:
        raise VmnetError(
            f"{folder} can be written to by others, who could exchange a download",
            fix=f"chmod o-w {folder}, or name another folder",
        )


@contextmanager
def _disk_errors(path: Path) -> Iterator[None]:
    """Turn what the disk refused into VmnetError."""
    try:
        yield
    except OSError as error:
        if error.errno in SPACE_FULL:
            raise _full(path.parent) from error
        raise VmnetError(
            f"cannot write {error.filename or path}: {error.strerror}",
            fix="make the folder writable for you, or name another one",
        ) from error


def _require_space(folder: Path, needed: int) -> None:
    """Raise VmnetError before a long download."""
    if shutil.disk_usage(folder).free < needed + _SPARE:
        raise _full(folder, f"{(needed + _SPARE) // _MIB} MiB are needed, ")


def _full(folder: Path, needs: str = "") -> VmnetError:
    free = shutil.disk_usage(folder).free // _MIB
    return VmnetError(
        f"the disk of {folder} is full: {needs}{free} MiB are free",
        fix="make room there, or name another folder (VMNET_CACHE_DIR)",
    )
