"""Say what a built micro image is, and find it again."""

import json
from dataclasses import dataclass
from pathlib import Path

from provisioner.host.image import build_dir
from provisioner.host.image.micro import recipe

_DIGITS = 12
MANIFEST = "manifest.json"


@dataclass(frozen=True, slots=True)
class Image:
    """A kernel and an initrd that make a guest without any disk.

    `digest` is the hash of both files and the command line; `cmdline` is what the kernel is to be
    told at least.
    """

    kernel: Path
    initrd: Path
    cmdline: str
    digest: str
    min_memory_mib: int


def find(cache: Path) -> Image | None:
    """Give the newest image built for the recipe of this vmnet, None when there is none.

    Cheap (a few ms: no apt, no hashing of the image). An image whose files are gone, or do not have
    the recorded sizes, is not found.
    """
    for folder in build_dir.newest_first(cache, _prefix(recipe.digest())):
        if image := load(folder):
            return image
    return None


def folder_name(recipe_digest: str, packages_digest: str) -> str:
    """Name the folder of an image after all that it depends on."""
    return f"{_prefix(recipe_digest)}{packages_digest[:_DIGITS]}"


def load(folder: Path) -> Image | None:
    """Read a built image; None when it is not whole."""
    try:
        told = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        kernel, initrd = told["kernel"], told["initrd"]
        for file in (kernel, initrd):
            if (folder / file["name"]).stat().st_size != file["size"]:
                return None
        return Image(
            kernel=folder / kernel["name"],
            initrd=folder / initrd["name"],
            cmdline=told["cmdline"],
            digest=told["digest"],
            min_memory_mib=told["min_memory_mib"],
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _prefix(recipe_digest: str) -> str:
    return f"micro-{recipe_digest[:_DIGITS]}-"
