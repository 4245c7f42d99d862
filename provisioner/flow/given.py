"""Files that a plan names besides itself: found, looked at and read before anything is touched."""

import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from provisioner.core.facts import File
from provisioner.core.text import one_line
from provisioner.errors import Complaints, Exit, VmnetError
from provisioner.host import embedded

if TYPE_CHECKING:
    from provisioner.core.booting import Files
    from provisioner.core.places import Places
    from provisioner.core.vmmodel import Vm
    from provisioner.flow.session import Target

_BOOTED = ("kernel", "initrd", "ignition", "template")
_MOST = {"kernel": 1 << 30, "initrd": 4 << 30, "ignition": 512 << 10, "template": 256 << 10}


def unopenable(target: "Target", found: "Files") -> list[VmnetError]:
    """Say which disks the user that embedded QEMUs run as cannot open: libvirt would not help."""
    assert target.loaded  # noqa: S101  (only commands with a plan come here)
    user, _ = embedded.run_user()
    return [
        _complaint(
            target.loaded.places,
            vm.name,
            key,
            _Bad(
                f'the disk "{one_line(path)}" cannot be opened by {user}, whom QEMU runs as',
                f"let {user} read{'' if disk.readonly else ' and write'} it, and walk through the "
                "folders above it (see: namei -l)",
                Exit.HOST_CANNOT,
            ),
        )
        for vm in target.plan.vms
        for at, disk in enumerate(vm.disks)
        if (path := disk.path or disk.device)
        and (key := f"disks/{at}")
        and not embedded.can_open(found[vm.name, key].path, write=not disk.readonly)
    ]


def files(target: "Target") -> "Files":
    """Find every file that a plan's VMs are started with.

    Raises Complaints, each at its place in the plan.
    """
    assert target.loaded  # noqa: S101  (only commands with a plan come here)
    found: dict[tuple[str, str], File] = {}
    errors: list[VmnetError] = []
    for vm in target.plan.vms:
        for key, path, word in _named(vm):
            try:
                found[vm.name, key] = _file(target.folder, word, path)
            except _Bad as bad:
                errors.append(_complaint(target.loaded.places, vm.name, key, bad))
    if errors:
        raise Complaints(errors)
    return found


class _Bad(Exception):  # noqa: N818  (what is wrong with a file, before its place is known)
    def __init__(self, what: str, fix: str, status: Exit = Exit.BAD_INPUT) -> None:
        super().__init__(what)
        self.what, self.fix, self.status = what, fix, status


def _named(vm: "Vm") -> Iterator[tuple[str, str, str]]:
    for key in _BOOTED:
        if path := getattr(vm, key):
            yield key, path, key
    for at, disk in enumerate(vm.disks):
        if disk.path:
            yield f"disks/{at}", disk.path, "disk"
        elif disk.device:
            yield f"disks/{at}", disk.device, "device"


def _complaint(places: "Places", vm: str, key: str, bad: _Bad) -> VmnetError:
    path = [int(step) if step.isdecimal() else step for step in key.split("/")]
    where = places.where("vms", vm, *path)
    return VmnetError(bad.what, where=where, fix=bad.fix, status=bad.status)


def _file(folder: Path, kind: str, path: str) -> File:
    """Look at one file. A disk has to lie below the plan's folder: QEMU will write to it."""
    whole = Path(folder, path)
    told = one_line(path)
    try:
        real = whole.resolve(strict=True)
        found = real.stat()
    except OSError as error:
        raise _Bad(
            f'the {kind} "{told}" cannot be used: {error.strerror}',
            f"write its path from {one_line(str(folder))} on, or mend its rights",
        ) from error
    except RuntimeError as error:  # Python 3.11 of a loop of links
        raise _Bad(f'the {kind} "{told}" is a loop of links', "name a file") from error
    if kind == "device":
        return _device(real, found, told)
    if not stat.S_ISREG(found.st_mode):
        raise _Bad(f'the {kind} "{told}" is no regular file', "name a file")
    if kind != "disk":
        return _read(real, found, kind, told)
    if not real.is_relative_to(folder.resolve()):
        raise _Bad(
            f'the disk "{told}" lies outside the folder of the plan',
            "put it below that folder, or give a block device: {device: /dev/disk/by-id/…}",
        )
    return File(str(real), "")


def _device(real: Path, found: os.stat_result, told: str) -> File:
    if not stat.S_ISBLK(found.st_mode):
        raise _Bad(
            f'the device "{told}" is no block device', "see: lsblk, and ls -l /dev/disk/by-id"
        )
    return File(str(real), "")


def _read(real: Path, found: os.stat_result, kind: str, told: str) -> File:
    if found.st_size > _MOST[kind]:
        raise _Bad(
            f'the {kind} "{told}" has {found.st_size} bytes', f"{_MOST[kind]} bytes are the most"
        )
    try:
        with real.open("rb") as file:
            return File(str(real), hashlib.file_digest(file, "sha256").hexdigest())
    except OSError as error:
        raise _Bad(
            f'the {kind} "{told}" cannot be read: {error.strerror}', "mend its rights"
        ) from error
