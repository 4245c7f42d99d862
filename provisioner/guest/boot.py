"""What a guest boots, and the disks it has: its image, files of the plan's, what lies over them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from provisioner.guest.domain import Domain, DomainDisk, FileCopy, GuestResource, Image, Overlay

if TYPE_CHECKING:
    from provisioner.plan import vm
    from provisioner.plan.vm import Vm

_MIB = 1 << 20
_UEFI = "uefi"
_DIGITS = 16
# The plainest of QEMU's CPUs that has what a level demands (System V ABI of x86-64, 3.1.1); TCG
# of QEMU 7.2 emulates level 3 with what "max" offers.
_LEAST_CPU = {"x86-64-v2": "Nehalem", "x86-64-v3": "max"}


@dataclass(frozen=True, slots=True)
class Loader:
    """UEFI's code, and what each guest's own variables begin as."""

    code: str
    variables: str


@dataclass(frozen=True, slots=True)
class BootFile:
    """A file of the user's that guests boot from; the digest is that of its content."""

    path: str  # absolute
    digest: str


Files = Mapping[tuple[str, str], BootFile]
"""Files that a plan names, by VM and key: "kernel", "template", "disks/0"."""


@dataclass(frozen=True, slots=True)
class Loads:
    """What a start depends on besides the plan and the image."""

    home: str
    files: Files
    loader: Loader | None
    disks: Mapping[str, Overlay]  # that are there, by path
    old: Domain | None  # what the guest was started as, when it keeps that


@dataclass(frozen=True, slots=True)
class Start:
    """How a guest is started, and what must exist for that."""

    kernel: str
    initrd: str
    cmdline: str
    firmware: str
    loader: str
    nvram: str
    ignition: str
    template: str
    disks: tuple[DomainDisk, ...]
    resources: tuple[GuestResource, ...]


def start(vm: "Vm", image: Image, loads: Loads) -> Start:
    """Return how `vm` boots `image`."""
    made = _Making(vm, image, loads)
    kernel, initrd = made.read_only("kernel"), made.read_only("initrd")
    cmdline = vm.cmdline or image.cmdline
    if not vm.kernel and not image.boot:
        kernel, initrd = image.kernel, image.initrd
    elif not vm.kernel:
        cmdline = ""
    firmware, loader, nvram = "", "", ""
    if not kernel and firmware_of(vm, image) == _UEFI:
        firmware, loader, nvram = made.uefi()
    ignition = made.read_only("ignition")
    template = loads.files.get((vm.name, "template"))
    return Start(
        kernel,
        initrd,
        cmdline,
        firmware,
        loader,
        nvram,
        ignition,
        template.digest if template else "",
        tuple(made.disks()),
        tuple(made.resources),
    )


def firmware_of(vm: "Vm", image: Image) -> str:
    """Return what starts a guest from its disk: what the plan wants, else BIOS if it can."""
    if vm.boot:
        return str(vm.boot)
    return _UEFI if image.boot and "bios" not in image.boot else "bios"


def cpu_of(vm: "Vm", image: Image, accel: str) -> str:
    """Return which CPU a guest gets; "" for the host's own, or the plainest there is."""
    return vm.cpu_model or ("" if accel == "kvm" else _LEAST_CPU.get(image.min_cpu, ""))


class _Making:
    """Collects what a guest needs to exist."""

    def __init__(self, vm: "Vm", image: Image, loads: Loads) -> None:
        self.resources: list[GuestResource] = []
        self._vm = vm
        self._image = image
        self._loads = loads

    def read_only(self, key: str) -> str:
        """Return the path of the copy of a file that the plan names."""
        file = self._loads.files.get((self._vm.name, key))
        if not file:
            return ""
        path = f"{self._loads.home}/boot/{key}-{file.digest[:_DIGITS]}"
        self.resources.append(FileCopy(path, file.path, file.digest))
        return path

    def uefi(self) -> tuple[str, str, str]:
        """Return the firmware, its code, and the guest's own variables."""
        old, found = self._loads.old, self._loads.loader
        if old and old.firmware == _UEFI:
            self.resources.append(FileCopy(old.nvram, found.variables if found else ""))
            return _UEFI, old.loader, old.nvram
        nvram = f"{self._loads.home}/boot/{self._vm.name}.nvram"
        self.resources.append(FileCopy(nvram, found.variables if found else ""))
        return _UEFI, found.code if found else "", nvram

    def disks(self) -> Iterator[DomainDisk]:
        """Return the image's disk, then those that the plan adds."""
        if self._image.disk:
            yield self._system()
        for at, disk in enumerate(self._vm.disks):
            yield self._extra(at, disk)

    def _system(self) -> DomainDisk:
        path = f"{self._loads.home}/disk/{self._vm.name}.qcow2"
        image, wish = self._image, self._vm.disk
        there = self._loads.disks.get(path)
        size = wish.size_mib * _MIB if wish and wish.size_mib else 0
        if not size:
            kept = there and there.backing == image.disk
            size = there.size if there and kept else image.size
        self.resources.append(Overlay(path, size, image.disk, image.format))
        cache, discard, _ = _how(wish)
        return DomainDisk(path, "qcow2", image.disk, image.format, cache, discard)

    def _extra(self, at: int, disk: "vm.Disk") -> DomainDisk:
        file = self._loads.files.get((self._vm.name, f"disks/{at}"))
        if disk.size_mib:
            path = f"{self._loads.home}/disk/{self._vm.name}.{at + 1}.qcow2"
            self.resources.append(Overlay(path, disk.size_mib * _MIB))
            return DomainDisk(path, "qcow2", "", "", *_how(disk))
        path = file.path if file else disk.path or disk.device or ""
        kind = "block" if disk.device else "file"
        return DomainDisk(path, str(disk.format or "raw"), "", "", *_how(disk), kind)


def _how(disk: "vm.Disk | None") -> tuple[str, bool, bool]:
    """Return cache, discard and readonly."""
    if disk is None:
        return "", True, False
    return str(disk.cache or ""), disk.discard, disk.readonly
