"""The XML of a domain compared with the plan: names, sizes, NICs, disks, what it boots.

What the plan means is what vmnet's own template writes for the domain. The paths that are compared
are listed here; what the plan has no key for is left to the template.
"""

from collections.abc import Callable, Iterator, Mapping

from provisioner.dataclass import dataclass
from provisioner.guest.xml.parse import Element
from provisioner.plan.scalars import quoted
from provisioner.text import one_line

AGENT = "org.qemu.guest_agent.0"
_PLANNED = {
    "@type": "{{ 'kvm' if domain.accel == 'kvm' else 'qemu' }}",
    "name": "{{ domain.name }}",
    "uuid": "{{ domain.uuid }}",
    "metadata/vmnet:domain": "{{ mark }}",
    "memory@dumpCore": "off",
    "os/loader": "{{ domain.loader }}",
    "os/nvram": "{{ domain.nvram }}",
    "os/nvram@template": "",
    "os/kernel": "{{ domain.kernel }}",
    "os/initrd": "{{ domain.initrd }}",
    "os/cmdline": "{{ cmdline }}",
    "sysinfo/entry@file": "{{ domain.ignition }}",
    "devices/emulator": "{{ emulator }}",
    "devices/serial/log@file": "{{ domain.console }}",
}
"""A path of elements (@attribute), and what to write for it in a template."""

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


def differences(root: Element, own: Element, memory_mib: int) -> Iterator[XmlDifference]:
    """Find everything in which a domain's XML is not what the plan says.

    `own` is the XML that vmnet's own template gives for the domain, which has `memory_mib`.
    """
    for path, write in _PLANNED.items():
        yield from _compared(root, path, _one(own, path), write)
    yield from _cpus(root, own)
    for path in ("memory", "currentMemory"):
        yield from _memory(root, path, memory_mib)
    for kind in (_NICS, _DISKS):
        yield from _paired(root, own, kind)
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
        what = f"{_shown(path)} is {quoted(found[0])}, which the plan has not"
        yield XmlDifference(where, what, "take it out, or say it in the plan")
    else:
        has = " and ".join(map(quoted, found)) if found else "missing"
        what = f"{_shown(path)} is {has}, the plan says {quoted(value)}"
        yield XmlDifference(where, what, f"write {write} there")


def _cpus(root: Element, own: Element) -> Iterator[XmlDifference]:
    """Compare the vCPUs that run; there may be room for as many more as vmnet's template gives."""
    has_room = _one(root, "vcpu") == _one(own, "vcpu") and _one(root, "vcpu@current")
    path = "vcpu@current" if has_room else "vcpu"
    yield from _compared(root, path, _one(own, "vcpu@current"), "{{ domain.cpus }}")


def _memory(root: Element, path: str, memory_mib: int) -> Iterator[XmlDifference]:
    elements = root.all(path)
    if not elements and path == "memory":
        yield XmlDifference(root, "memory is missing", _memory_fix())
    for element in elements:
        unit = _KIB.get(element.attributes.get("unit", ""), 0)
        number = element.text if element.text.isdecimal() and element.text.isascii() else "0"
        if int(number[:18]) * unit != memory_mib << 10:
            what = f"{path} is {quoted(element.text)}, the plan says {memory_mib} MiB"
            yield XmlDifference(element, what, _memory_fix())


def _memory_fix() -> str:
    return 'write <memory unit="MiB" dumpCore="off">{{ domain.memory_mib }}</memory>'


def _nic(nic: Element) -> Fields:
    return {
        "type": _one(nic, "@type"),
        "mac address": _one(nic, "mac@address"),
        "target managed": _one(nic, "target@managed"),
        "model type": _one(nic, "model@type"),
        "driver name": _one(nic, "driver@name"),
        "driver queues": _one(nic, "driver@queues") or "1",
        "mtu size": _one(nic, "mtu@size") or "1500",
    }


def _disk(disk: Element) -> Fields:
    backing = f"{_one(disk, 'backingStore/format@type')} {_one(disk, 'backingStore/source@file')}"
    return {
        "source type": _one(disk, "@type"),
        "device": _one(disk, "@device") or "disk",
        "driver type": _one(disk, "driver@type"),
        "target bus": _one(disk, "target@bus"),
        "readonly": "yes" if disk.all("readonly") else "no",
        "backingStore": "" if backing == " " else backing,
    }


@dataclass(frozen=True, slots=True)
class _Kind:
    path: str
    named: str  # what one is called, before its key
    key: Callable[[Element], str]
    fields: Callable[[Element], Fields]
    fix: str

    def elements(self, root: Element) -> list[tuple[str, Element]]:
        """Return the elements of the kind, each with its key."""
        return [(self.key(element), element) for element in root.all(self.path)]


_NICS = _Kind(
    "devices/interface",
    "a NIC on",
    lambda nic: _one(nic, "target@dev"),
    _nic,
    'include "interface.xml.j2" for each of domain.nics, or copy what it says',
)
_DISKS = _Kind(
    "devices/disk",
    "a disk on",
    lambda disk: _one(disk, "source@file") or _one(disk, "source@dev"),
    _disk,
    "disks are the plan's: write them there, and leave their part of the template as it was",
)


def _paired(root: Element, own: Element, kind: _Kind) -> Iterator[XmlDifference]:
    """Compare a set: none too many, none missing, none twice, each as it should be."""
    want = dict(kind.elements(own))
    seen = set()
    for key, element in kind.elements(root):
        if key not in want:
            what = f"{kind.path} is {kind.named} {quoted(key)}, which the plan has not"
            yield XmlDifference(element, what, kind.fix)
        elif key in seen:
            what = f"{kind.path} is {kind.named} {quoted(key)} for the second time"
            yield XmlDifference(element, what, kind.fix)
        else:
            yield from _as_wanted(kind, element, kind.fields(want[key]))
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
