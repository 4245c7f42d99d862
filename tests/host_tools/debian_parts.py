"""The Debian image that its tests look at and boot: built once, as the micro image is."""

import os
from pathlib import Path

from provisioner.host.image import built
from provisioner.host.image.built import BuiltImage
from provisioner.host.image.debian import recipe
from provisioner.host.image.debian.builder import DebianBuilder

NAME = recipe.own_name()  # of the release that the tests run on


def cache() -> Path:
    return Path(os.environ.get("VMNET_CACHE_DIR", "/var/cache/vmnet"))


def image() -> BuiltImage:
    """The image of this host's release and the current recipe, built when nobody has yet."""
    found = built.find(cache(), "debian", NAME)
    return found or DebianBuilder(cache(), print, NAME).build()
