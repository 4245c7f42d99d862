"""The micro guest: a kernel and an initrd made of Debian packages, up in two seconds under TCG."""

from collections.abc import Callable
from pathlib import Path

from provisioner.host.image import built
from provisioner.host.image.built import BuiltImage
from provisioner.host.system import paths


def find(cache: Path) -> BuiltImage | None:
    """Return the newest image for the recipe of this vmnet, None when there is none; cheap."""
    return built.find(cache, "micro", "micro")


def installed() -> BuiltImage | None:
    """Return the image of this user's cache, or else of root's; None when there is none."""
    return find(paths.cache()) or find(paths.shared_cache())


def build(cache: Path, tell: Callable[[str], None]) -> BuiltImage:
    """Return the image of the current recipe and package versions, building it if need be."""
    from provisioner.host.image.micro.builder import MicroBuilder

    return MicroBuilder(cache, tell, "micro").build()


def take_in(given: Path, cache: Path, tell: Callable[[str], None]) -> BuiltImage:
    """Return the image that was built elsewhere, in the cache now. Raises VmnetError."""
    from provisioner.host.image.micro.builder import MicroBuilder

    return MicroBuilder(cache, tell, "micro").take_in(given)
