"""A Debian guest with cloud-init: a disk for BIOS and UEFI, its kernel and initrd beside it."""

from collections.abc import Callable, Sequence
from pathlib import Path

from provisioner.host.image import built
from provisioner.host.image.built import BuiltImage
from provisioner.host.image.debian.recipe import own_name

__all__ = ["BuiltImage", "build", "find", "own_name"]


def find(cache: Path, name: str) -> BuiltImage | None:
    """Return the newest image of that name for the recipe of this vmnet, None without one."""
    return built.find(cache, "debian", name)


def build(
    cache: Path, tell: Callable[[str], None], name: str, mirrors: Sequence[str] = ()
) -> BuiltImage:
    """Return the image of the current recipe and package versions, building it if need be.

    See provisioner.host.image.debian.builder; its imports are paid only by those who build.
    """
    from provisioner.host.image.debian.builder import build as really_build

    return really_build(cache, tell, name, mirrors)
