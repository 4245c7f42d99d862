"""Snapshots of a plan's guests: what is written down of one, and what one can be made of.

A snapshot is a folder PLAN/snapshot/NAME with a manifest, the memory of each guest as libvirt saves
it, and copies of the guests' files, in folders that are called as the plan's own.
"""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Final

from provisioner import naming
from provisioner.dataclass import dataclass
from provisioner.errors import Exit, VmnetError, bad_input
from provisioner.guest.domain import Domain
from provisioner.guest.xml.render import from_mark, to_mark
from provisioner.json_document import strict
from provisioner.pattern import pattern
from provisioner.text import one_line

MANIFEST: Final = "manifest.json"
MEMORY: Final = "memory"
"""The folder of a snapshot that holds the guests' memories, each called as its VM."""

FORMAT: Final = 1
MOST_BYTES: Final = 4 << 20
"""Of a manifest: a guest's part has some kilobytes."""

_NAME = pattern(r"[a-z0-9][a-z0-9_-]{0,39}", re.ASCII)
_PLACE = pattern(r"(?:disk|boot|seed)/[A-Za-z0-9][A-Za-z0-9._-]*", re.ASCII)
_MOST_SHOWN: Final = 60


@dataclass(frozen=True, slots=True)
class SavedFile:
    """A file of a guest's: its place in the plan's folder and in the snapshot's, its bytes."""

    place: str  # "disk/web1.qcow2"
    size: int


@dataclass(frozen=True, slots=True)
class SavedGuest:
    """One guest at the moment of the snapshot; `domain` is what its mark said."""

    domain: Domain
    memory: int  # bytes of its file
    files: tuple[SavedFile, ...] = ()

    @property
    def vm(self) -> str:
        """The name of the VM."""
        return self.domain.vm


@dataclass(frozen=True, slots=True)
class SavedPlan:
    """What the manifest of a snapshot says."""

    plan: str
    name: str
    made: int  # seconds since 1970
    vmnet: str
    libvirt: int  # as libvirt counts: 9000000 is 9.0.0
    qemu: int
    guests: tuple[SavedGuest, ...]

    @property
    def size(self) -> int:
        """How many bytes its files have."""
        return sum(g.memory + sum(f.size for f in g.files) for g in self.guests)


def checked_name(name: str) -> str:
    """Return the name of a snapshot. Raises VmnetError when it cannot be one."""
    if not _NAME.fullmatch(name):
        raise bad_input(
            f'"{one_line(name, _MOST_SHOWN)}" cannot be the name of a snapshot',
            "use a-z, 0-9, - and _, at most 40, a letter or a digit first: before-upgrade",
        )
    return name


def places(domain: Domain) -> tuple[str, ...]:
    """Return the places of the files in the plan's folder that a guest consists of."""
    every = (
        *(disk.path for disk in domain.disks),
        *filter(None, (domain.seed, domain.kernel, domain.initrd, domain.nvram, domain.ignition)),
    )
    below = f"{domain.home}/"
    return tuple(dict.fromkeys(x.removeprefix(below) for x in every if x.startswith(below)))


def written_places(domain: Domain) -> frozenset[str]:
    """Return those of them that the guest writes to."""
    every = {disk.path for disk in domain.disks} | {domain.nvram}
    return frozenset(x for x in places(domain) if f"{domain.home}/{x}" in every)


def unsavable(domains: Iterable[Domain]) -> Iterator[VmnetError]:
    """Return why guests cannot be saved: they write to what is not vmnet's to copy and put back."""
    for domain in domains:
        for disk in domain.disks:
            if not disk.path.startswith(f"{domain.home}/disk/"):
                yield VmnetError(
                    f"{domain.vm} has the disk {one_line(disk.path)}, which vmnet has not made: "
                    "a snapshot would neither keep what is on it nor put it back",
                    fix="give it a disk of vmnet's own (disks: [20G]), or name the other VMs: "
                    "vmnet snapshot save NAME VM",
                    status=Exit.BAD_INPUT,
                )


def unfit(saved: Domain, want: Domain | None) -> VmnetError | None:
    """Return why a saved guest cannot run in a plan as it is now, None when it can."""
    if want is None:
        return VmnetError(
            f'the snapshot has a VM "{saved.vm}", and the plan has none',
            fix="take that change of the plan back, or name the VMs to restore: "
            "vmnet snapshot restore NAME VM",
            status=Exit.BAD_INPUT,
        )
    differences = dict(saved.differences(want))
    if "nics" in differences:
        return VmnetError(
            f"{saved.vm} was saved with other NICs than the plan has now: {differences['nics']}",
            fix="take that change of the plan back, or go without the snapshot: vmnet up",
            status=Exit.BAD_INPUT,
        )
    return None


def changes(saved: Domain, want: Domain) -> str:
    """Return what a plan wants otherwise than a saved guest is, "" for nothing."""
    return ", ".join(text for _, text in saved.differences(want))


def too_old(saved: SavedPlan, qemu: int) -> VmnetError | None:
    """Return why this host's QEMU cannot read the memories: only a later one reads an earlier's."""
    if qemu >= saved.qemu:
        return None
    return VmnetError(
        f"the snapshot {saved.name} was made with QEMU {version(saved.qemu)}, "
        f"and this host has {version(qemu)}, which cannot read it",
        fix=f"install QEMU {version(saved.qemu)} or a later one, or start without it: vmnet up",
    )


def version(number: int) -> str:
    """Return a version as people write it, from libvirt's number of it."""
    return f"{number // 1_000_000}.{number // 1000 % 1000}.{number % 1000}"


def chosen(saved: SavedPlan, vms: Sequence[str]) -> tuple[SavedGuest, ...]:
    """Return the guests of a snapshot that are meant, all without names.

    Raises VmnetError for a VM that is not in it.
    """
    there = {guest.vm: guest for guest in saved.guests}
    for vm in vms:
        if vm not in there:
            raise bad_input(
                f'the snapshot {saved.name} has no VM "{one_line(vm, _MOST_SHOWN)}"',
                f"its VMs: {', '.join(there)}",
            )
    return tuple(there[vm] for vm in dict.fromkeys(vms)) if vms else saved.guests


def unusable(name: str, why: str) -> VmnetError:
    """Return the error for a snapshot whose files are not what vmnet has written."""
    return VmnetError(
        f"the snapshot {name} cannot be used: {one_line(why, 300)}",
        fix=f"take it back from a copy of yours, or remove it: vmnet snapshot rm {name}",
    )


def to_text(saved: SavedPlan) -> str:
    """Write a manifest."""
    return json.dumps(
        {
            "format": FORMAT,
            "plan": saved.plan,
            "name": saved.name,
            "made": saved.made,
            "vmnet": saved.vmnet,
            "libvirt": saved.libvirt,
            "qemu": saved.qemu,
            "guests": [
                {
                    "domain": json.loads(to_mark(guest.domain)),
                    "memory": guest.memory,
                    "files": {file.place: file.size for file in guest.files},
                }
                for guest in saved.guests
            ],
        },
        indent=1,
    )


def from_text(text: str, plan: str, name: str, home: str) -> SavedPlan:
    """Read the manifest of a snapshot of this plan, whose files are in `home`.

    Raises VmnetError when it is not what `to_text` has written, is another plan's, or names what a
    restore must not touch.
    """
    try:
        found = strict(text)
        if not isinstance(found, dict) or found.get("format") != FORMAT:
            raise ValueError("its manifest is of another version of vmnet")  # noqa: TRY301
        saved = SavedPlan(
            _text(found, "plan"),
            _text(found, "name"),
            _number(found, "made"),
            _text(found, "vmnet"),
            _number(found, "libvirt"),
            _number(found, "qemu"),
            tuple(_guest(each, home) for each in _list(found, "guests")),
        )
        _prove(saved, plan, name)
    except (ValueError, RecursionError) as error:
        raise unusable(name, str(error) or "its manifest is not JSON") from error
    return saved


def _prove(saved: SavedPlan, plan: str, name: str) -> None:
    if saved.plan != plan:
        raise ValueError(
            f"it is of the plan {saved.plan}: its guests have that plan's names, MACs and keys, "
            "and nobody may have them twice"
        )
    if saved.name != name:
        raise ValueError(f"its manifest is that of the snapshot {saved.name}")
    if not saved.guests:
        raise ValueError("there is no guest in it")
    if len({guest.vm for guest in saved.guests}) != len(saved.guests):
        raise ValueError("a guest is in it twice")
    for guest in saved.guests:
        domain = guest.domain
        ours = (naming.domain(plan, domain.vm), naming.domain_uuid(plan, domain.vm), plan)
        if (domain.name, domain.uuid, domain.plan) != ours:
            raise ValueError(f"the guest {domain.vm} in it is not one of the plan {plan}")
        if {file.place for file in guest.files} != set(places(domain)):
            raise ValueError(f"the files of the guest {domain.vm} in it are not those of its disks")


def _guest(found: object, home: str) -> SavedGuest:
    if not isinstance(found, dict):
        raise ValueError("a guest in its manifest is not one")  # noqa: TRY004  (of a text)
    domain = from_mark(json.dumps(found.get("domain")))
    if domain is None:
        raise ValueError("a guest in its manifest is not as this version of vmnet writes them")
    if not _are_typed(domain):
        raise ValueError("a guest in its manifest has a value of another kind than vmnet writes")
    files = found.get("files")
    if not isinstance(files, dict) or not all(map(_PLACE.fullmatch, files)):
        raise ValueError(f"the files of {domain.vm} in its manifest lie elsewhere than vmnet's do")
    return SavedGuest(
        replace(domain, home=home),
        _number(found, "memory"),
        tuple(SavedFile(place, _number(files, place)) for place in files),
    )


def _are_typed(domain: Domain) -> bool:
    """Return whether the values that paths and devices are made of are what they should be."""
    texts = (
        *(domain.name, domain.uuid, domain.plan, domain.vm, domain.console, domain.kernel),
        *(domain.initrd, domain.nvram, domain.loader, domain.ignition, domain.network, domain.user),
        *(x for nic in domain.nics for x in (nic.link, nic.mac)),
        *(disk.path for disk in domain.disks),
    )
    numbers = (domain.memory_mib, domain.cpus, *(nic.mtu for nic in domain.nics))
    return (
        all(isinstance(x, str) for x in texts)
        and all(type(x) is int for x in numbers)
        and isinstance(domain.seed, str | None)
    )


def _list(found: dict[str, Any], key: str) -> list[object]:
    value = found.get(key)
    if not isinstance(value, list):
        raise ValueError(f'"{key}" in its manifest is no list')  # noqa: TRY004  (of a text)
    return value


def _text(found: dict[str, Any], key: str) -> str:
    value = found.get(key)
    if not isinstance(value, str):
        raise ValueError(f'"{key}" in its manifest is no text')  # noqa: TRY004  (of a text)
    return one_line(value, _MOST_SHOWN)


def _number(found: dict[str, Any], key: str) -> int:
    value = found.get(key)
    if type(value) is not int or value < 0:
        raise ValueError(f'"{one_line(key)}" in its manifest is no number')
    return value
