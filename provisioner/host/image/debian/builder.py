"""Build the Debian image from the packages of the host's own mirror, without a loop device."""

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from provisioner.errors import VmnetError
from provisioner.host.image import build_dir
from provisioner.host.image.build_dir import Room
from provisioner.host.image.debian import archive, disk, image, installation, layout, recipe
from provisioner.host.image.debian.image import Built
from provisioner.host.image.debian.layout import Layout
from provisioner.host.image.debian.recipe import Recipe
from provisioner.host.image.micro import packages
from provisioner.host.image.micro.packages import Package
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


def build(cache: Path, say: Callable[[str], None], name: str, mirrors: Sequence[str] = ()) -> Built:
    """Give the image of the current recipe and package versions, building it when there is none.

    Its packages come from `mirrors`, addresses of Debian archives, or without any from the sources
    of that release that the host's apt has lists of. Needs apt, the mirror and root.
    Several may build at once: one does, the others wait and find it.
    Raises VmnetError when the host cannot; nothing is left then.
    """
    what = f"the {name} image"
    demand(name)
    told = recipe.read(name)
    source = None if mirrors else archive.of(told)
    room = Room(cache, name, what, _NEEDED_MIB)
    with room.alone(say), room.workshop() as folder:
        source = source or archive.fetched(told, mirrors, folder)
        wanted = archive.versions(source, told.packages, folder)
        final = room.images / image.folder_name(name, recipe.digest(), packages.digest(wanted))
        if there := image.load(final):
            say(f"{what} is up to date: {final}")
            return there
        say(f"installing {len(wanted)} Debian packages for {what}: about a minute")
        plan = Layout(told.size_mib, told.esp_mib, final.name)
        raw = folder / "disk.raw"
        disk.blank(raw, plan)
        made = installation.install(told, source, plan, folder, raw)
        say("writing its boot loaders")
        cmdline = layout.cmdline(plan, told.cmdline)
        disk.fill_esp(raw, plan, folder, made, layout.loader_files(told.title, cmdline))
        disk.to_qcow2(raw, made / "disk.qcow2")
        _describe(made, told, cmdline, wanted)
        build_dir.put_in_place(made, final)
    done = image.load(final)
    if done is None:
        raise VmnetError(f"the image in {final} was damaged as it was built", fix="build it again")
    say(f"built {what}: {final}")
    return done


def demand(name: str) -> None:
    """Raise VmnetError when this host cannot build the image, with all that is missing."""
    what = f"the {name} image"
    packages.demand(what)
    missing = {package for tool, package in _TOOLS.items() if not programs.found(tool)}
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


def _describe(made: Path, told: Recipe, cmdline: str, wanted: list[Package]) -> None:
    manifest = {
        "disk": build_dir.finished(made / "disk.qcow2"),
        "kernel": build_dir.finished(made / "vmlinuz"),
        "initrd": build_dir.finished(made / "initrd"),
        "cmdline": cmdline,
        "boot": ["bios", "uefi"],
        "user": told.user,
        "min_memory_mib": told.min_memory_mib,
        "agent": True,
        "packages": {package.name: package.version for package in wanted},
    }
    build_dir.written(made / image.MANIFEST, (json.dumps(manifest, indent=1) + "\n").encode())
