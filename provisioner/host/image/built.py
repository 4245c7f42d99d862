"""A built image in the cache: a folder named after all that it depends on, and its manifest."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from provisioner.errors import VmnetError
from provisioner.host.image import build_dir, packages
from provisioner.host.image.packages import Package
from provisioner.image.traits import FirmwareName, ImageTraits

MANIFEST = "manifest.json"
_DIGITS = 12
_FOLDERS = Path(str(files("provisioner"))) / "images"


@dataclass(frozen=True, slots=True)
class BuiltImage(ImageTraits):
    """A kernel, an initrd and for some a qcow2 disk without a backing file, which have them too.

    `digest` is the SHA-256 of the disk, else that of both files and the command line. `boot` names
    the firmwares that start it from the disk alone, `user` may log in there by ssh and use sudo.
    """

    boot: tuple[FirmwareName, ...] = ()
    agent: bool = True
    digest: str = ""
    disk: str = ""  # "" for none

    @property
    def folder(self) -> Path:
        """Return where it lies."""
        return Path(self.kernel).parent


def recipe_folder(kind: str) -> Path:
    """Return the folder of a kind of image: its recipe.toml, and the files that go into it."""
    return _FOLDERS / kind


def read_recipe(kind: str) -> dict[str, Any]:
    """Return the recipe.toml of a kind of image."""
    import tomllib

    return tomllib.loads((recipe_folder(kind) / "recipe.toml").read_text(encoding="utf-8"))


def recipe_digest(kind: str) -> str:
    """Hash everything of ours that an image depends on: recipe, files, its builder's source.

    It reads a few small files and parses nothing, because every `vmnet up` calls it.
    """
    here = Path(__file__).parent
    sources = ((recipe_folder(kind), "*"), (here / kind, "*.py"), (here, "packages.py"))
    return build_dir.digest_of_files(*sources)


def folder_name(kind: str, name: str, wanted: Iterable[Package]) -> str:
    """Return the name of an image's folder: of its recipe, and of its packages' versions."""
    return f"{_prefix(kind, name)}{packages.digest(wanted)[:_DIGITS]}"


def find(cache: Path, kind: str, name: str) -> BuiltImage | None:
    """Return the newest image of that name built for the recipe of this vmnet, None without one.

    Cheap (a few ms: no apt, no hashing of the image). An image whose files are gone, or do not have
    the recorded sizes, is not found.
    """
    found = build_dir.newest_first(cache, _prefix(kind, name))
    return next((image for folder in found if (image := load(folder))), None)


def load(folder: Path) -> BuiltImage | None:
    """Read a built image; None when it is not whole."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        keys = ("kernel", "initrd", *(["disk"] if "disk" in manifest else []))
        parts = {key: manifest[key] for key in keys}
        if any((folder / p["name"]).stat().st_size != p["size"] for p in parts.values()):
            return None
        traits: dict[str, Any] = {
            **{key: str(folder / part["name"]) for key, part in parts.items()},
            **{key: manifest[key] for key in ("user", "agent") if key in manifest},
            "boot": tuple(manifest.get("boot", ())),
        }
        return BuiltImage(
            cmdline=manifest["cmdline"],
            min_memory_mib=manifest["min_memory_mib"],
            digest=parts["disk"]["sha256"] if "disk" in parts else manifest["digest"],
            **traits,
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def finish(
    made: Path, final: Path, parts: Mapping[str, str], wanted: Iterable[Package], **traits: object
) -> None:
    """Write the manifest of the files in `made`, and let the folder appear as `final`."""
    on_disk = {key: build_dir.synced(made / name) for key, name in parts.items()}
    manifest = {
        **on_disk,
        "digest": build_dir.digest(f"{on_disk}{traits['cmdline']}"),
        **traits,
        "packages": {package.name: package.version for package in wanted},
    }
    (made / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    build_dir.synced(made / MANIFEST)
    build_dir.put_in_place(made, final)


def up_to_date(final: Path, what: str, tell: Callable[[str], None]) -> BuiltImage | None:
    """Return the image that was built before, if it was."""
    found = load(final)
    if found:
        tell(f"{what} is up to date: {final}")
    return found


def require(final: Path, what: str, tell: Callable[[str], None]) -> BuiltImage:
    """Return the image that was built just now. Raises VmnetError when it is damaged."""
    found = load(final)
    if not found:
        raise VmnetError(f"the image in {final} was damaged as it was built", fix="build it again")
    tell(f"built {what}: {final}")
    return found


def _prefix(kind: str, name: str) -> str:
    return f"{name}-{recipe_digest(kind)[:_DIGITS]}-"
