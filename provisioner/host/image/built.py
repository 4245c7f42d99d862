"""A built image in the cache: a folder named after all that it depends on, and its manifest."""

import errno
import hashlib
import json
import os
import re
import shlex
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from provisioner.dataclass import dataclass
from provisioner.errors import Exit, VmnetError
from provisioner.host.image import packages
from provisioner.host.image.packages import Package
from provisioner.host.system import file_errors
from provisioner.host.system.whole_files import sync
from provisioner.image.traits import FirmwareName, ImageTraits

_MANIFEST = "manifest.json"
_FILES = ("disk", "kernel", "initrd")
_TRAITS = ("cmdline", "boot", "user", "min_memory_mib", "agent")
_DIGITS = 12
_FOLDERS = Path(__file__).parents[2] / "images"


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
        """Return the folder that it is in."""
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
    hashed = hashlib.sha256()
    sources = ((recipe_folder(kind), "*"), (here / kind, "*.py"), (here, "packages.py"))
    for folder, pattern in sources:
        for path in filter(Path.is_file, sorted(folder.rglob(pattern))):
            content = path.read_bytes()
            hashed.update(f"{path.relative_to(folder)}\0{len(content)}\0".encode() + content)
    return hashed.hexdigest()


def folder_name(kind: str, name: str, wanted: Iterable[Package]) -> str:
    """Return the name of an image's folder: of its recipe, and of its packages' versions."""
    return f"{_prefix(kind, name)}{packages.digest(wanted)[:_DIGITS]}"


def find(cache: Path, kind: str, name: str) -> BuiltImage | None:
    """Return the newest image of that name built for the recipe of this vmnet, None without one.

    Cheap (a few ms: no apt, no hashing of the image). An image whose files are gone, or do not have
    the recorded sizes, is not found.
    """
    folders = (cache / "images").glob(f"{_prefix(kind, name)}*")
    newest_first = sorted(
        folders, key=lambda folder: (folder.stat().st_mtime_ns, folder.name), reverse=True
    )
    return next((image for folder in newest_first if (image := load(folder))), None)


def load(folder: Path) -> BuiltImage | None:
    """Read a built image; None when it is not whole."""
    try:
        manifest = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
        parts = {key: manifest[key] for key in _FILES if key != "disk" or key in manifest}
        if any((folder / part["name"]).stat().st_size != part["size"] for part in parts.values()):
            return None
        traits: dict[str, Any] = {key: manifest[key] for key in _TRAITS if key in manifest}
        traits |= {key: str(folder / part["name"]) for key, part in parts.items()}
        traits["boot"] = tuple(manifest.get("boot", ()))
        digest = parts["disk"]["sha256"] if "disk" in parts else manifest["digest"]
        return BuiltImage(digest=digest, **traits)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def verify(folder: Path) -> None:
    """Hash the files of a built image anew. Raises VmnetError when one is not what was built."""
    try:
        manifest = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
        for part in (manifest[key] for key in _FILES if key != "disk" or key in manifest):
            with (folder / part["name"]).open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
            if found != part["sha256"]:
                raise _changed(folder, f"{part['name']} has changed: its SHA-256 is {found}")
    except OSError as error:
        raise _changed(folder, f"{error.filename} cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise _changed(folder, f"its {_MANIFEST} is damaged") from error


def _changed(folder: Path, what: str) -> VmnetError:
    return VmnetError(
        f"the image in {folder}: {what}",
        fix=f"delete it (rm -r {shlex.quote(str(folder))}); the next up builds it",
        status=Exit.CHECK_FAILED,
    )


def put_in_place(image: BuiltImage, wanted: Iterable[Package], made: Path, final: Path) -> None:
    """Write the manifest of the image in `made`, and let the whole folder appear as `final`.

    The paths in `image` are names in that folder. A damaged image called `final` gives way.
    """
    names = {key: getattr(image, key) for key in _FILES}
    on_disk = {key: _synced(made / name) for key, name in names.items() if name}
    manifest = {
        **on_disk,
        "digest": hashlib.sha256(f"{on_disk}{image.cmdline}".encode()).hexdigest(),
        **{key: getattr(image, key) for key in _TRAITS},
        "packages": {package.name: package.version for package in wanted},
    }
    (made / _MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    _synced(made / _MANIFEST)
    made.chmod(0o755)
    sync(made)
    if final.exists():
        final.rename(made.parent / "damaged")
    made.rename(final)
    sync(final.parent)


def is_current(kind: str, name: str, folder: str) -> bool:
    """Return whether a folder's name is that of an image of this vmnet's recipe."""
    return bool(re.fullmatch(re.escape(_prefix(kind, name)) + f"[0-9a-f]{{{_DIGITS}}}", folder))


def copied(given: Path, to: Path) -> None:
    """Copy the files of a built image, which somebody else may have touched, into a new folder.

    They are followed nowhere else: no links, no names of other folders. Raises VmnetError when it
    is not what was built; `to` holds a part of it then.
    """
    try:
        text = _read(given / _MANIFEST)
        names = _names(json.loads(text))
        to.mkdir(mode=0o755)
        for name in names:
            (to / name).write_bytes(_read(given / name))
            _synced(to / name)
        (to / _MANIFEST).write_bytes(text)
        _synced(to / _MANIFEST)
        sync(to)
    except OSError as error:
        if error.errno in file_errors.FULL:
            raise
        raise _unfit(given, f"{error.filename} cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise _unfit(given, f"its {_MANIFEST} is damaged") from error
    try:
        verify(to)
    except VmnetError as error:
        raise _unfit(given, error.what.partition(": ")[2]) from error


def _unfit(given: Path, what: str) -> VmnetError:
    return VmnetError(
        f"the image in {given}: {what}",
        fix="build it there again: vmnet image build micro --output DIR",
        status=Exit.CHECK_FAILED,
    )


def _names(manifest: dict[str, Any]) -> list[str]:
    names = [manifest[key]["name"] for key in _FILES if key != "disk" or key in manifest]
    if not all(isinstance(name, str) and Path(name).name == name for name in names):
        raise ValueError(names)
    return names


def _read(path: Path) -> bytes:
    opened = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(opened, "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file", str(path))
        return file.read()


def _synced(path: Path) -> dict[str, str | int]:
    """Sync a written file to the disk, readable for all; return its entry in a manifest."""
    with path.open("rb") as stream:
        os.fchmod(stream.fileno(), 0o644)
        os.fsync(stream.fileno())
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return {"name": path.name, "size": path.stat().st_size, "sha256": digest}


def _prefix(kind: str, name: str) -> str:
    return f"{name}-{recipe_digest(kind)[:_DIGITS]}-"
