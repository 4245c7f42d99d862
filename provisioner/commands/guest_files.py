"""The files that a plan names for its guests, read and judged; and its passwords, hashed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from provisioner.errors import VmnetError, collected, refuse, unquoted
from provisioner.guest import ignition, userdata
from provisioner.guest.userdata import Own, Texts
from provisioner.host.system import accounts, plan_files

if TYPE_CHECKING:
    from provisioner.commands.target import PlanTarget
    from provisioner.plan.load.positions import Places
    from provisioner.plan.model import Plan
    from provisioner.plan.vm import Vm

_MOST_OF_A_FILE = 64 * 1024


def texts(target: PlanTarget) -> Texts:
    """Read all of them. Raises Complaints, all at once, when some of them cannot be used."""
    reader = _Reader(target.plan, target.positions, target.fence)
    for vm in target.plan.vms:
        reader.read(vm)
    refuse(reader.complaints)
    return Texts(reader.files, reader.own, reader.hashes)


@dataclass(slots=True)
class _Reader:
    plan: Plan
    places: Places
    fence: plan_files.Fence
    files: dict[str, str] = field(default_factory=dict)
    own: dict[str, Own] = field(default_factory=dict)
    hashes: dict[str, str] = field(default_factory=dict)
    complaints: list[VmnetError] = field(default_factory=list)
    seen: set[tuple[str, str]] = field(default_factory=set)
    quotable: bool = True  # whether complaints may show lines of the file that was read last

    def read(self, vm: Vm) -> None:
        self._read_own(vm)
        self._read_ignition(vm)
        for at, file in enumerate(vm.files):
            text = self._text(file.source, _MOST_OF_A_FILE, vm.name, "files", at, "source")
            if file.source and text is not None:
                self.files[file.source] = text
        if vm.password:
            with collected(self.complaints, self.places.where("vms", vm.name, "password")):
                self.hashes[vm.name] = accounts.hashed(self.plan.name, vm.name, vm.password)

    def _read_own(self, vm: Vm) -> None:
        text = self._text(vm.cloud_init, userdata.MOST_BYTES, vm.name, "cloud_init")
        if vm.cloud_init and text is not None:
            own, found = userdata.read(text, self._shown(vm.cloud_init))
            self._judged(found)
            if own:
                self.own[vm.cloud_init] = own

    def _read_ignition(self, vm: Vm) -> None:
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
        with collected(self.complaints, self.places.where("vms", vm, *path)):
            text, self.quotable = plan_files.text(self.fence, str(path[-1]), written, most_bytes)
        return text

    def _shown(self, written: str) -> str:
        return str(self.fence.folder / written)

    def _judged(self, found: list[VmnetError]) -> None:
        """Keep complaints about a file; a line of one outside the plan's folder is not quoted."""
        self.complaints += found if self.quotable else map(unquoted, found)
