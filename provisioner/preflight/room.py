"""Whether a host has the memory and the disk space for what is about to be made."""

from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Final

from provisioner.errors import VmnetError
from provisioner.guest.domain import Domain, FileCopy, GuestFile
from provisioner.guest.qemu.memory import QEMU_MIB
from provisioner.network.facts import Facts
from provisioner.reconcile.diff import Step, Verb
from provisioner.text import one_line

if TYPE_CHECKING:
    from provisioner.plan.load.positions import Places
    from provisioner.plan.model import Plan

_MIB: Final = 1 << 20
_FILE_BYTES: Final = 512 << 10  # a seed takes 400 KiB, a disk that nothing was written to 200
_CONSOLE_BYTES: Final = _MIB
_GUEST_FILES: Final = 16  # libvirt's own of a guest, besides those of the plan


def complaints(
    plan: "Plan",
    places: "Places",
    steps: Collection[Step],
    facts: Facts,
    sizes: Mapping[str, int],
) -> list[VmnetError]:
    """List what the host has not enough of for these steps; `sizes` are those of copied files.

    A host that is asked for more memory than it can give begins to swap, or ends guests; a file
    system that fills up while guests are made stops them half way.
    """
    return [*_memory(plan, places, steps, facts), *_disk(steps, facts, sizes)]


def _memory(
    plan: "Plan", places: "Places", steps: Collection[Step], facts: Facts
) -> Iterator[VmnetError]:
    needed = {domain.vm: _taken(domain) for domain in _domains(steps, Verb.CREATE)}
    freed = sum(map(_taken, _domains(steps, Verb.DELETE)))
    short = sum(needed.values()) - freed - facts.memory_mib
    if not needed or not facts.memory_mib or plan.overcommit or short <= 0:
        return
    largest = max(needed, key=lambda vm: needed[vm])
    yield VmnetError(
        f"{len(needed)} {'guest needs' if len(needed) == 1 else 'guests need'} "
        f"{sum(needed.values())} MiB of memory with their QEMUs, and this host has "
        f"{facts.memory_mib + freed} MiB left: {short} MiB too few",
        where=places.where("vms", largest, "memory"),
        fix="give them less memory, or end what else takes it (ps -e -o rss,args); to start them "
        "all the same, write overcommit: true",
    )


def _disk(steps: Collection[Step], facts: Facts, sizes: Mapping[str, int]) -> Iterator[VmnetError]:
    files = [s.resource for s in steps if s.verb is Verb.CREATE]
    made = [r for r in files if isinstance(r, GuestFile)]
    guests = sum(isinstance(r, Domain) for r in files)
    needed = sum(sizes.get(r.path, _FILE_BYTES) for r in made) + guests * _CONSOLE_BYTES
    names = 2 * len(made) + guests * _GUEST_FILES
    for room in facts.rooms if made or guests else ():
        place = one_line(room.place)
        fix = (
            f"make room there (df -h {place}; df -i {place}), or set {room.variable} to a folder "
            "on another file system"
        )
        if room.is_of_guests and room.free_bytes < needed:
            yield VmnetError(
                f"the guests' files need {-(-needed // _MIB)} MiB in {place}, and "
                f"{room.free_bytes // _MIB} MiB are free",
                fix=fix,
            )
        if 0 <= room.free_files < names:
            yield VmnetError(
                f"the guests need {names} files in {place}, and its file system has room for "
                f"{room.free_files}",
                fix=fix,
            )
        if room.is_read_only:
            yield VmnetError(
                f"{place} is on a file system that is read-only",
                fix=f"make it writable (findmnt -T {place}), or set {room.variable} to a folder on "
                "another file system",
            )


def copied(steps: Collection[Step]) -> Iterator[FileCopy]:
    """Return the copies of files that the steps make."""
    for step in steps:
        if step.verb is Verb.CREATE and isinstance(step.resource, FileCopy):
            yield step.resource


def _domains(steps: Collection[Step], verb: Verb) -> Iterator[Domain]:
    return (s.resource for s in steps if s.verb is verb and isinstance(s.resource, Domain))


def _taken(domain: Domain) -> int:
    return domain.memory_mib + QEMU_MIB
