"""Build the micro image from Debian's packages, once for a recipe and a set of versions."""

import json
from collections.abc import Callable
from pathlib import Path

from provisioner.errors import VmnetError
from provisioner.host.image import build_dir
from provisioner.host.image.build_dir import Room
from provisioner.host.image.micro import bzimage, image, initrd, packages, recipe
from provisioner.host.image.micro.image import Image
from provisioner.host.image.micro.packages import Package

_NEEDED_MIB = 256  # the packages, unpacked, and the image made of them


def build(cache: Path, say: Callable[[str], None]) -> Image:
    """Give the image of the current recipe and package versions, building it when there is none.

    Needs apt, its package lists and the network, but not root. Several may build at once: one
    does, the others wait and find it. Raises VmnetError when the host cannot; nothing is left then.
    """
    packages.demand("the micro image")
    told = recipe.read()
    room = Room(cache, "micro", "the micro image", _NEEDED_MIB)
    with room.alone(say):
        kernel_name, names = packages.closure(told.kernel_package, told.packages)
        wanted = packages.candidates([kernel_name, *names])
        final = room.images / image.folder_name(recipe.digest(), packages.digest(wanted))
        if there := image.load(final):
            say(f"the micro image is up to date: {final}")
            return there
        with room.workshop() as folder:
            _bake(folder, told, kernel_name, wanted, say)
            build_dir.put_in_place(folder / "image", final)
    done = image.load(final)
    if done is None:
        raise VmnetError(f"the image in {final} was damaged as it was built", fix="build it again")
    say(f"built the micro image: {final}")
    return done


def _bake(
    room: Path,
    told: recipe.Recipe,
    kernel_name: str,
    wanted: list[Package],
    say: Callable[[str], None],
) -> None:
    say(f"fetching {len(wanted)} Debian packages for the micro image")
    roots = {}
    for package, deb in zip(wanted, packages.fetch(wanted, room), strict=True):
        roots[package.name] = room / "root" / package.name
        packages.unpack(deb, roots[package.name])
        deb.unlink()
    say("packing the kernel and the initrd")
    kernel = roots.pop(kernel_name)
    archive = initrd.assemble(told, recipe.rootfs(), kernel, list(roots.values()))
    kernel_file, content = _kernel(kernel, say)
    out = room / "image"
    out.mkdir(mode=0o755)
    outputs = {
        "kernel": build_dir.written(out / kernel_file, content),
        "initrd": build_dir.written(out / "initrd", archive),
    }
    manifest = {
        **outputs,
        "cmdline": told.cmdline,
        "digest": build_dir.digest(f"{outputs}{told.cmdline}"),
        "min_memory_mib": told.min_memory_mib,
        "packages": {p.name: p.version for p in wanted},
    }
    build_dir.written(out / image.MANIFEST, (json.dumps(manifest, indent=1) + "\n").encode())


def _kernel(package: Path, say: Callable[[str], None]) -> tuple[str, bytes]:
    found = sorted((package / "boot").glob("vmlinuz-*"))
    if not found:
        raise VmnetError("the kernel package has no boot/vmlinuz", fix="run apt-get update")
    content = found[0].read_bytes()
    try:
        return "vmlinux", bzimage.vmlinux(content)
    except VmnetError as error:
        say(f"{error.what}: guests will boot it as it is, about 0.4 s slower")
        return "vmlinuz", content
