"""Read recipe.toml of the Debian image; its hooks and files are found beside it."""

from pathlib import Path

from provisioner.dataclass import dataclass
from provisioner.host.image import built

HOOKS = built.recipe_folder("debian") / "hooks"
ROOTFS = built.recipe_folder("debian") / "rootfs"


@dataclass(frozen=True, slots=True)
class DebianRecipe:
    """What an image is made of, as in recipe.toml: `name` is the image's, `suite` Debian's.

    `left_out` are patterns of paths that are never unpacked, `masked` are systemd's units that no
    guest starts.
    """

    name: str
    suite: str
    user: str
    min_memory_mib: int
    size_mib: int
    esp_mib: int
    cmdline: list[str]
    packages: list[str]
    left_out: list[str]
    masked: list[str]

    @property
    def title(self) -> str:
        """Return how the boot menu calls it."""
        return self.name.replace("debian-", "Debian ")


def suites() -> dict[str, str]:
    """Return the suite of each image that there is a recipe for, by the image's name."""
    return dict(built.read_recipe("debian")["suites"])


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


def read(name: str) -> DebianRecipe:
    """Read the recipe of one image, by its name, from recipe.toml of the installed package."""
    found = built.read_recipe("debian")
    suite = found.pop("suites")[name]
    for key, more in found.pop("of").get(name, {}).items():
        found[key] += more
    return DebianRecipe(name=name, suite=suite, **found)
