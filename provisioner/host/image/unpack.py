"""Takes one image out of gz, xz, bz2 and tar as a stream; no file of an archive is ever written.

What is unpacked goes to a file of the store's own name. Names, links, devices, owners and modes
in an archive are not followed but refused.
"""

import bz2
import gzip
import io
import lzma
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

from provisioner.errors import bad_input
from provisioner.image.disk_kind import HEAD, RAW, kind
from provisioner.image.qcow2 import FETCH_AGAIN
from provisioner.text import one_line

_CHUNK = 1 << 20
_MOST_AT_ONCE = 8 << 20  # a header of tar that wants more memory than this is an attack
_MOST_MEMBERS = 1000
_XZ_MEMORY = 256 << 20  # xz -9 needs 65 MiB; a header can ask for 4 GiB
_SET_ID = 0o6000
_LOOK = "see what is in it (tar -tvf); an archive of an image holds the image alone"


class Unpacked:
    """An image as it comes out of its packing; `head` are its first HEAD bytes."""

    def __init__(self, stream: "io.BufferedReader[Any]") -> None:
        self._stream = stream
        self.head = stream.peek(HEAD)[:HEAD]

    def readinto(self, buffer: memoryview) -> int:
        """Read on; 0 at the end."""
        return self._stream.readinto(buffer)

    def finish(self) -> None:
        """Check that nothing but the image was packed. Raises VmnetError otherwise."""
        _drain(self._stream)


@contextmanager
def damage(shown: str) -> Iterator[None]:
    """Turn what the decompressors raise into VmnetError, and name the file in all errors."""
    try:
        yield
    except (EOFError, zlib.error, lzma.LZMAError, tarfile.TarError, gzip.BadGzipFile) as error:
        what = f"{shown}: it is damaged or cut off ({one_line(str(error), 100)})"
        raise bad_input(what, FETCH_AGAIN) from error
    except _Refused as refused:
        raise bad_input(f"{shown}: {refused.what}", refused.fix) from refused


def image_in(packed: io.RawIOBase, found: str, most: int) -> Unpacked:
    """Return the image that a file of the kind `found` holds, at most `most` bytes of it.

    Errors are raised within `damage`, also those of reading on.
    """
    stream = io.BufferedReader(_Limited(_expanded(packed, found), most), HEAD)
    if kind(stream.peek(HEAD)) == "tar":
        return _ArchivedImage(stream, most)
    return Unpacked(stream)


def _drain(stream: "io.BufferedReader[Any]") -> None:
    while stream.read(_CHUNK):
        pass


def _expanded(packed: io.RawIOBase, found: str) -> "io.RawIOBase | gzip.GzipFile":
    match found:
        case "gzip":
            return gzip.GzipFile(fileobj=io.BufferedReader(packed, _CHUNK), mode="rb")
        case "xz":
            return _Expanded(packed, lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, _XZ_MEMORY))
        case "bzip2":
            return _Expanded(packed, bz2.BZ2Decompressor)
        case _:
            return packed


_Decompressor = bz2.BZ2Decompressor | lzma.LZMADecompressor


class _Expanded(io.RawIOBase):
    """The output of a decompressor, never more at once than asked for; of all streams in a row."""

    def __init__(self, packed: io.RawIOBase, maker: Callable[[], _Decompressor]) -> None:
        self._packed = packed
        self._maker = maker
        self._now = maker()
        self._ahead = b""

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        while not self._now.eof or self._next_stream():
            try:
                found = self._now.decompress(self._input(), len(buffer))
            except OSError as error:  # bz2's error for damage
                raise EOFError(str(error)) from error
            if found:
                buffer[: len(found)] = found
                return len(found)
        return 0

    def _input(self) -> bytes:
        if not self._now.needs_input:
            return b""
        data, self._ahead = self._ahead, b""
        data = data or self._packed.read(_CHUNK) or b""
        if not data:
            raise EOFError("it ends too early")
        return data

    def _next_stream(self) -> bool:
        """Begin with what stands behind the last stream; zeros between them are padding."""
        rest = self._now.unused_data
        while rest or (rest := self._packed.read(_CHUNK) or b""):
            if rest := rest.lstrip(b"\0"):
                self._now, self._ahead = self._maker(), rest
                return True
        return False


class _Limited(io.RawIOBase):
    """What comes out of a packing, up to a limit. Each read fills its buffer, so peek() does."""

    def __init__(self, source: "io.RawIOBase | gzip.GzipFile", most: int) -> None:
        self._source = source
        self._most = most
        self._came = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        size = 0
        while size < len(buffer) and (more := self._source.readinto(buffer[size:])):
            size += more
        self._came += size
        if self._came > self._most:
            raise _Refused(
                f"more than {self._most >> 20:,} MiB come out of it, as if to fill the disk",
                "if you trust it, unpack it yourself and import what was in it",
            )
        return size


class _Tape:
    """A stream as tarfile reads it: it has a position, and is moved forward by reading."""

    def __init__(self, stream: "io.BufferedReader[Any]") -> None:
        self._stream = stream
        self._at = 0
        self._header_left: int | None = None

    def read(self, size: int = -1) -> bytes:
        if self._header_left is not None:
            self._header_left -= size
        if not 0 <= size <= _MOST_AT_ONCE or (self._header_left or 0) < 0:
            raise _Refused("it has headers without an end", "unpack it yourself, if you trust it")
        found = self._stream.read(size)
        self._at += len(found)
        return found

    def tell(self) -> int:
        return self._at

    def seek(self, where: int) -> int:
        if where < self._at:
            raise tarfile.ReadError("it points backwards")
        while self._at < where:
            skipped = len(self._stream.read(min(_CHUNK, where - self._at)))
            if not skipped:
                raise EOFError("it ends too early")
            self._at += skipped
        return self._at

    @contextmanager
    def header(self) -> Iterator[None]:
        """Read a header of tar: tarfile keeps in memory whatever one claims to contain."""
        self._header_left = _MOST_AT_ONCE
        try:
            yield
        except (ValueError, LookupError, ArithmeticError, RecursionError) as error:
            # tarfile trusts numbers of headers, and reads a header of a header in a deeper call.
            raise tarfile.ReadError("its headers make no sense") from error
        finally:
            self._header_left = None


class _ArchivedImage(Unpacked):
    """The one image in an archive."""

    def __init__(self, archive: "io.BufferedReader[Any]", most: int) -> None:
        self._archive = archive
        self._tape = _Tape(archive)
        self._most = most
        # TarFile asks for no more than tell, seek and read when it only reads forward.
        with self._tape.header():
            self._tar = tarfile.TarFile(fileobj=self._tape, mode="r")  # type: ignore[arg-type]
        self._seen = 0
        found = self._next_image()
        if found is None:
            raise _Refused(
                "there is no disk image in it",
                "see what is in it (tar -tvf); if it is a file system, import the vendor's disk "
                "image instead",
            )
        self._name, image = found
        super().__init__(image)

    def finish(self) -> None:
        if other := self._next_image():
            names = " and ".join(f'"{one_line(name, 60)}"' for name in (self._name, other[0]))
            raise _Refused(f"it holds two images, {names}", "unpack it and import the one you mean")
        _drain(self._archive)

    def _next_image(self) -> "tuple[str, io.BufferedReader[Any]] | None":
        while member := self._next():
            self._seen += 1
            if self._seen > _MOST_MEMBERS:
                raise _Refused(f"it holds more than {_MOST_MEMBERS} files", _LOOK)
            _refuse_strange(member)
            if member.size > self._most:  # its holes are nowhere in the archive
                raise _Refused(f"{_shown(member)} would have {member.size >> 20:,} MiB", _LOOK)
            file = self._tar.extractfile(member) if member.isreg() else None
            if file is None:
                continue
            image: io.BufferedReader[Any] = io.BufferedReader(cast("io.RawIOBase", file), HEAD)
            if (found := kind(image.peek(HEAD))) == "qcow2" or found in RAW:
                return member.name, image
        return None

    def _next(self) -> tarfile.TarInfo | None:
        with self._tape.header():
            found = self._tar.next()
        self._tar.members.clear()  # type: ignore[attr-defined]  # it would remember all of them
        return found


def _refuse_strange(member: tarfile.TarInfo) -> None:
    shown = _shown(member)
    if member.name.startswith("/") or ".." in member.name.split("/"):
        raise _Refused(f"it holds {shown}, a path that leads out of the archive", _LOOK)
    if not member.isreg() and not member.isdir():
        raise _Refused(f"it holds {shown}, which is a link, a device or a pipe", _LOOK)
    if member.isreg() and member.mode & _SET_ID:
        raise _Refused(f"it holds {shown}, a program that would run with others' rights", _LOOK)


def _shown(member: tarfile.TarInfo) -> str:
    return f'"{one_line(member.name, 80)}"'


class _Refused(Exception):  # noqa: N818  (a VmnetError outside, by `damage`)
    def __init__(self, what: str, fix: str) -> None:
        super().__init__(what)
        self.what = what
        self.fix = fix
