"""Guests' disks: qcow2 files laid over an image, or empty."""

import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from provisioner.dataclass import dataclass
from provisioner.errors import Exit, VmnetError
from provisioner.guest.domain import Domain, Overlay
from provisioner.host.jail import users
from provisioner.host.libvirt.session import LibvirtSession
from provisioner.host.storage.files import FileDriver, write_whole
from provisioner.host.system import paths, plan_folders, programs
from provisioner.image import qcow2
from provisioner.image.disk_kind import HEAD
from provisioner.reconcile.resources import Look
from provisioner.text import one_line

_DEADLINE_S = 60.0
_MOST_PATH = 1023
_BLOCK = 512


@dataclass(frozen=True, slots=True)
class DiskDriver(FileDriver[Overlay]):
    """The driver of disks; `libvirt` lets those of running guests grow."""

    libvirt: LibvirtSession | None = None

    def found(self, plan: str) -> list[Overlay]:
        """List the files in the plan's folder for disks."""
        return [read(path) for path in sorted(paths.folder(plan, "disk").glob("*.qcow2"))]

    def record(self, file: Overlay) -> Mapping[str, object]:
        """Return whose disk it is, over which image, since when, and whether it is to be kept."""
        made = int(time.time())
        of = {"plan": file.plan, "vm": file.vm, "image": file.image}
        return {**of, "made": made, "keep": file.keep}

    def make(self, file: Overlay) -> None:
        """Create a disk, empty or over an image; VmnetError when there is no room.

        The format of the image is given, so that nothing is guessed from what a guest wrote.
        """
        path = Path(file.path)
        # -u: the image itself is not opened.
        below = ("-u", "-F", file.backing_format, "-b", file.backing) if file.backing else ()
        fix = f"free some space or fix the permissions under {path.parent}"

        def fill(draft: Path) -> None:
            with _opened(draft, file) as (name, run):
                run("create", "-q", "-f", "qcow2", *below, name, str(file.size), fix=fix)

        write_whole(path, fill)

    def delete(self, file: Overlay) -> None:
        """Delete a disk; one that is to be kept stays if a guest has written to it meanwhile."""
        if not (file.keep and read(Path(file.path)).is_written):
            FileDriver.delete(self, file)

    def update(self, file: Overlay) -> None:
        """Let a disk grow, through the guest that runs on it if one does; record what it is for."""
        have = read(Path(file.path))
        if have.keep != file.keep:
            plan_folders.write_record(Path(file.path), {"keep": file.keep})
        if have.size == file.size:
            return
        if self.libvirt and (user := self.libvirt.user_of(file.path)):
            self.libvirt.domains.resize(user, file.path, file.size)
        else:
            _grow(file, have)


def prove(domain: Domain) -> None:
    """Prove that a guest's disks are as vmnet has made them, before QEMU opens them.

    Raises VmnetError when a header names other files than the plan.
    """
    known = (paths.store(), paths.shared_store(), paths.cache(), paths.shared_cache())
    for disk in domain.disks:
        path = Path(disk.path)
        if domain.home and path.is_relative_to(domain.home):
            below = Path(disk.backing)
            if disk.backing and not any(below.is_relative_to(place) for place in known):
                raise _changed(path, f"it lies over {one_line(disk.backing)}, which is no image")
            with path.open("rb") as file:
                _prove(path, file.fileno(), disk.backing)


def _grow(file: Overlay, have: Overlay) -> None:
    path = Path(file.path)
    with _opened(path, file) as (name, run):
        # Nothing that the header names is opened: it was the guest's QEMU to write.
        _prove(path, int(name.rpartition("/")[2]), have.backing)
        disk = {"driver": "file", "filename": name}
        alone = json.dumps({"driver": "qcow2", "file": disk, "backing": None})
        fix = "give its guest back its old size"
        run("resize", "-q", f"json:{alone}", str(file.size), fix=fix)


def _prove(path: Path, file: int, below: str) -> None:
    if trouble := qcow2.unfit(os.pread(file, HEAD, 0), below):
        raise _changed(path, trouble)


def _changed(path: Path, trouble: str) -> VmnetError:
    return VmnetError(
        f"{path} is not as vmnet has made it: {trouble}",
        fix="its guest's QEMU has written that: look at it without QEMU, and begin anew without "
        "it: vmnet down --disks",
        status=Exit.CONFLICT,
    )


@contextmanager
def _opened(path: Path, file: Overlay) -> Iterator[tuple[str, "_QemuImg"]]:
    """Open a disk; give its name for qemu-img, and qemu-img as the disk's user, without rights.

    What is opened is what qemu-img gets, whatever the name comes to mean.
    """
    opened = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        found = os.fstat(opened)
        owner = (found.st_uid, found.st_gid)
        if not os.geteuid() and not found.st_uid:
            owner = users.owner_of(file.plan, file.vm)
            os.fchown(opened, *owner)

        def run(*words: str, fix: str) -> None:
            programs.run(
                ["qemu-img", *words],
                timeout_s=_DEADLINE_S,
                fix=fix,
                files=[opened],
                cwd=Path("/"),
                through=users.without_rights(owner),
            )

        yield f"/proc/self/fd/{opened}", run
    finally:
        os.close(opened)


class _QemuImg(Protocol):
    def __call__(self, *words: str, fix: str) -> None:
        """Run a command of qemu-img."""


def read(path: Path) -> Overlay:
    """Return the disk in a file, of size 0 if it is not a disk as `make` makes them."""
    size, below, form, taken, is_written = 0, "", "", 0, False
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
            found = os.fstat(file.fileno())
            taken, is_written = found.st_blocks * _BLOCK, found.st_size > 0
            if header := qcow2.read(head):
                size, form = header.virtual_size, qcow2.backing_format(head)
                below = one_line(qcow2.backing(head), _MOST_PATH)
                l1 = os.pread(file.fileno(), qcow2.l1_bytes(header), header.l1_offset)
                is_written = qcow2.is_written(header, l1)
    except OSError:
        pass
    of = plan_folders.record(path)
    vm = of.vm or path.name.partition(".")[0]
    return Overlay(str(path), size, below, form, of.keep, of.plan, vm, of.image, is_written, taken)


def kept(plan: str) -> set[Path]:
    """Return what stays when a plan goes: disks, and what their guests are the same ones by."""
    home = paths.home(plan)
    if not plan_folders.is_marked(home, plan):
        return set()
    disks = [disk for disk in DiskDriver().observe(Look(plan)) if disk.stays]
    out = {Path(disk.path) for disk in disks}
    for vm in {disk.vm for disk in disks}:
        out |= {home / "boot" / f"{vm}.nvram", home / "keys" / vm}
    return out | {home / x for x in ("known_hosts", *paths.LOGIN_FILES)} if out else out
