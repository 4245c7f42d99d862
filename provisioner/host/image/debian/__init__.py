"""A Debian guest with cloud-init: a disk for BIOS and UEFI, its kernel and initrd beside it."""

from collections.abc import Callable, Sequence
from pathlib import Path

from provisioner.host.image.debian.image import Built, find
from provisioner.host.image.debian.recipe import own_name

__all__ = ["Built", "build", "find", "own_name"]


def build(cache: Path, say: Callable[[str], None], name: str, mirrors: Sequence[str] = ()) -> Built:
    """Give the image of the current recipe and package versions, building it when there is none.

    See provisioner.host.debian.builder; its imports are paid only by those who build.
    """
    from provisioner.host.image.debian.builder import build as really_build

    return really_build(cache, say, name, mirrors)
