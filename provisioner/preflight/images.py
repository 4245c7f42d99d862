"""What images demand of the VMs that boot them, and why QEMU could not use a disk."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from provisioner.errors import Exit, VmnetError
from provisioner.guest.boot import firmware_of
from provisioner.guest.domain import Image, Overlay
from provisioner.text import one_line

if TYPE_CHECKING:
    from provisioner.guest.boot import Loader
    from provisioner.plan.load.positions import Places
    from provisioner.plan.model import Plan
    from provisioner.plan.vm import Vm

_MIB = 1 << 20


def complaints(
    plan: "Plan",
    places: "Places",
    images: Mapping[str, Image],
    there: Mapping[str, Overlay],
    loader: "Loader | None",
) -> list[VmnetError]:
    """List why VMs cannot boot their images; `there` are the disks that exist, by path."""
    out: list[VmnetError] = []
    for vm in plan.vms:
        if image := images.get(vm.name):
            out += _image(vm, image, places, loader)
        out += _shrinking(vm, places, there)
    return out


def _image(
    vm: "Vm", image: Image, places: "Places", loader: "Loader | None"
) -> Iterator[VmnetError]:
    name = one_line(image.name)
    if vm.memory_mib and vm.memory_mib < image.min_memory_mib:
        yield VmnetError(
            f"the image {name} needs {image.min_memory_mib} MiB of memory, {vm.name} is to have "
            f"{vm.memory_mib}",
            where=places.where("vms", vm.name, "memory"),
            fix=f"give it {image.min_memory_mib}M, or leave memory out",
            status=Exit.BAD_INPUT,
        )
    if vm.boot and image.boot and vm.boot not in image.boot:
        yield VmnetError(
            f"the image {name} does not boot by {vm.boot}",
            where=places.where("vms", vm.name, "boot"),
            fix=f"it boots by {' and '.join(image.boot)}: leave boot out",
            status=Exit.BAD_INPUT,
        )
    elif image.boot and not vm.kernel and firmware_of(vm, image) == "uefi" and loader is None:
        yield VmnetError(
            f"{vm.name} boots by UEFI, and there is no OVMF on this host",
            where=places.where("vms", vm.name, "boot" if vm.boot else "image"),
            fix="install it: apt-get install ovmf",
        )
    size = vm.disk.size_mib if vm.disk else None
    if image.disk and size and size * _MIB < image.size:
        yield VmnetError(
            f"the disk of the image {name} has {image.size // _MIB} MiB, {vm.name} is to have "
            f"{size}",
            where=places.where("vms", vm.name, "disk"),
            fix=f"give it {-(-image.size // _MIB)}M or more, or leave disk out",
            status=Exit.BAD_INPUT,
        )


def _shrinking(vm: "Vm", places: "Places", there: Mapping[str, Overlay]) -> Iterator[VmnetError]:
    by_name = {path.rsplit("/", 1)[-1]: disk for path, disk in there.items()}
    wanted = [(f"{vm.name}.qcow2", ("disk",), vm.disk)]
    wanted += [
        (f"{vm.name}.{at + 1}.qcow2", ("disks", at), disk)  # type: ignore[misc]
        for at, disk in enumerate(vm.disks)
    ]
    for name, path, disk in wanted:
        have = by_name.get(name)
        if disk and disk.size_mib and have and disk.size_mib * _MIB < have.size:
            yield VmnetError(
                f"{name} has {have.size // _MIB} MiB and would have to shrink: what the guest has "
                "written at its end would be lost",
                where=places.where("vms", vm.name, *path),
                fix=f"write {have.size // _MIB}M or more; to begin anew: vmnet down --disks, "
                "vmnet up",
                status=Exit.CONFLICT,
            )


def unopenable(
    plan: "Plan", places: "Places", denied: Mapping[tuple[str, int], str]
) -> Iterator[VmnetError]:
    """List the disks in `denied`, by VM and number, that the user named there cannot open."""
    for vm in plan.vms:
        for number, disk in enumerate(vm.disks):
            if (user := denied.get((vm.name, number))) is None:
                continue
            path = one_line(disk.path or disk.device or "")
            yield VmnetError(
                f'the disk "{path}" cannot be opened by {user}, whom QEMU runs as',
                where=places.where("vms", vm.name, "disks", number),
                fix=f"let {user} read{'' if disk.readonly else ' and write'} it, and walk through "
                "the folders above it (see: namei -l)",
            )
