"""A store in a folder of the test's own, and images to put into it."""

import os
import struct
from pathlib import Path

from provisioner.errors import Complaints, VmnetError
from provisioner.host.image import source_file, store
from provisioner.image.digest import digest as parsed
from provisioner.image.record import Origin, Stored

MIB = 1 << 20


def nothing(*_: object) -> None:
    """Say nothing."""


def raw_disk(size: int, *, seed: bytes = b"") -> bytes:
    """A disk with a partition and bytes that do not compress, half of it a hole."""
    entry = struct.pack("<B3sB3sII", 0x80, b"", 0x83, b"", 1, size // 512 - 1)
    start = bytes(446) + entry + bytes(48) + b"\x55\xaa"
    data = (seed or os.urandom(1 << 16)) * (size >> 17)
    return (start + data).ljust(size, b"\0")[:size]


def add(
    folder: Path, file: Path, name: str = "a", digest: str = "", most: int = 64 * MIB
) -> Stored:
    """Import a file as `vmnet image import` does."""
    wanted = parsed(digest) if digest else None
    kind = wanted.algorithm if wanted else "sha256"
    with source_file.opened(file, kind, most) as given:
        return store.add(folder, given, Origin(name, str(file), digest=wanted), nothing, nothing)


def refusal(folder: Path, file: Path, digest: str = "", most: int = 64 * MIB) -> str:
    """Import a file that must be refused; what is said, and see that nothing is left of it."""
    try:
        add(folder, file, digest=digest, most=most)
    except Complaints as complaints:
        (error,) = complaints.errors
    except VmnetError as single:
        error = single
    else:
        raise AssertionError(f"{file} was taken")
    assert error.fix
    assert contents(folder) == []
    return error.what.replace(str(file), "FILE")


def contents(folder: Path) -> list[str]:
    """All that lies in a store, but its lock and its folder of names."""
    found = [path.name for path in folder.rglob("*")] if folder.is_dir() else []
    return sorted(set(found) - {"lock", "names"})
