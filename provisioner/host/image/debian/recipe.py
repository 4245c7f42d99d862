"""Read recipe.toml of the Debian image; its hooks and files are found beside it."""

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from provisioner.host.image import build_dir

FOLDER = Path(str(files("provisioner"))) / "images" / "debian"
HOOKS = FOLDER / "hooks"
ROOTFS = FOLDER / "rootfs"
_BUILDER = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Recipe:
    """What an image is made of, as recipe.toml tells it: `name` is the image's, `suite` Debian's.

    `left_out` are patterns of paths that are never unpacked, `masked` are systemd's units that no
    guest starts.
    """

    name: str
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


def suites() -> dict[str, str]:
    """Return the suite of each image that there is a recipe for, by the image's name."""
    return dict(_told()["releases"])


def own_name(os_release: Path = Path("/etc/os-release")) -> str:
    """Return the name of the image of the host's own release, else of the newest one.

    Source: os-release(5), VERSION_CODENAME.
    """
    try:
        lines = os_release.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    for name, suite in suites().items():
        if f"VERSION_CODENAME={suite}" in lines:
            return name
    return max(suites())


def read(name: str) -> Recipe:
    """Read the recipe of one image, by its name, from recipe.toml of the installed package."""
    told = _told()
    return Recipe(
        name=name,
        suite=told["releases"][name],
        title=name.replace("debian-", "Debian "),
        user=told["user"],
        min_memory_mib=told["min_memory_mib"],
        packages=(*told["packages"]["names"], *told["packages"]["of"].get(name, ())),
        left_out=tuple(told["packages"]["left_out"]),
        size_mib=told["disk"]["size_mib"],
        esp_mib=told["disk"]["esp_mib"],
        cmdline=" ".join(told["kernel"]["cmdline"]),
        masked=(*told["units"]["masked"], *told["units"]["masked_of"].get(name, ())),
    )


def _told() -> dict[str, Any]:
    import tomllib

    return tomllib.loads((FOLDER / "recipe.toml").read_text(encoding="utf-8"))


def digest() -> str:
    """Hash everything of ours that the image depends on: recipe, files, hooks, this builder."""
    return build_dir.digest_of_files((FOLDER, "*"), (_BUILDER, "*.py"))
