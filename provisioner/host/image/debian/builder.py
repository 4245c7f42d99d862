"""Build the Debian image from the packages of the host's own mirror, without a loop device."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from provisioner.errors import VmnetError
from provisioner.host.image import built, packages
from provisioner.host.image.build_dir import BuildDir
from provisioner.host.image.built import BuiltImage
from provisioner.host.image.debian import archive, disk, installation, layout, recipe
from provisioner.host.image.debian.layout import Layout
from provisioner.host.system import programs

_NEEDED_MIB = 2048  # the packages, unpacked, the disk made of them, and its qcow2
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


def build(
    cache: Path, tell: Callable[[str], None], name: str, mirrors: Sequence[str] = ()
) -> BuiltImage:
    """Return the image of the current recipe and package versions, building it if need be.

    Its packages come from `mirrors`, addresses of Debian archives, or without any from the sources
    of that release that the host's apt has lists of. Needs apt, the mirror and root.
    Several may build at once: one does, the others wait and find it.
    Raises VmnetError when the host cannot; nothing is left then.
    """
    what = f"the {name} image"
    _require_tools(name, what)
    parts = recipe.read(name)
    source = None if mirrors else archive.of(parts)
    place = BuildDir(cache, name, what, _NEEDED_MIB)
    with place.locked(tell), place.work_folder() as folder:
        source = source or archive.fetched(parts, mirrors, folder)
        wanted = archive.versions(source, parts.packages, folder)
        final = place.images / built.folder_name("debian", name, wanted)
        if there := built.up_to_date(final, what, tell):
            return there
        tell(f"installing {len(wanted)} Debian packages for {what}: about a minute")
        plan = Layout(parts.size_mib, parts.esp_mib, final.name)
        raw = folder / "disk.raw"
        disk.blank(raw, plan)
        made = installation.install(parts, source, plan, folder, raw)
        tell("writing its boot loaders")
        cmdline = layout.cmdline(plan, parts.cmdline)
        disk.fill_esp(raw, plan, folder, made, layout.loader_files(parts.title, cmdline))
        disk.to_qcow2(raw, made / "disk.qcow2")
        built.finish(
            made,
            final,
            {"disk": "disk.qcow2", "kernel": "vmlinuz", "initrd": "initrd"},
            wanted,
            cmdline=cmdline,
            boot=["bios", "uefi"],
            user=parts.user,
            min_memory_mib=parts.min_memory_mib,
            agent=True,
        )
    return built.require(final, what, tell)


def _require_tools(name: str, what: str) -> None:
    """Raise VmnetError when this host cannot build the image, with all that is missing."""
    packages.require(what)
    missing = {package for tool, package in _TOOLS.items() if not programs.is_installed(tool)}
    try:
        disk.boot_code()
    except OSError:
        missing.add("syslinux-common")
    if missing:
        raise VmnetError(
            f"{what} is made with programs that are not installed",
            fix=f"apt-get install {' '.join(sorted(missing))}",
        )
    if os.geteuid() != 0:
        raise VmnetError(
            f"only root can build {what}: its packages are installed in a folder of their own",
            fix=f"sudo vmnet image build {name}",
        )
