"""What a running libvirt domain is made of, as far as a plan can say it; the rest in words.

The XML is libvirt's, but names and paths in it are whoever's: it is read as a user's template is,
without a DTD and without characters that hide.
"""

from collections.abc import Iterator, Mapping

from provisioner.dataclass import dataclass
from provisioner.guest.xml.parse import Element, parsed
from provisioner.network.facts import Link
from provisioner.pattern import pattern
from provisioner.plan.choices import Cache, DiskFormat, Mode
from provisioner.source_text import Source
from provisioner.text import one_line

_KIB = {"b": 1 / 1024, "bytes": 1 / 1024, "KiB": 1, "k": 1, "MiB": 1024, "GiB": 1024**2}
_NOT_IN_PLANS = (
    *("hostdev", "filesystem", "tpm", "sound", "redirdev", "shmem", "vsock", "smartcard"),
    *("watchdog", "panic", "iommu", "parallel", "memory"),
)
_NIC_EXTRAS = ("bandwidth", "filterref", "virtualport", "vlan", "port", "coalesce", "tune", "boot")
_MACHINE = pattern(r"(?:pc-)?(q35|i440fx)|pc\b")
_MODES = {"passthrough": Mode.PASSTHRU}
_OURS = "vmnet:domain"


@dataclass(frozen=True, slots=True)
class AdoptedNic:
    """A NIC on a macvtap."""

    uplink: str
    mode: Mode
    mac: str = ""
    mtu: int = 0
    queues: int = 1
    vhost: str = ""
    is_down: bool = False
    nopromisc: bool = False
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AdoptedDisk:
    """A disk of a file or a block device."""

    path: str
    form: str
    is_device: bool = False
    readonly: bool = False
    cache: str = ""


@dataclass(frozen=True, slots=True)
class AdoptedVm:
    """A domain as a plan would have it; `notes` say what a plan cannot."""

    domain: str
    nics: tuple[AdoptedNic, ...] = ()
    memory_mib: int = 0
    cpus: int = 1
    machine: str = "q35"
    is_uefi: bool = False
    is_vnc: bool = False
    kernel: str = ""
    initrd: str = ""
    cmdline: str = ""
    disks: tuple[AdoptedDisk, ...] = ()
    notes: tuple[str, ...] = ()
    refusal: str = ""  # why no plan can have it


def read(name: str, xml: str, links: Mapping[str, Link]) -> AdoptedVm:
    """Read a domain; `links` are this host's macvtaps and what they stand on, by name."""
    root, errors = parsed(Source("its XML", xml))
    if root is None:
        return AdoptedVm(name, refusal=f"its XML is not read: {errors[0].what}")
    if root.all(f"metadata/{_OURS}"):
        return AdoptedVm(name, refusal="a plan of vmnet's has it already: vmnet ls")
    reader = _Reader(root, links)
    nics = tuple(reader.nics())
    if not nics:
        return AdoptedVm(name, refusal="it has no NIC on a macvtap", notes=tuple(reader.notes))
    if refusal := reader.refusal():
        return AdoptedVm(name, refusal=refusal)
    machine = reader.machine()
    disks = tuple(reader.disks())
    is_vnc = reader.is_vnc()
    reader.note_the_rest()
    return AdoptedVm(
        name,
        nics,
        reader.memory_mib(),
        reader.cpus(),
        machine,
        reader.is_uefi(),
        is_vnc,
        reader.text("os/kernel"),
        reader.text("os/initrd"),
        reader.text("os/cmdline"),
        disks,
        tuple(reader.notes),
    )


class _Reader:
    def __init__(self, root: Element, links: Mapping[str, Link]) -> None:
        self.root = root
        self.links = links
        self.notes: list[str] = []

    def text(self, path: str) -> str:
        found = self.root.all(path)
        return found[0].text.strip() if found else ""

    def attribute(self, element: Element, path: str, name: str) -> str:
        found = element.all(path)
        return found[0].attributes.get(name, "") if found else ""

    def note(self, text: str) -> None:
        self.notes.append(one_line(text))

    def refusal(self) -> str:
        kind, arch = self.text("os/type"), self.attribute(self.root, "os/type", "arch")
        if kind != "hvm" or arch not in {"x86_64", ""}:
            return one_line(f"vmnet's guests are x86_64 machines, this one is {arch} {kind}")
        return ""

    def memory_mib(self) -> int:
        unit = self.attribute(self.root, "memory", "unit") or "KiB"
        text = self.text("memory")
        if not text.isdecimal() or unit not in _KIB:
            self.note(f"its memory is not understood: {text} {unit}")
            return 0
        return int(int(text) * _KIB[unit]) >> 10

    def cpus(self) -> int:
        text = self.attribute(self.root, "vcpu", "current") or self.text("vcpu")
        return int(text) if text.isdecimal() else 1

    def machine(self) -> str:
        found = self.attribute(self.root, "os/type", "machine")
        match = _MACHINE.match(found)
        if not match:
            self.note(f"its machine {found} is not one of vmnet's: q35 or pc")
        return "pc" if match and match[1] != "q35" else "q35"

    def is_uefi(self) -> bool:
        loader = self.root.all("os/loader")
        pflash = any(x.attributes.get("type") == "pflash" for x in loader)
        if any(x.attributes.get("secure") == "yes" for x in loader):
            self.note("its secure boot: vmnet has none")
        os = self.root.all("os")
        uefi = pflash or any(x.attributes.get("firmware") == "efi" for x in os)
        if uefi:
            self.note("the variables of its UEFI (boot entries): they begin anew")
        return uefi

    def is_vnc(self) -> bool:
        kinds = [x.attributes.get("type", "") for x in self.root.all("devices/graphics")]
        for kind in kinds:
            if kind != "vnc":
                self.note(f"its graphics of type {kind}")
        return "vnc" in kinds

    def disks(self) -> Iterator[AdoptedDisk]:
        for disk in self.root.all("devices/disk"):
            found, why = _disk(disk)
            if found:
                yield found
            else:
                target = self.attribute(disk, "target", "dev") or "?"
                self.note(f"its disk {target}: {why}")

    def nics(self) -> Iterator[AdoptedNic]:
        for interface in self.root.all("devices/interface"):
            kind = interface.attributes.get("type", "")
            mac = self.attribute(interface, "mac", "address")
            found = self._on_macvtap(interface, kind)
            if found is None:
                self.note(f"its NIC {mac} of type {kind}, which is on no macvtap of this host")
                continue
            link, uplink, mode = found
            for extra in _NIC_EXTRAS:
                if interface.all(extra):
                    self.note(f"what <{extra}> says of its NIC {mac}")
            model = self.attribute(interface, "model", "type")
            if model != "virtio":
                self.note(f"the model {model or '?'} of its NIC {mac}: it becomes virtio")
            queues = self.attribute(interface, "driver", "queues")
            mtu = self.attribute(interface, "mtu", "size")
            yield AdoptedNic(
                uplink,
                mode,
                mac,
                int(mtu) if mtu.isdecimal() else 0,
                int(queues) if queues.isdecimal() else 1,
                {"vhost": "on", "qemu": "off"}.get(self.attribute(interface, "driver", "name"), ""),
                self.attribute(interface, "link", "state") == "down",
                bool(link and link.nopromisc),
                link.sources if link else (),
            )

    def _on_macvtap(self, interface: Element, kind: str) -> tuple[Link | None, str, Mode] | None:
        """Return the macvtap of a NIC, its uplink and its mode: what the kernel says comes first.

        The device of a domain in another network namespace is not seen: libvirt's words count then.
        """
        link = self.links.get(self.attribute(interface, "target", "dev"))
        if link and link.kind == "macvtap" and kind in {"ethernet", "direct"}:
            lower = next((x.name for x in self.links.values() if x.index == link.lower), "")
            if lower and link.mode in set(Mode):
                return link, lower, Mode(link.mode)
        if kind == "direct":
            word = self.attribute(interface, "source", "mode") or "vepa"
            mode = _MODES.get(word) or (Mode(word) if word in set(Mode) else None)
            uplink = self.attribute(interface, "source", "dev")
            if mode and uplink:
                return None, uplink, mode
        return None

    def note_the_rest(self) -> None:
        for device in _NOT_IN_PLANS:
            if count := len(self.root.all(f"devices/{device}")):
                self.note(f"its {device}" + (f" ({count} of them)" if count > 1 else ""))
        if self.root.all("qemu:commandline"):
            self.note("QEMU's own arguments (qemu:commandline)")
        for part in ("cputune", "memoryBacking", "numatune", "blkiotune", "iothreads"):
            if self.root.all(part):
                self.note(f"<{part}>")


def _disk(disk: Element) -> tuple[AdoptedDisk | None, str]:
    """Return a disk, or why a plan cannot have it."""
    if (device := disk.attributes.get("device", "disk")) != "disk":
        return None, f"a {device}"
    kind = disk.attributes.get("type", "")
    sources, drivers = disk.all("source"), disk.all("driver")
    source = sources[0].attributes if sources else {}
    driver = drivers[0].attributes if drivers else {}
    path = source.get("file" if kind == "file" else "dev", "")
    if kind not in {"file", "block"} or not path:
        return None, f"of type {kind}"
    if disk.all("encryption") or (sources and sources[0].all("encryption")):
        return None, "it is encrypted"
    form = driver.get("type", "")
    if form not in set(DiskFormat) or (kind == "block" and form != DiskFormat.RAW):
        return None, f"its format {form or 'is not said, and never guessed'}"
    cache = driver.get("cache", "")
    return AdoptedDisk(
        path,
        form,
        kind == "block",
        bool(disk.all("readonly")),
        cache if cache in set(Cache) else "",
    ), ""
