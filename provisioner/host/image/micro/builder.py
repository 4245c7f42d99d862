"""Build the micro image from Debian's packages, once for a recipe and a set of versions."""

from collections.abc import Callable
from pathlib import Path

from provisioner.errors import VmnetError
from provisioner.host.image import built, packages
from provisioner.host.image.build_dir import BuildDir
from provisioner.host.image.built import BuiltImage
from provisioner.host.image.micro import bzimage, initrd, recipe
from provisioner.host.image.packages import Package

_NEEDED_MIB = 256  # the packages, unpacked, and the image made of them
_WHAT = "the micro image"


def build(cache: Path, tell: Callable[[str], None]) -> BuiltImage:
    """Return the image of the current recipe and package versions, building it if need be.

    Needs apt, its package lists and the network, but not root. Several may build at once: one
    does, the others wait and find it. Raises VmnetError when the host cannot; nothing is left then.
    """
    packages.require(_WHAT)
    parts = recipe.read()
    place = BuildDir(cache, "micro", _WHAT, _NEEDED_MIB)
    with place.locked(tell):
        kernel_name, names = packages.closure(parts.kernel_package, parts.packages)
        wanted = packages.candidates([kernel_name, *names])
        final = place.images / built.folder_name("micro", "micro", wanted)
        if there := built.up_to_date(final, _WHAT, tell):
            return there
        with place.work_folder() as folder:
            tell(f"fetching {len(wanted)} Debian packages for {_WHAT}")
            roots = _unpacked(wanted, folder)
            tell("packing the kernel and the initrd")
            out = folder / "image"
            out.mkdir(mode=0o755)
            kernel = roots.pop(kernel_name)
            archive = initrd.assemble(parts, recipe.rootfs(), kernel, list(roots.values()))
            (out / "initrd").write_bytes(archive)
            files = {"kernel": _kernel(kernel, out, tell), "initrd": "initrd"}
            traits = {"cmdline": parts.cmdline, "min_memory_mib": parts.min_memory_mib}
            built.finish(out, final, files, wanted, **traits)
    return built.require(final, _WHAT, tell)


def _unpacked(wanted: list[Package], folder: Path) -> dict[str, Path]:
    roots = {}
    for package, deb in zip(wanted, packages.fetch(wanted, folder), strict=True):
        roots[package.name] = folder / "root" / package.name
        packages.unpack(deb, roots[package.name])
        deb.unlink()
    return roots


def _kernel(package: Path, out: Path, tell: Callable[[str], None]) -> str:
    found = sorted((package / "boot").glob("vmlinuz-*"))
    if not found:
        raise VmnetError("the kernel package has no boot/vmlinuz", fix="run apt-get update")
    content, name = found[0].read_bytes(), "vmlinux"
    try:
        content = bzimage.vmlinux(content)
    except VmnetError as error:
        tell(f"{error.what}: guests will boot it as it is, about 0.4 s slower")
        name = "vmlinuz"
    (out / name).write_bytes(content)
    return name
