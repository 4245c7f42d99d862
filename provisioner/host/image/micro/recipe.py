"""Read recipe.toml and the files of our own that go into the image."""

from dataclasses import dataclass

from provisioner.host.image import built


@dataclass(frozen=True, slots=True)
class MicroRecipe:
    """What goes into the image, as in recipe.toml."""

    kernel_package: str
    packages: tuple[str, ...]
    programs: tuple[str, ...]
    busybox: str
    modules: tuple[str, ...]
    folders: tuple[str, ...]
    links: dict[str, str]
    cmdline: str
    min_memory_mib: int


def read() -> MicroRecipe:
    """Read recipe.toml of the installed package."""
    found = built.read_recipe("micro")
    kernel, packages, guest = found["kernel"], found["packages"], found["guest"]
    return MicroRecipe(
        kernel_package=kernel["package"],
        packages=tuple(packages["names"]),
        programs=tuple(packages["programs"]),
        busybox=packages["busybox"],
        modules=tuple(kernel["modules"]),
        folders=tuple(guest["folders"]),
        links=dict(guest["links"]),
        cmdline=" ".join(kernel["cmdline"]),
        min_memory_mib=guest["min_memory_mib"],
    )


def rootfs() -> dict[str, bytes]:
    """Return our own files by their path in the guest."""
    root = built.recipe_folder("micro") / "rootfs"
    return {
        str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()
    }
