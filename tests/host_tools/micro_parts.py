"""What the tests of the micro image need: a built image, and what lies in its initrd."""

import functools
import os
from pathlib import Path

from provisioner.host.image import micro
from provisioner.host.image.built import BuiltImage


def cache() -> Path:
    return Path(os.environ.get("VMNET_CACHE_DIR", "/var/cache/vmnet"))


def image() -> BuiltImage:
    """The image of the current recipe, built when nobody has yet."""
    return micro.find(cache()) or micro.build(cache(), print)


@functools.cache
def files(archive: str) -> dict[str, tuple[int, bytes]]:
    """Mode and content of everything in an initrd, by its name."""
    return unpacked(Path(archive).read_bytes())


def unpacked(packed: bytes) -> dict[str, tuple[int, bytes]]:
    found: dict[str, tuple[int, bytes]] = {}
    at = 0
    while True:
        header = [int(packed[at + 6 + 8 * i : at + 14 + 8 * i], 16) for i in range(13)]
        mode, size, name_size = header[1], header[6], header[11]
        name = packed[at + 110 : at + 110 + name_size - 1].decode()
        if name == "TRAILER!!!":
            return found
        data = at + (110 + name_size + 3) // 4 * 4
        found[name] = (mode, packed[data : data + size])
        at = (data + size + 3) // 4 * 4
