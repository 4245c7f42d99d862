"""snapshot ls and rm, and how snapshots read."""

import time
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, NotRequired, TypedDict

from provisioner.commands.session import begun
from provisioner.commands.snapshot.save import Saved
from provisioner.commands.target import CommandRun, NameTarget, PlanTarget
from provisioner.dataclass import dataclass
from provisioner.errors import Exit, VmnetError
from provisioner.guest import snapshot
from provisioner.guest.snapshot import SavedPlan
from provisioner.host.storage import snapshots
from provisioner.image.listing import size
from provisioner.json_document import json_document
from provisioner.text import one_line

TITLES: Final = ("snapshot", "made", "size", "VMs", "QEMU")


@dataclass(frozen=True, slots=True)
class ListedSnapshot:
    """A snapshot, or why it cannot be used."""

    name: str
    saved: SavedPlan | None = None
    error: str = ""


class SavedVmValue(TypedDict):
    """A guest in a snapshot."""

    name: str
    memory: Annotated[int, "Bytes of the file of its memory."]
    disks: list[str]
    macs: list[str]


class SnapshotValue(TypedDict):
    """A snapshot of a plan."""

    name: str
    plan: str
    made: Annotated[int, "In seconds since 1970."]
    bytes: int
    vmnet: str
    libvirt: str
    qemu: str
    vms: list[SavedVmValue]
    host: NotRequired[Annotated[str, "That has it, where the plan has several hosts."]]


class UnusableSnapshot(TypedDict):
    """A snapshot that cannot be used, and why."""

    name: str
    error: str
    host: NotRequired[Annotated[str, "That has it, where the plan has several hosts."]]


class UnknownHost(TypedDict):
    """A host of the plan whose snapshots are not known, and why."""

    host: str
    why: str


class SnapshotsDocument(TypedDict):
    """The snapshots of a plan, the oldest first."""

    snapshots: list[SnapshotValue | UnusableSnapshot]
    unknown: NotRequired[Annotated[list[UnknownHost], "Where the plan has several hosts."]]


class SavedDocument(TypedDict):
    """The snapshot that was made, and for how long its guests were paused."""

    snapshot: SnapshotValue
    paused_s: float
    seconds: float


class SavedOnHostsDocument(TypedDict):
    """What each host of the plan has saved; guests of one host alone are of one moment."""

    snapshots: list[SnapshotValue]
    paused_s: Annotated[float, "Of the host that took longest."]


def listed(plan: str) -> list[ListedSnapshot]:
    """Return the snapshots of a plan, the oldest first."""
    found = []
    for name in snapshots.names(plan):
        try:
            found.append(ListedSnapshot(name, snapshots.read(plan, name)))
        except VmnetError as error:
            found.append(ListedSnapshot(name, error=error.what))
    return sorted(found, key=lambda one: (one.saved.made if one.saved else 0, one.name))


def as_rows(rows: Sequence[ListedSnapshot]) -> list[tuple[str, ...]]:
    """Return the lines of a table for people."""
    table: list[tuple[str, ...]] = [TITLES]
    for row in rows:
        if row.saved is None:
            table.append((row.name, "", "", one_line(row.error), ""))
            continue
        saved = row.saved
        vms = ", ".join(guest.vm for guest in saved.guests)
        qemu = snapshot.version(saved.qemu)
        table.append((row.name, when(saved.made), size(saved.size), vms, qemu))
    return table


def as_json(rows: Sequence[ListedSnapshot]) -> str:
    """Return the same as JSON."""
    every = [
        _value(r.saved) if r.saved else UnusableSnapshot(name=r.name, error=r.error) for r in rows
    ]
    return json_document("snapshot ls", Exit.DONE, SnapshotsDocument(snapshots=every))


def saved_line(saved: Saved) -> str:
    """Return what has been saved, for people."""
    plan = saved.plan
    vms = ", ".join(guest.vm for guest in plan.guests)
    return (
        f"{plan.plan}: snapshot {plan.name} of {vms}, {size(plan.size)}, in {saved.took_s:.1f} s; "
        f"the guests were paused for {saved.paused_s:.1f} s"
    )


def value_line(one: SnapshotValue, paused_s: float) -> str:
    """Return what a host has saved, for people."""
    vms = ", ".join(vm["name"] for vm in one["vms"])
    return (
        f"{one['plan']}: snapshot {one['name']} of {vms}, {size(one['bytes'])}; "
        f"the guests were paused for {paused_s:.1f} s"
    )


def value_row(one: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the line of a table for what JSON has of a snapshot."""
    if "error" in one:
        return one["name"], "", "", one_line(one["error"]), ""
    vms = ", ".join(vm["name"] for vm in one["vms"])
    return one["name"], when(one["made"]), size(one["bytes"]), vms, one["qemu"]


def saved_json(saved: Saved) -> str:
    """Return the same as JSON."""
    return json_document(
        "snapshot save",
        Exit.DONE,
        SavedDocument(
            snapshot=_value(saved.plan),
            paused_s=round(saved.paused_s, 3),
            seconds=round(saved.took_s, 3),
        ),
    )


def remove(target: NameTarget | PlanTarget, run: CommandRun, names: Sequence[str]) -> list[str]:
    """Remove snapshots of a plan, and return a line for each. Raises VmnetError."""
    with begun(target, run):
        there = {one.name: one for one in listed(target.name)}
        for name in names:
            if name not in there:
                snapshots.read(target.name, name)  # raises: there is none
        run.agree([f"{name} will be removed: {_shown(there[name])}" for name in names])
        for name in dict.fromkeys(names):
            snapshots.remove(target.name, name)
    return [f"{name} is gone" for name in dict.fromkeys(names)]


def when(made: int) -> str:
    """Return a moment as people write it, of this host's zone."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(made))


def _shown(one: ListedSnapshot) -> str:
    if one.saved is None:
        return one_line(one.error)
    vms = ", ".join(guest.vm for guest in one.saved.guests)
    return f"{vms} as of {when(one.saved.made)}, {size(one.saved.size)}"


def _value(saved: SavedPlan) -> SnapshotValue:
    return {
        "name": saved.name,
        "plan": saved.plan,
        "made": saved.made,
        "bytes": saved.size,
        "vmnet": saved.vmnet,
        "libvirt": snapshot.version(saved.libvirt),
        "qemu": snapshot.version(saved.qemu),
        "vms": [
            {
                "name": guest.vm,
                "memory": guest.memory,
                "disks": sorted(snapshot.written_places(guest.domain)),
                "macs": [nic.mac for nic in guest.domain.nics],
            }
            for guest in saved.guests
        ],
    }
