"""The XML of a guest that comes to this host: libvirt's of where it runs, with this host's places.

The guest's machine has to stay as it is, to the last address on a bus; paths, the user of its QEMU
and vmnet's mark are the host's own.
"""

from collections.abc import Mapping
from xml.etree import ElementTree as ET

from provisioner.errors import VmnetError, bad_input
from provisioner.guest.domain import NAMESPACE, Domain
from provisioner.guest.xml.render import to_mark

_PLACES = ("file", "dev")  # attributes that name what QEMU opens


def arriving_xml(xml: str, there: Domain, here: Domain) -> str:
    """Return what libvirt is to make of a guest here, from its XML and its values at both hosts.

    Raises VmnetError when the XML is not of that guest.
    """
    root = _root(xml)
    if root.findtext("uuid") != there.uuid or root.findtext("name") != here.name:
        raise _unusable("it is of another domain")
    mark = root.find(f"metadata/{{{NAMESPACE}}}domain")
    if mark is None:
        raise _unusable("it has no mark of vmnet's")
    mark.text = to_mark(here)
    paths = _paths(there, here)
    for element in root.iter():
        if element.tag in {"kernel", "initrd", "loader", "nvram"}:
            element.text = paths.get(element.text or "", element.text)
        for name in _PLACES:
            if element.get(name) in paths:
                element.set(name, paths[element.get(name, "")])
    _label(root, here)
    ET.register_namespace("vmnet", NAMESPACE)
    ET.register_namespace("qemu", "http://libvirt.org/schemas/domain/qemu/1.0")
    return ET.tostring(root, "unicode")


def _root(xml: str) -> ET.Element:
    if "<!DOCTYPE" in xml:
        raise _unusable("it has a document type")
    try:
        return ET.fromstring(xml)  # noqa: S314  (no document type, so no entities)
    except ET.ParseError as error:
        raise _unusable(str(error)) from None


def _unusable(why: str) -> VmnetError:
    return bad_input(
        f"the XML of the guest that is offered cannot be used: {why}",
        "install the same version of vmnet on both hosts, then run vmnet move again",
    )


def _paths(there: Domain, here: Domain) -> Mapping[str, str]:
    """Return where each file of the guest is here, by where it is there."""
    names = ("kernel", "initrd", "loader", "nvram", "seed", "ignition", "console")
    pairs = [(getattr(there, name) or "", getattr(here, name) or "") for name in names]
    for old, new in zip(there.disks, here.disks, strict=True):
        pairs += [(old.path, new.path), (old.backing, new.backing)]
    return {old: new for old, new in pairs if old}


def _label(root: ET.Element, here: Domain) -> None:
    """Let QEMU run as this host's user for the guest."""
    for label in root.findall("seclabel"):
        if label.get("model") == "dac":
            root.remove(label)
    if here.uid:
        label = ET.SubElement(root, "seclabel", type="static", model="dac", relabel="no")
        ET.SubElement(label, "label").text = f"+{here.uid}:+{here.gid}"
