"""Read recipe.toml of the Debian image; its hooks and files are found beside it."""

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from provisioner.host import buildrooms

FOLDER = Path(str(files("provisioner"))) / "images" / "debian"
HOOKS = FOLDER / "hooks"
ROOTFS = FOLDER / "rootfs"
_BUILDER = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Recipe:
    """What the image is made of, as recipe.toml tells it.

    `left_out` are patterns of paths that are never unpacked, `masked` are systemd's units that no
    guest starts.
    """

    suite: str
    title: str
    user: str
    min_memory_mib: int
    packages: tuple[str, ...]
    left_out: tuple[str, ...]
    size_mib: int
    esp_mib: int
    cmdline: str
    masked: tuple[str, ...]


def read() -> Recipe:
    """Read recipe.toml of the installed package."""
    import tomllib

    told = tomllib.loads((FOLDER / "recipe.toml").read_text(encoding="utf-8"))
    return Recipe(
        suite=told["suite"],
        title=told["title"],
        user=told["user"],
        min_memory_mib=told["min_memory_mib"],
        packages=tuple(told["packages"]["names"]),
        left_out=tuple(told["packages"]["left_out"]),
        size_mib=told["disk"]["size_mib"],
        esp_mib=told["disk"]["esp_mib"],
        cmdline=" ".join(told["kernel"]["cmdline"]),
        masked=tuple(told["units"]["masked"]),
    )


def digest() -> str:
    """Hash everything of ours that the image depends on: recipe, files, hooks, this builder."""
    return buildrooms.digest_of_files((FOLDER, "*"), (_BUILDER, "*.py"))
