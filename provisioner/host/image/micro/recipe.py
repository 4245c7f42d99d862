"""Read recipe.toml and the files of our own that go into the image."""

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from provisioner.host.image import build_dir

_PACKAGE = Path(str(files("provisioner")))
_FOLDER = _PACKAGE / "images" / "micro"
_BUILDER = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Recipe:
    """What goes into the image, as recipe.toml tells it."""

    kernel_package: str
    packages: tuple[str, ...]
    programs: tuple[str, ...]
    busybox: str
    modules: tuple[str, ...]
    folders: tuple[str, ...]
    links: dict[str, str]
    cmdline: str
    min_memory_mib: int


def read() -> Recipe:
    """Read recipe.toml of the installed package."""
    import tomllib

    told = tomllib.loads((_FOLDER / "recipe.toml").read_text(encoding="utf-8"))
    guest = told["guest"]
    return Recipe(
        kernel_package=told["kernel"]["package"],
        packages=tuple(told["packages"]["names"]),
        programs=tuple(told["packages"]["programs"]),
        busybox=told["packages"]["busybox"],
        modules=tuple(told["kernel"]["modules"]),
        folders=tuple(guest["folders"]),
        links=dict(guest["links"]),
        cmdline=" ".join(told["kernel"]["cmdline"]),
        min_memory_mib=guest["min_memory_mib"],
    )


def rootfs() -> dict[str, bytes]:
    """Give our own files by their path in the guest."""
    root = _FOLDER / "rootfs"
    return {
        str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()
    }


def digest() -> str:
    """Hash everything of ours that the image depends on: recipe, files, this builder's source.

    It reads a few small files and parses nothing, because every `vmnet up` asks.
    """
    return build_dir.digest_of_files((_FOLDER, "*"), (_BUILDER, "*.py"))
