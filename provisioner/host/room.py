"""The memory and the disk space that this host has left."""

import os
from pathlib import Path

from provisioner.host.system import paths
from provisioner.network.facts import Room


def memory() -> int:
    """Return the memory that programs can still have, in bytes.

    Sources: proc(5), MemAvailable; cgroups(7) and the kernel's cgroup-v2.rst: memory.max is what a
    container may have, and of memory.current the file pages that are not in use can be had back.
    """
    available = _meminfo("MemAvailable")
    group = Path("/sys/fs/cgroup")
    most, used = (_number(group / name) for name in ("memory.max", "memory.current"))
    if most is None or used is None:
        return available
    cached = [x.split()[1] for x in _lines(group / "memory.stat") if x.startswith("inactive_file ")]
    return max(0, min(available, most - used + int(cached[0] if cached else 0)))


def whole_memory() -> int:
    """Return the memory that this host has in all, or that a container may have, in bytes."""
    total, most = _meminfo("MemTotal"), _number(Path("/sys/fs/cgroup/memory.max"))
    return total if most is None else min(total, most)


def rooms() -> tuple[Room, ...]:
    """Measure what is free where vmnet writes; a folder that is not there yet by the one above."""
    return (
        _room(paths.state(), "VMNET_STATE_DIR", is_of_guests=True),
        _room(paths.run(), "VMNET_RUN_DIR"),
    )


def _room(place: Path, variable: str, *, is_of_guests: bool = False) -> Room:
    there = next(x for x in (place, *place.parents) if x.is_dir())
    found = os.statvfs(there)
    return Room(
        str(place),
        variable,
        found.f_bavail * found.f_frsize,
        found.f_favail if found.f_files else -1,
        is_of_guests,
        bool(found.f_flag & os.ST_RDONLY),
    )


def _meminfo(key: str) -> int:
    found = (x for x in _lines(Path("/proc/meminfo")) if x.startswith(f"{key}:"))
    return int(next(found, "- 0").split()[1]) * 1024


def _number(path: Path) -> int | None:
    text = "".join(_lines(path)).strip()
    return int(text) if text.isdecimal() else None


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return []
