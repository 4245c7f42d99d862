"""Files that a plan names and that QEMU could not use: libvirt's own message would not help."""

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

from provisioner.errors import VmnetError
from provisioner.text import one_line

if TYPE_CHECKING:
    from provisioner.plan.load.positions import Places
    from provisioner.plan.model import Plan


def unopenable(
    plan: "Plan", positions: "Places", denied: Collection[tuple[str, int]], user: str
) -> Iterator[VmnetError]:
    """List the disks, by VM and number in `denied`, that the user whom QEMU runs as cannot open."""
    for vm in plan.vms:
        for number, disk in enumerate(vm.disks):
            if (vm.name, number) not in denied:
                continue
            path = one_line(disk.path or disk.device or "")
            yield VmnetError(
                f'the disk "{path}" cannot be opened by {user}, whom QEMU runs as',
                where=positions.where("vms", vm.name, "disks", number),
                fix=f"let {user} read{'' if disk.readonly else ' and write'} it, and walk through "
                "the folders above it (see: namei -l)",
            )
