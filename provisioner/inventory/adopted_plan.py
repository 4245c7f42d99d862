"""The plan that adopted domains stand for, as YAML with comments; it is loaded to prove it one."""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from provisioner.errors import Complaints
from provisioner.inventory.adopted import AdoptedDisk, AdoptedNic, AdoptedVm
from provisioner.pattern import pattern
from provisioner.plan.choices import Mode
from provisioner.plan.load import loader
from provisioner.plan.load.variables import literal
from provisioner.text import one_line

_LONGEST_VM: Final = 40
_LONGEST_NETWORK: Final = 32
_NO_SUCH = pattern(r"[^a-z0-9]+")
_NO_MORE: Final = pattern(r"[^a-z0-9_]+")

Wire = tuple[str, Mode]
"""What NICs share a network by: their uplink and mode."""


def plan_text(name: str, vms: Sequence[AdoptedVm]) -> str:
    """Write the plan, and load it again. Raises Complaints when it is none, at their places.

    A VM that no plan can have as it is, is left out, and a comment says why.
    """
    good = [vm for vm in vms if not vm.refusal]
    refused = [(vm, vm.refusal) for vm in vms if vm.refusal]
    names = _distinct([_label(vm.domain, _NO_SUCH, "vm", _LONGEST_VM) for vm in good])
    fitting = []
    for vm, label in zip(good, names, strict=True):
        try:
            loader.load(_text(name, [(vm, label)], []), "the adopted plan")
        except Complaints as complaints:
            refused.append((vm, complaints.errors[0].what))
        else:
            fitting.append((vm, label))
    text = _text(name, fitting, refused)
    if fitting:
        loader.load(text, "the adopted plan")
    return text


def _text(
    name: str, vms: Sequence[tuple[AdoptedVm, str]], refused: Iterable[tuple[AdoptedVm, str]]
) -> str:
    wires = list(dict.fromkeys((nic.uplink, nic.mode) for vm, _ in vms for nic in vm.nics))
    labels = [_label(f"{x}-{mode}", _NO_MORE, "lan", _LONGEST_NETWORK) for x, mode in wires]
    networks = dict(zip(wires, _distinct(labels), strict=True))
    lines = [f"name: {_quoted(name)}", *_header([vm for vm, _ in vms])]
    for vm, why in refused:
        lines.append(_comment(f"left out: the domain {vm.domain}: {why}"))
    if not vms:
        return "\n".join([*lines, ""])
    lines.append("networks:")
    for (uplink, mode), label in networks.items():
        lines.append(
            f"  {label}: {{uplink: {_quoted(uplink)}, mode: {mode}, addressing: dhcp,"
            " spoof_guard: off}"
        )
    lines.append("vms:")
    for vm, label in vms:
        lines += _vm(vm, label, networks)
    return "\n".join([*lines, ""])


def _header(vms: Sequence[AdoptedVm]) -> Iterator[str]:
    yield _comment("written by vmnet adopt; the domains have not been touched")
    yield _comment("addresses are not in libvirt: write subnet: and address: where they are static")
    if any(_has_boot_disk(vm) for vm in vms):
        yield _comment("image: file: is copied by vmnet up: shut the domain down first")
    outside = [path for vm in vms for path in _paths(vm)]
    if outside:
        yield _comment("vmnet up needs these files to be allowed:")
        for path in dict.fromkeys(outside):
            yield _comment(f"  --allow-file {path}")


def _vm(vm: AdoptedVm, label: str, networks: dict[Wire, str]) -> Iterator[str]:
    if label != vm.domain:
        yield _comment(f"the domain {vm.domain}", 2)
    for note in vm.notes:
        yield _comment(f"not in the plan: {note}", 2)
    yield f"  {label}:"
    yield from (f"    {key}: {value}" for key, value in [*_booted(vm), *_machine(vm)])
    disks = vm.disks[1:] if _has_boot_disk(vm) else vm.disks
    if disks:
        yield "    disks:"
        yield from (f"      - {{{', '.join(_disk(disk))}}}" for disk in disks)
    yield "    nics:"
    for nic in vm.nics:
        yield f"      - {{{', '.join(_nic(nic, networks[nic.uplink, nic.mode]))}}}"


def _booted(vm: AdoptedVm) -> Iterator[tuple[str, str]]:
    """Return what a VM boots from; without a kernel or a disk of a file there is nothing."""
    if _has_boot_disk(vm):
        yield "image", _quoted(f"file:{vm.disks[0].path}")
        yield "boot", "uefi" if vm.is_uefi else "bios"
    else:
        yield "image", "none"
        for key, value in (
            ("kernel", vm.kernel),
            ("initrd", vm.initrd),
            ("cmdline", vm.cmdline),
        ):
            if value:
                yield key, _quoted(value)


def _machine(vm: AdoptedVm) -> Iterator[tuple[str, str]]:
    if vm.machine != "q35":
        yield "machine", vm.machine
    if vm.memory_mib:
        yield "memory", f"{vm.memory_mib}M"
    yield "cpus", str(vm.cpus)
    if vm.is_vnc:
        yield "graphics", "vnc"
    yield "ready", "started"


def _nic(nic: AdoptedNic, network: str) -> Iterator[str]:
    yield f"network: {network}"
    if nic.mac and not nic.mode.takes_uplink_mac:
        yield f"mac: {_quoted(nic.mac)}"
    if nic.mtu:
        yield f"mtu: {nic.mtu}"
    if nic.queues > 1:
        yield f"queues: {nic.queues}"
    if nic.vhost:
        yield f"vhost: {_quoted(nic.vhost)}"
    if nic.is_down:
        yield "link: down"
    if nic.nopromisc and nic.mode.is_exclusive:
        yield "promisc: false"
    if nic.sources and nic.mode.has_source_list:
        yield f"allow: [{', '.join(map(_quoted, nic.sources))}]"


def _disk(disk: AdoptedDisk) -> Iterator[str]:
    yield f"{'device' if disk.is_device else 'path'}: {_quoted(disk.path)}"
    if not disk.is_device:
        yield f"format: {disk.form}"
    if disk.readonly:
        yield "readonly: true"
    if disk.cache:
        yield f"cache: {disk.cache}"


def _has_boot_disk(vm: AdoptedVm) -> bool:
    return not vm.kernel and bool(vm.disks) and not vm.disks[0].is_device


def _paths(vm: AdoptedVm) -> Iterator[str]:
    yield from (path for path in (vm.kernel, vm.initrd) if path)
    yield from (disk.path for disk in vm.disks)


def _label(text: str, other: re.Pattern[str], otherwise: str, longest: int) -> str:
    """Return a name that a plan takes: what it takes of a text, a letter first."""
    label = other.sub("-", text.lower()).strip("-_")
    if not label or not label[0].isalpha():
        label = f"{otherwise}-{label}".strip("-_")
    return label[:longest].strip("-_")


def _distinct(labels: Sequence[str]) -> list[str]:
    """Return the names with numbers behind those that come twice."""
    found: list[str] = []
    for label in labels:
        number, name = 1, label
        while name in found:
            number += 1
            name = f"{label[: _LONGEST_NETWORK - 4]}-{number}"
        found.append(name)
    return found


def _comment(text: str, indent: int = 0) -> str:
    return f"{' ' * indent}# {one_line(text)}"


def _quoted(text: str) -> str:
    return json.dumps(literal(text), ensure_ascii=False)
