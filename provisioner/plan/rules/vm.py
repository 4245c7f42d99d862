"""What must hold among the keys of one VM."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provisioner.pattern import pattern
from provisioner.plan.choices import DiskFormat, Firmware, MachineType
from provisioner.plan.problem import Path, Problem
from provisioner.plan.scalars import quoted
from provisioner.plan.vm_scalars import AUTO_KEYS, NO_IMAGE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from provisioner.plan.vm import Disk, File, Vm

MOST_DISKS = 16
_WITH_KERNEL = ("initrd", "cmdline")
_NOT_IN_MEMORY = ("disk", "boot", "kernel")
_ACCOUNT = ("user", "password", "password_hash")
_NOT_IN_MICRO = (*_ACCOUNT, "packages", "cloud_init", "ignition")
_IN_CLOUD_INIT = (*_ACCOUNT, "ssh_keys", "packages", "run", "files", "cloud_init")
_UNASKED = (AUTO_KEYS,)  # ssh_keys where nobody has written them
_MICRO_PATH = pattern(r"/[A-Za-z0-9_.+@%:,=/-]+")


def vm_problems(vm: Vm) -> Iterator[Problem]:
    """Check one VM by itself."""
    yield from _booting(vm)
    yield from _pointless(vm)
    yield from _micro_files(vm)
    if vm.password and vm.password_hash:
        yield Problem(("password",), "there are two passwords", "leave one of them out")
    if vm.digest and not vm.image.startswith(("file:", "http")):
        yield Problem(
            ("digest",),
            f'the image "{vm.image}" is known by its name: its digest was taken at its import',
            "leave digest out",
        )
    if len(vm.disks) > MOST_DISKS:
        yield Problem(("disks",), f"{len(vm.disks)} disks", f"use at most {MOST_DISKS}")
    for at, disk in enumerate(vm.disks):
        yield from _extra_disk(("disks", at), disk)
    if vm.disk and (vm.disk.path or vm.disk.device or vm.disk.format or vm.disk.readonly):
        yield Problem(
            ("disk",),
            "disk is the image's own: it has a size, a cache and discard, no more",
            "put other disks into disks: [{path: data.qcow2, format: qcow2}]",
        )
    for at, file in enumerate(vm.files):
        yield from _file(("files", at), file)


def _pointless(vm: Vm) -> Iterator[Problem]:
    """Refuse keys that what the VM boots has no use for."""
    micro = vm.image == "micro"
    for applies, keys, what, fix in (
        (not vm.kernel, _WITH_KERNEL, "{} goes with a kernel", "write kernel: ./vmlinuz too"),
        (
            micro,
            _NOT_IN_MEMORY,
            "the micro image has no {} of its own: it boots from memory",
            "use disks: [10G] for a disk; image: none with a kernel of yours",
        ),
        (
            vm.ignition,
            _IN_CLOUD_INIT,
            "{} is told by cloud-init, and this guest reads Ignition",
            "put it into the Ignition file, or leave ignition out",
        ),
        (
            micro,
            _NOT_IN_MICRO,
            "the micro image knows no {}",
            "it knows ssh_keys, files and run, for root; or use another image",
        ),
    ):
        if applies:
            asked = (key for key in keys if getattr(vm, key) not in (_UNASKED, (), None, ""))
            yield from (Problem((key,), what.format(key), fix) for key in asked)


def _booting(vm: Vm) -> Iterator[Problem]:
    if vm.image == NO_IMAGE and not vm.kernel:
        yield Problem(
            ("image",),
            "image: none leaves nothing to boot",
            "name a kernel: kernel: ./bzImage, or an image",
        )
    if vm.kernel and vm.boot:
        yield Problem(
            ("boot",),
            f"a kernel is booted directly: boot: {vm.boot} would not be looked at",
            "leave boot or kernel out",
        )
    if vm.boot == Firmware.UEFI and vm.machine == MachineType.PC:
        yield Problem(
            ("boot",), "boot: uefi needs machine: q35", "leave machine out, or use boot: bios"
        )


def _micro_files(vm: Vm) -> Iterator[Problem]:
    for at, file in enumerate(vm.files if vm.image == "micro" else ()):
        if not _MICRO_PATH.fullmatch(file.path):
            yield Problem(
                ("files", at, "path"),
                f"the micro image writes no file named {quoted(file.path)}",
                "use letters, digits and _ . + @ % : , = - between the slashes",
            )
        if file.owner not in {"root", "root:root"}:
            yield Problem(
                ("files", at, "owner"),
                f"the micro image has no {quoted(file.owner)}: root is alone there",
                "leave owner out",
            )


def _extra_disk(path: Path, disk: Disk) -> Iterator[Problem]:
    sources = [key for key in ("size_mib", "path", "device") if getattr(disk, key)]
    if len(sources) != 1:
        yield Problem(
            path,
            "a disk is one of three: size, path or device",
            "write 10G, {path: data.qcow2, format: qcow2} or {device: /dev/disk/by-id/…}",
        )
    if disk.path and not disk.format:
        yield Problem(
            path,
            "the format of a file is never guessed from its bytes: a guest may have written them",
            "write format: raw or format: qcow2",
        )
    if disk.keep is not None and (disk.path or disk.device):
        yield Problem(
            (*path, "keep"),
            "a file or a device of yours is never removed, whatever keep says",
            "leave keep out",
        )
    if disk.device and disk.format == DiskFormat.QCOW2:
        yield Problem((*path, "format"), "a device is raw", "leave format out")


def _file(path: Path, file: File) -> Iterator[Problem]:
    if (file.content is None) == (file.source is None):
        yield Problem(
            path, "a file has either content or source", "write content: TEXT, or source: ./FILE"
        )
