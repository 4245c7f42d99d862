"""Copy an image and hash the copy in the same pass; check the copy."""

import hashlib
import os
from collections.abc import Callable, Sequence
from typing import Final

from provisioner.errors import VmnetError, bad_input
from provisioner.host.image.source_file import GivenImage
from provisioner.image import qcow2
from provisioner.image.disk_header import DiskHeader, inspect
from provisioner.image.disk_kind import HEAD, TAIL

Progress = Callable[[int, int], None]
"""Gets bytes done and bytes to do."""

_BUFFER = 512 << 10
_PIECE: Final = 64 << 10
_ZEROS: Final = bytes(_PIECE)


def copy(
    image: GivenImage, into: int, algorithms: Sequence[str], progress: Progress
) -> dict[str, str]:
    """Write the image to an empty file; return the digests of exactly what was written.

    Pieces of zeros are left out of the file, which stays sparse.
    """
    hashes = [hashlib.new(algorithm) for algorithm in algorithms]
    buffer, done = bytearray(_BUFFER), 0
    while size := _fill(image, buffer):
        for each in hashes:
            each.update(memoryview(buffer)[:size])
        _write(into, buffer, size, done)
        done += size
        progress(*image.position())
    os.ftruncate(into, done)
    return {each.name: each.hexdigest() for each in hashes}


def digest(file: int, size: int, progress: Progress) -> str:
    """Return the SHA-256 of an open file."""
    found, buffer, done = hashlib.sha256(), bytearray(_BUFFER), 0
    while read := os.preadv(file, [buffer], done):
        found.update(memoryview(buffer)[:read])
        done += read
        progress(done, size)
    return found.hexdigest()


def check(file: int, *, raw: bool) -> DiskHeader | list[VmnetError]:
    """Check an open image by its header, and a qcow2 by where its tables place its clusters."""
    size = os.fstat(file).st_size
    head = os.pread(file, HEAD, 0)
    found = inspect(head, size, os.pread(file, TAIL, max(0, size - TAIL)), raw=raw)
    if isinstance(found, DiskHeader) and found.format == "qcow2":
        header = qcow2.read(head)
        if header and (damage := _damage(file, size, header)):
            return [bad_input(damage, qcow2.FETCH_AGAIN)]
    return found


def check_early(image: GivenImage, *, raw: bool) -> list[VmnetError]:
    """Return what is wrong with an image already by its first bytes, before it is copied."""
    # The size of a packed image is not known yet: one that no complaint about sizes fits.
    size = qcow2.MOST_VIRTUAL if image.size is None else image.size
    found = inspect(image.head, size, image.tail, raw=raw)
    return [] if isinstance(found, DiskHeader) else found


def _fill(image: GivenImage, buffer: bytearray) -> int:
    view, size = memoryview(buffer), 0
    while size < len(buffer) and (read := image.readinto(view[size:])):
        size += read
    return size


def _write(file: int, buffer: bytearray, size: int, offset: int) -> None:
    """Write the runs of pieces that are not all zeros."""
    view, start = memoryview(buffer)[:size], 0
    for at in range(0, size, _PIECE):
        end = min(at + _PIECE, size)
        if buffer.startswith(_ZEROS[: end - at], at):
            _write_all(file, view[start:at], offset + start)
            start = end
    _write_all(file, view[start:], offset + start)


def _write_all(file: int, data: memoryview, offset: int) -> None:
    while data:
        written = os.pwrite(file, data, offset)
        data, offset = data[written:], offset + written


def _damage(file: int, size: int, header: qcow2.Header) -> str:
    tables = qcow2.l2_tables(os.pread(file, header.l1_size * 8, header.l1_offset))
    if tables is None:
        return "it is damaged: two parts of its disk are one part of the file"
    for index, at in enumerate(tables):
        if not at:
            continue
        if at % header.cluster or at + header.cluster > size:
            return "it is cut off: an L2 table would lie beyond its end"
        if qcow2.end_of_clusters(header, index, os.pread(file, header.cluster, at)) > size:
            return "it is cut off: a part of its disk would lie beyond its end"
    return ""
