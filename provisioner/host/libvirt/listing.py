"""The domains of a libvirt daemon that bear vmnet's mark, of all plans; read only."""

from collections.abc import Collection
from xml.etree import ElementTree as ET

from provisioner.guest.domain import NAMESPACE
from provisioner.guest.xml.render import from_mark
from provisioner.host.libvirt import domain_look, domains
from provisioner.host.libvirt.errors import converting
from provisioner.host.libvirt.session import is_embedded, offered
from provisioner.host.system.worker import limit
from provisioner.inventory.found import DomainRecord
from provisioner.text import one_line


def daemon() -> str:
    """Return the URI of the daemon that answers here and sees our devices, "" when none does."""
    uri = offered("qemu:///embed").what
    return "" if is_embedded(uri) else uri


@limit(20.0, "libvirt has not listed its domains")
def marked(uri: str) -> list[DomainRecord]:
    """List the domains that bear vmnet's mark. Raises VmnetError when libvirt cannot be asked."""
    import libvirt

    domains.quiet()
    found = []
    with converting(f"opening {uri}"):
        connection = libvirt.openReadOnly(uri)
    try:
        with converting("listing the domains"):
            every = connection.listAllDomains(0)
        for dom in every:
            try:
                name, state = dom.name(), domain_look.STATES[dom.state()[0]]
                mark = domains.metadata(dom, NAMESPACE)
                until = domains.metadata(dom, domains.EXPIRY) or ""
            except (libvirt.libvirtError, ET.ParseError):
                continue  # it has ended while we looked
            domain = from_mark(mark) if mark else None
            if domain:
                end = int(until) if until.isascii() and until.isdecimal() else 0
                shown = one_line(name)
                found.append(
                    DomainRecord(shown, state, domain.plan, domain.vm, until=end, where=uri)
                )
    finally:
        connection.close()
    return found


@limit(20.0, "libvirt has not described its domains")
def described(uri: str, names: Collection[str]) -> list[tuple[str, str]]:
    """Return the name and the XML of the domains that run, or of those with these names.

    Raises VmnetError when libvirt cannot be asked. Passwords are not in it: it is read only.
    """
    import libvirt

    domains.quiet()
    with converting(f"opening {uri}"):
        connection = libvirt.openReadOnly(uri)
    found = []
    try:
        with converting("listing the domains"):
            every = connection.listAllDomains(0)
        for dom in every:
            try:
                if dom.name() in names or (not names and dom.isActive()):
                    found.append((dom.name(), dom.XMLDesc(0)))
            except libvirt.libvirtError:
                continue  # it has ended while we looked
    finally:
        connection.close()
    return sorted(found)
