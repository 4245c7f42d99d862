"""What a guest boots, and the disks it has: its image, files of the plan's, what lies over them."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import field, replace
from typing import TYPE_CHECKING

from provisioner.dataclass import dataclass
from provisioner.guest.domain import (
    MICRO,
    Domain,
    DomainDisk,
    FileCopy,
    GuestFile,
    Image,
    Overlay,
)
from provisioner.guest.jail.user import GuestUsers
from provisioner.guest.userdata import Texts
from provisioner.network.facts import Chosen

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
class New:
    """What new guests get, and the domains that keep what they were started with.

    `texts` are the files that the plan names.
    """

    images: Mapping[str, Image]  # by VM
    accel: Chosen
    kept: Mapping[str, Domain] = field(default_factory=dict)
    disks: Mapping[str, Overlay] = field(default_factory=dict)  # that are there, by path
    files: Files = field(default_factory=dict)
    loader: Loader | None = None  # UEFI's, where the host has it
    texts: Texts = field(default_factory=Texts)
    users: GuestUsers | None = None  # whom new guests run as; None for one user for all
    shared: Collection[str] = ()  # VMs that run as that one nevertheless
    login_keys: tuple[str, ...] = ()  # what `ssh_keys: auto` stands for

    def user_of(self, plan: str, vm: str, accel: str) -> tuple[int, int]:
        """Return the user and the group of a VM's QEMU, 0 for those that libvirt has for all.

        A guest that runs keeps those that it was started with.
        """
        if old := self.kept.get(vm):
            return old.uid, old.gid
        if self.users is None or vm in self.shared:
            return 0, 0
        return self.users.of(plan, vm, accel)

    def image_of(self, vm: str) -> Image:
        """Return the image that a VM boots, or has booted, from."""
        old, new = self.kept.get(vm), self.images.get(vm)
        if old and (new is None or new.name == old.image.name):
            return old.image
        return new or Image()

    def accel_of(self, vm: str, wish: str) -> str:
        """Return the accelerator that a VM gets, or has unless the plan wants another."""
        if not (old := self.kept.get(vm)):
            return self.accel.what
        return old.accel if wish == "auto" else wish


def with_boot(domain: Domain, vm: "Vm", new: New) -> tuple[Domain, list[GuestFile]]:
    """Return a domain with what it boots and its disks, and the files that must exist for that."""
    made = _Files(domain, vm, new)
    image = domain.image
    kernel, initrd = made.read_only("kernel"), made.read_only("initrd")
    cmdline = vm.cmdline or image.cmdline
    if not vm.kernel and not image.boot:
        kernel, initrd = image.kernel, image.initrd
    elif not vm.kernel:
        cmdline = ""
    if image.name == MICRO:
        cmdline += f" vmnet.hostname={vm.name}"
    loader = nvram = ""
    is_uefi = not kernel and firmware_of(vm, image) == _UEFI
    if is_uefi:
        loader, nvram = made.uefi()
    template = new.files.get((vm.name, "template"))
    booting = replace(
        domain,
        kernel=kernel,
        initrd=initrd,
        cmdline=cmdline,
        firmware=_UEFI if is_uefi else "",
        loader=loader,
        nvram=nvram,
        ignition=made.read_only("ignition"),
        template=template.digest if template else "",
        disks=tuple(made.disks()),
    )
    return booting, made.found


def firmware_of(vm: "Vm", image: Image) -> str:
    """Return what starts a guest from its disk: what the plan wants, else BIOS if it can."""
    if vm.boot:
        return str(vm.boot)
    return _UEFI if image.boot and "bios" not in image.boot else "bios"


def keeps(vm: "Vm", disk: "vm.Disk | None", image: Image) -> bool:
    """Return whether `down` keeps what a guest has written to a disk."""
    for wish in (disk.keep if disk else None, vm.keep):
        if wish is not None:
            return wish
    return image.name != MICRO


def cpu_of(vm: "Vm", image: Image, accel: str) -> str:
    """Return which CPU a guest gets; "" for the host's own, or the plainest there is."""
    return vm.cpu_model or ("" if accel == "kvm" else _LEAST_CPU.get(image.min_cpu, ""))


class _Files:
    """Collects the files that a guest needs to exist."""

    def __init__(self, domain: Domain, vm: "Vm", new: New) -> None:
        self.found: list[GuestFile] = []
        self._domain = domain
        self._vm = vm
        self._new = new

    def read_only(self, key: str) -> str:
        """Return the path of the copy of a file that the plan names."""
        file = self._new.files.get((self._vm.name, key))
        if not file:
            return ""
        path = f"{self._domain.home}/boot/{key}-{file.digest[:_DIGITS]}"
        self.found.append(FileCopy(path, file.path, file.digest))
        return path

    def uefi(self) -> tuple[str, str]:
        """Return the firmware's code, and the guest's own variables."""
        old, loader = self._new.kept.get(self._vm.name), self._new.loader
        code = loader.code if loader else ""
        nvram = f"{self._domain.home}/boot/{self._vm.name}.nvram"
        if old and old.firmware == _UEFI:
            code, nvram = old.loader, old.nvram
        self.found.append(FileCopy(nvram, loader.variables if loader else ""))
        return code, nvram

    def disks(self) -> Iterator[DomainDisk]:
        """Return the image's disk, then those that the plan adds."""
        if self._domain.image.disk:
            yield self._system()
        for at, disk in enumerate(self._vm.disks):
            yield self._extra(at, disk)

    def _system(self) -> DomainDisk:
        path = f"{self._domain.home}/disk/{self._vm.name}.qcow2"
        image, wish = self._domain.image, self._vm.disk
        there = self._new.disks.get(path)
        below, form = image.disk, image.format
        if there and there.is_written and there.image == image.name:
            # A newer image of that name is no reason to lose what the guest has written.
            below, form = there.backing, there.backing_format
        size = wish.size_mib * _MIB if wish and wish.size_mib else 0
        if not size:
            size = there.size if there and there.backing == below else image.size
        self.found.append(self._overlay(path, size, wish, below, form))
        cache, discard, _ = _how(wish)
        return DomainDisk(path, "qcow2", below, form, cache, discard)

    def _overlay(
        self, path: str, size: int, wish: "vm.Disk | None", below: str = "", form: str = ""
    ) -> Overlay:
        image = self._domain.image
        keep = keeps(self._vm, wish, image)
        name = image.name if below else ""
        return Overlay(path, size, below, form, keep, self._domain.plan, self._vm.name, name)

    def _extra(self, at: int, disk: "vm.Disk") -> DomainDisk:
        file = self._new.files.get((self._vm.name, f"disks/{at}"))
        if disk.size_mib:
            path = f"{self._domain.home}/disk/{self._vm.name}.{at + 1}.qcow2"
            self.found.append(self._overlay(path, disk.size_mib * _MIB, disk))
            return DomainDisk(path, "qcow2", "", "", *_how(disk))
        path = file.path if file else disk.path or disk.device or ""
        kind = "block" if disk.device else "file"
        return DomainDisk(path, str(disk.format or "raw"), "", "", *_how(disk), kind)


def _how(disk: "vm.Disk | None") -> tuple[str, bool, bool]:
    """Return cache, discard and readonly."""
    if disk is None:
        return "", True, False
    return str(disk.cache or ""), disk.discard, disk.readonly
