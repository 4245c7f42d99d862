"""The micro guest: a kernel and an initrd made of Debian packages, up in two seconds under TCG."""

from collections.abc import Callable
from pathlib import Path

from provisioner.host.image.micro.image import Image, find

__all__ = ["Image", "build", "find"]


def build(cache: Path, say: Callable[[str], None]) -> Image:
    """Give the image of the current recipe and package versions, building it when there is none.

    See provisioner.host.micro.builder; its imports are paid only by those who build.
    """
    from provisioner.host.image.micro.builder import build as really_build

    return really_build(cache, say)
