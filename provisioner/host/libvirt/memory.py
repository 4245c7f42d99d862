"""The memory of guests: all paused together, saved into files, restored from them, resumed.

Functions of a plan's domains, called in the worker. A guest is saved by an external snapshot of its
memory alone, so its QEMU goes on; its disks are copied while it is paused.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, Final
from xml.etree import ElementTree as ET

from provisioner.dataclass import dataclass
from provisioner.errors import VmnetError
from provisioner.guest.domain import NAMESPACE, Domain
from provisioner.guest.xml.label import labelled
from provisioner.guest.xml.render import from_mark, to_mark
from provisioner.host.libvirt.domains import Domains
from provisioner.host.libvirt.errors import converted, converting

_RESTORING: Final = "urn:vmnet:restoring:1"
"""The namespace of the mark of a guest that is being restored: its text says how far it is."""

_NEVER_RUN, _MAY_RUN = "paused", "resuming"

_PAUSED: Final = 3
_ANNOUNCE: Final = (
    '{"execute": "announce-self", '
    '"arguments": {"initial": 20, "max": 300, "rounds": 4, "step": 60}}'
)
_DROP: Final = '{"execute": "closefd", "arguments": {"fdname": "migrate"}}'
"""libvirt passes QEMU a descriptor of that name before it has it write (qemuMonitorMigrateToFd)."""


@dataclass(frozen=True, slots=True)
class Versions:
    """Of this host's libvirt and QEMU, as libvirt counts."""

    libvirt: int
    qemu: int


def versions(domains: Domains) -> Versions:
    """Ask libvirt for its version and QEMU's. Raises VmnetError."""
    with converting("asking libvirt for its version"):
        return Versions(domains.connection.getLibVersion(), domains.connection.getVersion())


def suspend(domains: Domains, names: Sequence[str]) -> list[str]:
    """Pause guests together; return those that have run. All or none: raises VmnetError.

    QEMU writes what it holds of their disks before it says that they are paused (vm_stop drains and
    flushes the block layer), so the files are whole then.
    """
    paused: list[str] = []
    try:
        found = [_joined(domains, name) for name in names]
        for name, dom in zip(names, found, strict=True):
            with converting(f"pausing {name}"):
                if dom.state()[0] != _PAUSED:
                    dom.suspend()
                    paused.append(name)
    except VmnetError:
        with suppress(VmnetError):
            resume(domains, paused)
        raise
    return paused


def resume(domains: Domains, names: Sequence[str]) -> list[str]:
    """Let paused guests go on, together; return them. Raises VmnetError for one that cannot.

    All others go on nevertheless. One that runs already is fine.
    """
    errors: list[VmnetError] = []
    resumed: list[str] = []
    found = [(name, _joined(domains, name)) for name in names]
    for name, dom in found:
        try:
            with converting(f"resuming {name}"):
                if dom.state()[0] == _PAUSED:
                    dom.resume()
                    resumed.append(name)
        except VmnetError as error:
            errors.append(error)
    if errors:
        raise errors[0]
    return resumed


def save(domains: Domains, name: str, path: str) -> None:
    """Write the memory of a paused guest into a file, which libvirt makes. Raises VmnetError."""
    import libvirt

    with converting(f"saving the memory of {name}"):
        dom = domains.lookup(name)
        snapshot = ET.Element("domainsnapshot")
        ET.SubElement(snapshot, "memory", {"snapshot": "external", "file": path})
        disks = ET.SubElement(snapshot, "disks")
        for target in ET.fromstring(dom.XMLDesc(0)).iterfind("devices/disk/target"):  # noqa: S314
            ET.SubElement(disks, "disk", {"name": target.get("dev", ""), "snapshot": "no"})
        flags = libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_NO_METADATA
        dom.snapshotCreateXML(ET.tostring(snapshot, "unicode"), flags)


def give_up(domains: Domains, names: Sequence[str]) -> None:
    """Have QEMUs close the files that a killed run was about to have them write their memory to.

    The program of libvirt's that writes them waits for that; otherwise it does until the guest's
    end.
    """
    import libvirt
    import libvirt_qemu

    for name in names:
        with suppress(libvirt.libvirtError):  # it has none, or has closed it
            libvirt_qemu.qemuMonitorCommand(domains.lookup(name), _DROP, 0)


def described(domains: Domains, path: str) -> Domain | None:
    """Return the mark of the guest whose memory is in a file, None when it has none of vmnet's.

    Raises VmnetError when libvirt cannot read it.
    """
    with converting(f"reading {path}"):
        xml = domains.connection.saveImageGetXMLDesc(path, 0)
    mark = ET.fromstring(xml).find(f"metadata/{{{NAMESPACE}}}*")  # noqa: S314  (libvirt's own)
    return from_mark("".join(mark.itertext()).strip()) if mark is not None else None


def restore(domains: Domains, domain: Domain, path: str) -> None:
    """Start a guest, paused, from the memory in a file. Raises VmnetError with libvirt's reason.

    Until it is resumed it bears a mark, so that whoever comes after a kill knows that it has not
    run since.
    """
    import libvirt

    with converting(f'restoring VM "{domain.vm}"'):
        xml = domains.connection.saveImageGetXMLDesc(path, libvirt.VIR_DOMAIN_SAVE_IMAGE_XML_SECURE)
        tree = ET.fromstring(xml)  # noqa: S314  (libvirt's own)
        metadata = tree.find("metadata")
        if metadata is None:
            metadata = ET.SubElement(tree, "metadata")
        ET.SubElement(metadata, f"{{{_RESTORING}}}restoring").text = _NEVER_RUN
        mark = tree.find(f"metadata/{{{NAMESPACE}}}domain")
        if mark is not None:
            mark.text = to_mark(domain)  # its user may be another one than then
        for label in tree.findall("seclabel[@model='dac']"):
            tree.remove(label)
        new = labelled(ET.tostring(tree, "unicode"), domain)
        domains.connection.restoreFlags(path, new, libvirt.VIR_DOMAIN_SAVE_PAUSED)


def never_run(domains: Domains) -> list[str]:
    """Return the names of the plan's domains that were restored and not resumed since."""
    return [name for name, mark in _restoring(domains) if mark == _NEVER_RUN]


def left(domains: Domains) -> list[str]:
    """Return the names of those that are paused because a restore was killed."""
    return [name for name, _ in _restoring(domains)]


def begin(domains: Domains, names: Sequence[str]) -> None:
    """Let restored guests go on, together, and take away their marks.

    The marks first say that they may have run: whoever comes after a kill must not take one that
    has run for one that has not. They announce themselves, so that switches learn where they are.
    Raises VmnetError.
    """
    import libvirt
    import libvirt_qemu

    for name in names:
        _mark(domains, name, f"<restoring>{_MAY_RUN}</restoring>")
    resume(domains, names)
    for name in names:
        _mark(domains, name, None)
        # Of an old QEMU that does not know it: then the guest's own next packet does the same.
        with suppress(libvirt.libvirtError):
            libvirt_qemu.qemuMonitorCommand(domains.lookup(name), _ANNOUNCE, 0)


def end(domains: Domains, name: str) -> None:
    """End a guest at once, as a loss of power would; one that has ended is fine."""
    import libvirt

    try:
        domains.connection.lookupByName(name).destroy()
    except libvirt.libvirtError as error:
        gone = {libvirt.VIR_ERR_NO_DOMAIN, libvirt.VIR_ERR_OPERATION_INVALID}
        if error.get_error_code() not in gone:
            raise converted(error, f"ending {name}") from error


def _joined(domains: Domains, name: str) -> Any:  # (libvirt has no types)
    """Return libvirt's handle of a domain, when libvirt has joined its QEMU again.

    One that has just been opened knows its state from its own record, and may have been killed
    before it had written down the last change of it.
    """
    import libvirt

    dom = domains.lookup(name)
    with suppress(libvirt.libvirtError):
        dom.memoryStats()
    return dom


def _mark(domains: Domains, name: str, mark: str | None) -> None:
    import libvirt

    kind, live = libvirt.VIR_DOMAIN_METADATA_ELEMENT, libvirt.VIR_DOMAIN_AFFECT_LIVE
    with converting(f"marking {name}"):
        domains.lookup(name).setMetadata(kind, mark, "vmnet-restoring", _RESTORING, live)


def _restoring(domains: Domains) -> Iterator[tuple[str, str]]:
    """Return the plan's paused domains that have such a mark, and what it says."""
    import libvirt

    running, _, _ = domains.observe()
    for domain in running:
        try:
            dom = _joined(domains, domain.name)
            if dom.state()[0] != _PAUSED:
                continue
            xml = dom.metadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, _RESTORING, 0)
        except (libvirt.libvirtError, VmnetError):
            continue  # it has none, or it has ended
        yield domain.name, "".join(ET.fromstring(xml).itertext()).strip()  # noqa: S314
