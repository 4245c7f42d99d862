"""Whether the XML of a domain says what the plan says: names, sizes, NICs, disks, what it boots.

Each value of the plan is a line here; what the plan has no word for is left to the template.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from provisioner.guest.domain import Domain, DomainDisk, DomainNic
from provisioner.guest.xml import render
from provisioner.guest.xml.parse import Element
from provisioner.plan.scalars import quoted
from provisioner.text import one_line

AGENT = "org.qemu.guest_agent.0"
_BY_THE_LIST = {"type", "target managed", "model type"}
"""Fields with one value in templates/domain-allowlist.txt: here they are checked for presence."""

_KIB = {"": 1, "KiB": 1, "k": 1, "MiB": 1 << 10, "M": 1 << 10, "GiB": 1 << 20, "G": 1 << 20}


@dataclass(frozen=True, slots=True)
class XmlDifference:
    """One thing that is not as planned, the element where it stands, and how to fix it."""

    element: Element
    what: str
    fix: str


Fields = Mapping[str, str]


def _planned(domain: Domain) -> Iterator[tuple[str, str, str]]:
    """Return what the plan says: a path of elements (@attribute), the value, what to write for it.

    A value of "" must not be there at all.
    """
    accel = "kvm" if domain.accel == "kvm" else "qemu"
    values = render.template_values(domain)
    yield "@type", accel, "{{ 'kvm' if domain.accel == 'kvm' else 'qemu' }}"
    yield "name", domain.name, "{{ domain.name }}"
    yield "uuid", domain.uuid, "{{ domain.uuid }}"
    yield "metadata/vmnet:domain", str(values["mark"]), "{{ mark }}"
    yield "memory@dumpCore", "off", "off"
    yield "vcpu", str(domain.cpus), "{{ domain.cpus }}"
    yield "os/loader", domain.loader, "{{ domain.loader }}"
    yield "os/nvram", domain.nvram, "{{ domain.nvram }}"
    yield "os/nvram@template", "", ""
    yield "os/kernel", domain.kernel, "{{ domain.kernel }}"
    yield "os/initrd", domain.initrd, "{{ domain.initrd }}"
    yield "os/cmdline", str(values["cmdline"]) if domain.kernel else "", "{{ cmdline }}"
    yield "sysinfo/entry@file", domain.ignition, "{{ domain.ignition }}"
    yield "devices/emulator", str(values["emulator"]), "{{ emulator }}"
    yield "devices/serial/log@file", domain.console, "{{ domain.console }}"


def _wanted_nics(domain: Domain) -> dict[str, Fields]:
    return {nic.link: _wanted_nic(nic) for nic in domain.nics}


def _wanted_nic(nic: DomainNic) -> Fields:
    return {
        "type": "ethernet",
        "mac address": nic.mac,
        "target managed": "no",
        "model type": "virtio",
        "driver name": "vhost" if nic.vhost else "qemu",
        "driver queues": str(nic.queues),
        "mtu size": str(nic.mtu),
    }


def _found_nic(nic: Element) -> Fields:
    return {
        "type": _one(nic, "@type"),
        "mac address": _one(nic, "mac@address"),
        "target managed": _one(nic, "target@managed"),
        "model type": _one(nic, "model@type"),
        "driver name": _one(nic, "driver@name"),
        "driver queues": _one(nic, "driver@queues") or "1",
        "mtu size": _one(nic, "mtu@size") or "1500",
    }


def _wanted_disks(domain: Domain) -> dict[str, Fields]:
    disks = {disk.path: _wanted_disk(disk) for disk in domain.disks}
    if domain.seed:
        disks[domain.seed] = _wanted_disk(DomainDisk(domain.seed, "raw", readonly=True))
    return disks


def _wanted_disk(disk: DomainDisk) -> Fields:
    """Return what a disk of the plan looks like."""
    return {
        "source type": disk.kind,
        "device": "disk",
        "driver type": disk.format,
        "target bus": "virtio",
        "readonly": "yes" if disk.readonly else "no",
        "backingStore": f"{disk.backing_format} {disk.backing}" if disk.backing else "",
    }


def _found_disk(disk: Element) -> Fields:
    backing = f"{_one(disk, 'backingStore/format@type')} {_one(disk, 'backingStore/source@file')}"
    return {
        "source type": _one(disk, "@type"),
        "device": _one(disk, "@device") or "disk",
        "driver type": _one(disk, "driver@type"),
        "target bus": _one(disk, "target@bus"),
        "readonly": "yes" if disk.all("readonly") else "no",
        "backingStore": "" if backing == " " else backing,
    }


def differences(root: Element, domain: Domain) -> Iterator[XmlDifference]:
    """Find everything in which a domain's XML is not what the plan says."""
    for path, value, write in _planned(domain):
        yield from _compared(root, path, value, write)
    for path in ("memory", "currentMemory"):
        yield from _memory(root, path, domain)
    yield from _nics(root, domain)
    yield from _disks(root, domain)
    yield from _agent(root)
    yield from _screens(root)


def _compared(root: Element, path: str, value: str, write: str) -> Iterator[XmlDifference]:
    elements = _at(root, path)
    found = [text for element in elements if (text := _value(element, path))]
    if found == ([value] if value else []):
        return
    others = [element for element in elements if _value(element, path) != value]
    where = [*others, *elements, root][0]
    if not value:
        yield XmlDifference(where, f"{_shown(path)} is {quoted(found[0])}, which the plan has not",
                         "take it out, or say it in the plan")  # fmt: skip
    else:
        has = " and ".join(map(quoted, found)) if found else "missing"
        yield XmlDifference(
            where, f"{_shown(path)} is {has}, the plan says {quoted(value)}", f"write {write} there"
        )


def _memory(root: Element, path: str, domain: Domain) -> Iterator[XmlDifference]:
    elements = root.all(path)
    if not elements and path == "memory":
        yield XmlDifference(root, "memory is missing", _memory_fix())
    for element in elements:
        unit = _KIB.get(element.attributes.get("unit", ""), 0)
        number = element.text if element.text.isdecimal() and element.text.isascii() else "0"
        if int(number[:18]) * unit != domain.memory_mib << 10:
            what = f"{path} is {quoted(element.text)}, the plan says {domain.memory_mib} MiB"
            yield XmlDifference(element, what, _memory_fix())


def _memory_fix() -> str:
    return 'write <memory unit="MiB" dumpCore="off">{{ domain.memory_mib }}</memory>'


def _nics(root: Element, domain: Domain) -> Iterator[XmlDifference]:
    nics = [(_one(nic, "target@dev"), nic) for nic in root.all("devices/interface")]
    kind = _Kind("devices/interface", "a NIC on", 'include "interface.xml.j2" for each of'
                 " domain.nics, or copy what it says", _found_nic)  # fmt: skip
    yield from _paired(root, kind, nics, _wanted_nics(domain))


def _disks(root: Element, domain: Domain) -> Iterator[XmlDifference]:
    disks = [
        (_one(disk, "source@file") or _one(disk, "source@dev"), disk)
        for disk in root.all("devices/disk")
    ]
    kind = _Kind("devices/disk", "a disk on", "disks are the plan's: write them there, and leave"
                 " their part of the template as it was", _found_disk)  # fmt: skip
    yield from _paired(root, kind, disks, _wanted_disks(domain))


@dataclass(frozen=True, slots=True)
class _Kind:
    path: str
    named: str  # what one is called, before its key
    fix: str
    fields: Callable[[Element], Fields]


def _paired(
    root: Element, kind: _Kind, found: list[tuple[str, Element]], want: Mapping[str, Fields]
) -> Iterator[XmlDifference]:
    """Compare a set: none too many, none missing, none twice, each as it should be."""
    seen = set()
    for key, element in found:
        if key not in want:
            what = f"{kind.path} is {kind.named} {quoted(key)}, which the plan has not"
            yield XmlDifference(element, what, kind.fix)
        elif key in seen:
            what = f"{kind.path} is {kind.named} {quoted(key)} for the second time"
            yield XmlDifference(element, what, kind.fix)
        else:
            yield from _as_wanted(kind, element, want[key])
        seen.add(key)
    for key in (key for key in want if key not in seen):
        where = (root.all("devices") or [root])[0]
        yield XmlDifference(where, f"{kind.path} is missing: {kind.named} {quoted(key)}", kind.fix)


def _as_wanted(kind: _Kind, element: Element, want: Fields) -> Iterator[XmlDifference]:
    has = kind.fields(element)
    for name, value in want.items():
        # Without a backingStore libvirt reads, from an overlay's header, what vmnet wrote there.
        fits = has[name] == value or (name == "backingStore" and not has[name])
        if not fits and not (name in _BY_THE_LIST and has[name]):
            what = f"{kind.path}: its {name} is {quoted(has[name])}, the plan says {quoted(value)}"
            yield XmlDifference(element, what, kind.fix)


def _agent(root: Element) -> Iterator[XmlDifference]:
    names = [_one(channel, "target@name") for channel in root.all("devices/channel")]
    if names.count(AGENT) != 1:
        where = (root.all("devices") or [root])[0]
        what = f"devices/channel to the guest agent stands there {names.count(AGENT)} times"
        fix = f'write <channel type="unix"><target type="virtio" name="{AGENT}"/></channel> once'
        yield XmlDifference(where, what, fix)


def _screens(root: Element) -> Iterator[XmlDifference]:
    for screen in root.all("devices/graphics"):
        if "listen" not in screen.attributes and not screen.all("listen"):
            what = "devices/graphics leaves it to libvirt's configuration who may see the screen"
            yield XmlDifference(screen, what, 'write listen="127.0.0.1"')


def _one(element: Element, path: str) -> str:
    """Return the one value at a path, or "" for none; of several, all, which is never right."""
    return "\n".join(_value(found, path) for found in _at(element, path))


def _at(element: Element, path: str) -> list[Element]:
    steps = path.partition("@")[0]
    return element.all(steps) if steps else [element]


def _value(element: Element, path: str) -> str:
    name = path.partition("@")[2]
    return element.attributes.get(name, "") if name else element.text


def _shown(path: str) -> str:
    return one_line(f"domain{path}" if path.startswith("@") else path)
