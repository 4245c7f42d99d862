"""Files that a plan names besides itself: found, read and judged before anything is touched.

Passwords are hashed here, too: what becomes of both is in the guests' seeds.
"""

import hashlib
import stat
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import field
from typing import TYPE_CHECKING

from provisioner.dataclass import dataclass
from provisioner.errors import VmnetError, Where, bad_input, collected, refuse, unquoted
from provisioner.guest import ignition, userdata
from provisioner.guest.boot import BootFile
from provisioner.guest.userdata import Own, Texts
from provisioner.host.image import copy, source_file
from provisioner.host.libvirt import embedded
from provisioner.host.system import accounts, plan_files
from provisioner.host.system.whole_files import Owner
from provisioner.image import qcow2, source
from provisioner.image.disk_header import about
from provisioner.image.disk_kind import HEAD
from provisioner.plan.choices import DiskFormat
from provisioner.text import one_line

if TYPE_CHECKING:
    from provisioner.commands.target import PlanTarget
    from provisioner.guest.boot import Files
    from provisioner.plan.load.positions import Places
    from provisioner.plan.vm import Vm

_BOOTED = ("kernel", "initrd", "ignition", "template")
_MOST_OF_A_TEXT = 64 << 10
_MOST = {"kernel": 1 << 30, "initrd": 4 << 30, "ignition": 512 << 10, "template": 256 << 10}


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
            kind = "qcow2" if disk.format == DiskFormat.QCOW2 else "disk"
            yield f"disks/{at}", disk.path, kind
        elif disk.device:
            yield f"disks/{at}", disk.device, "device"


def _where(places: "Places", vm: str, key: str) -> Where:
    path = [int(step) if step.isdecimal() else step for step in key.split("/")]
    return places.where("vms", vm, *path)


def _file(fence: plan_files.Fence, kind: str, path: str) -> BootFile:
    """Look at one file, and digest what will be copied. QEMU itself opens disks, by their path."""
    shown = one_line(path)
    with plan_files.opened(fence, "disk" if kind == "qcow2" else kind, path) as found:
        if kind == "device" and not stat.S_ISBLK(found.stat.st_mode):
            raise bad_input(
                f'the device "{shown}" is not a block device',
                "see: lsblk, and ls -l /dev/disk/by-id",
            )
        if kind != "device" and not stat.S_ISREG(found.stat.st_mode):
            raise bad_input(f'the {kind} "{shown}" is not a regular file', "name a file")
        _judge_header(found, kind, shown)
        digest = _digest(found, kind, shown) if kind in _MOST else ""
        return BootFile(str(found.real), digest)


def _judge_header(found: plan_files.OpenedFile, kind: str, shown: str) -> None:
    """Refuse disks and images whose header would lead QEMU to other files, or to the network."""
    if kind == "qcow2":
        try:
            with found.itself.open("rb") as file:
                head = file.read(HEAD)
        except OSError as error:
            raise bad_input(
                f'the disk "{shown}" cannot be read: {error.strerror}', "fix its permissions"
            ) from error
        refuse(about(f'the disk "{shown}"', qcow2.leading_elsewhere(head)))
    elif kind == "image":
        with source_file.opened(found.itself, shown=shown) as given:
            refuse(about(f'the image "{shown}"', copy.check_early(given, raw=False)))


def _digest(found: plan_files.OpenedFile, kind: str, shown: str) -> str:
    if found.stat.st_size > _MOST[kind]:
        raise bad_input(
            f'the {kind} "{shown}" has {found.stat.st_size} bytes',
            f"{_MOST[kind]} bytes are the most",
        )
    try:
        with found.itself.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise bad_input(
            f'the {kind} "{shown}" cannot be read: {error.strerror}', "fix its permissions"
        ) from error


def denied(
    target: "PlanTarget", found: "Files", owners: Mapping[str, Owner]
) -> dict[tuple[str, int], str]:
    """Return the disks, by VM and number, that the user whom its QEMU runs as cannot open.

    With that user's name or number; `owners` are those users, by VM.
    """
    return {
        (vm.name, at): accounts.name_of(owners[vm.name][0])
        for vm in target.plan.vms
        for at, disk in enumerate(vm.disks)
        if disk.path or disk.device
        if not embedded.can_open(
            found[vm.name, f"disks/{at}"].path, owners[vm.name], write=not disk.readonly
        )
    }


def texts(target: "PlanTarget") -> Texts:
    """Read the files for guests, and hash passwords. Raises Complaints about unusable ones."""
    reader = _Reader(target)
    for vm in target.plan.vms:
        reader.read(vm)
    refuse(reader.complaints)
    return Texts(reader.files, reader.own, reader.hashes)


@dataclass(slots=True)
class _Reader:
    target: "PlanTarget"
    files: dict[str, str] = field(default_factory=dict)
    own: dict[str, Own] = field(default_factory=dict)
    hashes: dict[str, str] = field(default_factory=dict)
    complaints: list[VmnetError] = field(default_factory=list)
    seen: set[tuple[str, str]] = field(default_factory=set)
    quotable: bool = True  # whether complaints may show lines of the file that was read last

    def read(self, vm: "Vm") -> None:
        self._read_own(vm)
        self._read_ignition(vm)
        for at, file in enumerate(vm.files):
            text = self._text(file.source, _MOST_OF_A_TEXT, vm.name, "files", at, "source")
            if file.source and text is not None:
                self.files[file.source] = text
        if vm.password:
            with self._collecting(vm.name, "password"):
                self.hashes[vm.name] = accounts.hashed(self.target.name, vm.name, vm.password)

    def _read_own(self, vm: "Vm") -> None:
        text = self._text(vm.cloud_init, userdata.MOST_BYTES, vm.name, "cloud_init")
        if vm.cloud_init and text is not None:
            own, found = userdata.read(text, self._shown(vm.cloud_init))
            self._judged(found)
            if own:
                self.own[vm.cloud_init] = own

    def _read_ignition(self, vm: "Vm") -> None:
        text = self._text(vm.ignition, ignition.MOST_BYTES, vm.name, "ignition")
        if vm.ignition and text is not None:
            self._judged(ignition.complaints(text, self._shown(vm.ignition)))
            self.files[vm.ignition] = text

    def _text(self, written: str | None, most_bytes: int, vm: str, *path: str | int) -> str | None:
        """Read a file once, however many VMs name it; complaints about it are made once, too."""
        if not written:
            return None
        key = (written, str(path[0]))
        if key in self.seen:
            return None
        self.seen.add(key)
        text: str | None = None
        with self._collecting(vm, *path):
            kind, fence = str(path[-1]), self.target.fence
            text, self.quotable = plan_files.text(
                fence, kind, written, most_bytes, too_large="put it on a disk"
            )
        return text

    def _collecting(self, *path: str | int) -> AbstractContextManager[None]:
        return collected(self.complaints, self.target.positions.where("vms", *path))

    def _shown(self, written: str) -> str:
        return str(self.target.fence.folder / written)

    def _judged(self, found: list[VmnetError]) -> None:
        """Keep complaints about a file; a line of one outside the plan's folder is not quoted."""
        self.complaints += found if self.quotable else map(unquoted, found)
