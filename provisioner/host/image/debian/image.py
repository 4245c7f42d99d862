"""Say what a built Debian image is, and find it again."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from provisioner.host.image import build_dir
from provisioner.host.image.debian import recipe

MANIFEST = "manifest.json"
_DIGITS = 12


@dataclass(frozen=True, slots=True)
class Built:
    """A qcow2 disk without a backing file, and the kernel and initrd that are on it, too.

    `boot` names the firmwares that start it from the disk alone. `cmdline` is what the kernel is to
    be told when it is started without the disk's boot loader. `digest` is the SHA-256 of the disk.
    `user` may log in by ssh once cloud-init has given it a key, and may use sudo. `agent` tells
    that the QEMU guest agent runs in it.
    """

    path: Path
    kernel: Path
    initrd: Path
    cmdline: str
    digest: str
    boot: tuple[Literal["bios", "uefi"], ...]
    user: str
    min_memory_mib: int
    agent: bool


def find(cache: Path, name: str) -> Built | None:
    """Give the newest image of that name built for the recipe of this vmnet, None without one.

    Cheap: no apt, no hashing. An image whose files are gone, or do not have the recorded sizes, is
    not found.
    """
    for folder in build_dir.newest_first(cache, _prefix(name, recipe.digest())):
        if image := load(folder):
            return image
    return None


def folder_name(name: str, recipe_digest: str, packages_digest: str) -> str:
    """Name the folder of an image after all that it depends on."""
    return f"{_prefix(name, recipe_digest)}{packages_digest[:_DIGITS]}"


def load(folder: Path) -> Built | None:
    """Read a built image; None when it is not whole."""
    try:
        told = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        files = {which: folder / told[which]["name"] for which in ("disk", "kernel", "initrd")}
        if any(path.stat().st_size != told[which]["size"] for which, path in files.items()):
            return None
        return Built(
            path=files["disk"],
            kernel=files["kernel"],
            initrd=files["initrd"],
            cmdline=told["cmdline"],
            digest=told["disk"]["sha256"],
            boot=tuple(told["boot"]),
            user=told["user"],
            min_memory_mib=told["min_memory_mib"],
            agent=told["agent"],
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _prefix(name: str, recipe_digest: str) -> str:
    return f"{name}-{recipe_digest[:_DIGITS]}-"
