"""Files that a plan names besides itself: found, looked at and read before anything is touched."""

import hashlib
import stat
from collections.abc import Iterator
from typing import TYPE_CHECKING

from provisioner.errors import VmnetError, Where, bad_input, collected, refuse
from provisioner.guest.boot import BootFile
from provisioner.host.libvirt import embedded
from provisioner.host.system import plan_files
from provisioner.image import source
from provisioner.text import one_line

if TYPE_CHECKING:
    from provisioner.commands.target import PlanTarget
    from provisioner.guest.boot import Files
    from provisioner.plan.load.positions import Places
    from provisioner.plan.vm import Vm

_BOOTED = ("kernel", "initrd", "ignition", "template")
_MOST = {"kernel": 1 << 30, "initrd": 4 << 30, "ignition": 512 << 10, "template": 256 << 10}


def denied(target: "PlanTarget", found: "Files") -> set[tuple[str, int]]:
    """Return the disks, by VM and number, that the user whom embedded QEMUs run as cannot open."""
    return {
        (vm.name, at)
        for vm in target.plan.vms
        for at, disk in enumerate(vm.disks)
        if disk.path or disk.device
        if not embedded.can_open(found[vm.name, f"disks/{at}"].path, write=not disk.readonly)
    }


def files(target: "PlanTarget") -> "Files":
    """Find every file that a plan's VMs are started with.

    An image's file is judged only: it is opened anew when it is taken into the store. Raises
    Complaints, each at its place in the plan.
    """
    found: dict[tuple[str, str], BootFile] = {}
    errors: list[VmnetError] = []
    for vm in target.plan.vms:
        for key, path, kind in _named(vm):
            with collected(errors, _where(target.positions, vm.name, key)):
                file = _file(target.fence, kind, path)
                if kind != "image":
                    found[vm.name, key] = file
    refuse(errors)
    return found


def _named(vm: "Vm") -> Iterator[tuple[str, str, str]]:
    if path := source.local_path(vm.image):
        yield "image", path, "image"
    for key in _BOOTED:
        if path := getattr(vm, key):
            yield key, path, key
    for at, disk in enumerate(vm.disks):
        if disk.path:
            yield f"disks/{at}", disk.path, "disk"
        elif disk.device:
            yield f"disks/{at}", disk.device, "device"


def _where(places: "Places", vm: str, key: str) -> Where:
    path = [int(step) if step.isdecimal() else step for step in key.split("/")]
    return places.where("vms", vm, *path)


def _file(fence: plan_files.Fence, kind: str, path: str) -> BootFile:
    """Look at one file, and digest what will be copied. QEMU itself opens disks, by their path."""
    told = one_line(path)
    with plan_files.found(fence, kind, path) as found:
        if kind == "device" and not stat.S_ISBLK(found.stat.st_mode):
            raise bad_input(
                f'the device "{told}" is not a block device',
                "see: lsblk, and ls -l /dev/disk/by-id",
            )
        if kind != "device" and not stat.S_ISREG(found.stat.st_mode):
            raise bad_input(f'the {kind} "{told}" is not a regular file', "name a file")
        digest = _digest(found, kind, told) if kind in _MOST else ""
        return BootFile(str(found.real), digest)


def _digest(found: plan_files.Found, kind: str, told: str) -> str:
    if found.stat.st_size > _MOST[kind]:
        raise bad_input(
            f'the {kind} "{told}" has {found.stat.st_size} bytes',
            f"{_MOST[kind]} bytes are the most",
        )
    try:
        with found.itself.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise bad_input(
            f'the {kind} "{told}" cannot be read: {error.strerror}', "fix its permissions"
        ) from error
