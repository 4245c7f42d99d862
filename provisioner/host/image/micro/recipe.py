"""Read recipe.toml and the files of our own that go into the image."""

from provisioner.dataclass import dataclass
from provisioner.host.image import built


@dataclass(frozen=True, slots=True)
class MicroRecipe:
    """What goes into the image, as in recipe.toml."""

    kernel_package: str
    modules: list[str]
    cmdline: list[str]
    packages: list[str]
    busybox: str
    programs: list[str]
    min_memory_mib: int
    folders: list[str]
    links: dict[str, str]


def read() -> MicroRecipe:
    """Read recipe.toml of the installed package."""
    return MicroRecipe(**built.read_recipe("micro"))


def rootfs() -> dict[str, bytes]:
    """Return our own files by their path in the guest."""
    root = built.recipe_folder("micro") / "rootfs"
    return {
        str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()
    }
