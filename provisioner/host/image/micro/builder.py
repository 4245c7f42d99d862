"""Build the micro image from Debian's packages, once for a recipe and a set of versions."""

from importlib.util import find_spec
from pathlib import Path

from provisioner.errors import VmnetError
from provisioner.host.image import packages
from provisioner.host.image.builder import ImageBuilder
from provisioner.host.image.built import BuiltImage
from provisioner.host.image.micro import bzimage, initrd, recipe
from provisioner.host.image.packages import Package

_BUILT_WITH = {"lz4": "lz4", "elftools": "pyelftools"}


class MicroBuilder(ImageBuilder):
    """Builds the micro image; needs apt, its package lists and the network, but not root."""

    KIND = "micro"
    NEEDED_MIB = 256  # the packages, unpacked, and the image made of them

    def require(self) -> None:
        """Raise VmnetError when this host, or this vmnet, lacks what it is built with."""
        super().require()
        if lacking := [package for name, package in _BUILT_WITH.items() if not find_spec(name)]:
            raise VmnetError(
                f"{self.what} is built with {' and '.join(lacking)}, which this vmnet lacks",
                fix="install them beside it: pip install 'vmnet-provisioner[micro]'",
            )

    def versions(self, folder: Path) -> list[Package]:  # noqa: ARG002  (apt needs none for this)
        """Return the packages that the host's apt would fetch now, with their libraries."""
        parts = recipe.read()
        kernel, names = packages.closure(parts.kernel_package, parts.packages)
        return packages.candidates([kernel, *names])

    def make(self, folder: Path, wanted: list[Package], out: Path, final: str) -> BuiltImage:  # noqa: ARG002
        """Unpack the packages and pack what the guest needs of them."""
        self.tell(f"fetching {len(wanted)} Debian packages for {self.what}")
        roots = {}
        for package, deb in zip(wanted, packages.fetch(wanted, folder), strict=True):
            roots[package.name] = folder / "root" / package.name
            packages.unpack(deb, roots[package.name])
            deb.unlink()
        self.tell("packing the kernel and the initrd")
        parts = recipe.read()
        kernel = roots.pop(next(name for name in roots if name.startswith("linux-image-")))
        archive = initrd.assemble(parts, recipe.rootfs(), kernel, list(roots.values()))
        (out / "initrd").write_bytes(archive)
        return BuiltImage(
            kernel=self._kernel(kernel, out),
            initrd="initrd",
            cmdline=" ".join(parts.cmdline),
            min_memory_mib=parts.min_memory_mib,
        )

    def _kernel(self, package: Path, out: Path) -> str:
        """Write the kernel of its unpacked package, as QEMU starts it best; return its name."""
        found = sorted((package / "boot").glob("vmlinuz-*"))
        if not found:
            raise VmnetError("the kernel package has no boot/vmlinuz", fix="run apt-get update")
        content, name = found[0].read_bytes(), "vmlinux"
        try:
            content = bzimage.vmlinux(content)
        except VmnetError as error:
            self.tell(f"{error.what}: guests will boot it as it is, about 0.4 s slower")
            name = "vmlinuz"
        (out / name).write_bytes(content)
        return name
