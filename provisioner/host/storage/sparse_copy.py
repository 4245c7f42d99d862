"""Copies of files with holes in them, whose names are not known to anybody yet."""

import errno
import fcntl
import os
from pathlib import Path
from typing import Final

_FICLONE: Final = 0x40049409  # linux/fs.h: _IOW(0x94, 9, int)
_PIECE: Final = 1 << 20


def copy(source: Path, to: Path) -> None:
    """Copy a regular file, its holes as holes, for its owner's eyes only; `to` must not be there.

    On a file system that can, both share their blocks. Raises OSError.
    """
    handle = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        made = os.open(to, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        try:
            try:
                fcntl.ioctl(made, _FICLONE, handle)
            except OSError:
                _copy_data(handle, made)
        finally:
            os.close(made)
    finally:
        os.close(handle)


def _copy_data(source: int, to: int) -> None:
    size, at = os.fstat(source).st_size, 0
    os.ftruncate(to, size)
    while at < size:
        try:
            at = os.lseek(source, at, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # a hole to the end
                return
            raise
        end = os.lseek(source, at, os.SEEK_HOLE)
        while at < end:
            data = os.pread(source, min(_PIECE, end - at), at)
            if not data:
                return
            written = 0
            while written < len(data):
                written += os.pwrite(to, data[written:], at + written)
            at += len(data)


def sync(path: Path) -> None:
    """Write a file, or the names in a folder, to the disk. Raises OSError."""
    opened = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
