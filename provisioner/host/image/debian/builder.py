"""Build the Debian image from the packages of the host's own mirror, without a loop device."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from provisioner.errors import VmnetError
from provisioner.host.image.builder import ImageBuilder
from provisioner.host.image.built import BuiltImage
from provisioner.host.image.debian import archive, disk, layout, recipe
from provisioner.host.image.debian.archive import Archive
from provisioner.host.image.debian.layout import Layout
from provisioner.host.image.packages import Package
from provisioner.host.system import programs

_TOOLS = {
    "mmdebstrap": "mmdebstrap",
    "mcopy": "mtools",
    "mkfs.vfat": "dosfstools",
    "syslinux": "syslinux",
    "sfdisk": "fdisk",
    "mke2fs": "e2fsprogs",
    "qemu-img": "qemu-utils",
    "unshare": "util-linux",
    "setpriv": "util-linux",
}


class DebianBuilder(ImageBuilder):
    """Builds a Debian image; needs apt, the mirror and root.

    Its packages come from `mirrors`, addresses of Debian archives, or without any from the sources
    of that release that the host's apt has lists of.
    """

    KIND = "debian"
    NEEDED_MIB = 2048  # the packages, unpacked, the disk made of them, and its qcow2

    _source: Archive

    def __init__(
        self, cache: Path, tell: Callable[[str], None], name: str, mirrors: Sequence[str] = ()
    ) -> None:
        super().__init__(cache, tell, name)
        self._recipe = recipe.read(name)
        self._mirrors = mirrors

    def require(self) -> None:
        """Raise VmnetError when this host cannot build the image, with all that is missing."""
        super().require()
        missing = {package for tool, package in _TOOLS.items() if not programs.is_installed(tool)}
        try:
            disk.boot_code()
        except OSError:
            missing.add("syslinux-common")
        if missing:
            raise VmnetError(
                f"{self.what} is made with programs that are not installed",
                fix=f"apt-get install {' '.join(sorted(missing))}",
            )
        if os.geteuid() != 0:
            raise VmnetError(
                f"only root can build {self.what}: its packages are installed in a folder of their"
                " own",
                fix=f"sudo vmnet image build {self.name}",
            )

    def versions(self, folder: Path) -> list[Package]:
        """Return what an empty machine would get now, by lists that `make` goes on with."""
        self.require_space()
        if self._mirrors:
            self._source = archive.fetched(self._recipe, self._mirrors, folder)
        else:
            self._source = archive.of(self._recipe)
        return archive.versions(self._source, self._recipe.packages, folder)

    def make(self, folder: Path, wanted: list[Package], out: Path, final: str) -> BuiltImage:
        """Install the packages on a disk, which both firmwares can start."""
        self.tell(f"installing {len(wanted)} Debian packages for {self.what}: about a minute")
        parts = self._recipe
        plan = Layout(parts.size_mib, parts.esp_mib, final)
        raw = folder / "disk.raw"
        disk.blank(raw, plan)
        disk.install(parts, self._source, plan, folder, out, raw)
        self.tell("writing its boot loaders")
        root = f"root=UUID={plan.uuid('root')}"  # wherever the disk is attached
        cmdline = " ".join([root, *parts.cmdline])
        disk.fill_esp(raw, plan, folder, out, layout.loader_files(parts.title, cmdline))
        disk.to_qcow2(raw, out / "disk.qcow2")
        return BuiltImage(
            disk="disk.qcow2",
            kernel="vmlinuz",
            initrd="initrd",
            cmdline=cmdline,
            boot=("bios", "uefi"),
            user=parts.user,
            min_memory_mib=parts.min_memory_mib,
        )
