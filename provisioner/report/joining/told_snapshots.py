"""What another host says of a plan's snapshots, read: nothing of it is believed beyond its form."""

from functools import cache
from typing import Any

from provisioner.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class ToldSavedVm:
    """A guest in a snapshot; `memory` is in bytes."""

    name: str
    memory: int
    disks: list[str]
    macs: list[str]


@dataclass(frozen=True, slots=True)
class ToldSnapshot:
    """A snapshot of a plan's guests on that host."""

    name: str
    plan: str
    made: int
    bytes: int
    vmnet: str
    libvirt: str
    qemu: str
    vms: list[ToldSavedVm]


@dataclass(frozen=True, slots=True)
class ToldUnusable:
    """A snapshot that cannot be used there, and why."""

    name: str
    error: str


@dataclass(frozen=True, slots=True)
class ToldSnapshots:
    """The snapshots of a plan on that host."""

    snapshots: list[ToldSnapshot | ToldUnusable]


@dataclass(frozen=True, slots=True)
class ToldSaved:
    """A snapshot that was made there, and how long its guests were paused."""

    snapshot: ToldSnapshot
    paused_s: float


def snapshots(text: str) -> ToldSnapshots:
    """Read what vmnet snapshot ls has written there. Raises ValueError when it is not that."""
    found: ToldSnapshots = _adapter(ToldSnapshots).validate_json(text, strict=True)
    return found


def saved(text: str) -> ToldSaved:
    """Read what vmnet snapshot save has written there. Raises ValueError when it is not that."""
    found: ToldSaved = _adapter(ToldSaved).validate_json(text, strict=True)
    return found


@cache
def _adapter(kind: type) -> Any:  # noqa: ANN401  (of that type)
    from pydantic import TypeAdapter

    return TypeAdapter(kind)
