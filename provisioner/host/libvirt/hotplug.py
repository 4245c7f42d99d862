"""Network cards that come and go while a guest runs; lives in the worker, as libvirt does."""

import re
import select
import time
from typing import Any

from provisioner.errors import VmnetError
from provisioner.guest.domain import NAMESPACE, Domain
from provisioner.host.libvirt.errors import told

_DETACH_S, _POLL_S = 20, 0.02


class DomainNics:
    """The cards of domains of one connection, and the mark that says which there should be."""

    def __init__(self, conn: Any) -> None:
        self._conn = conn

    def on(self, domain: str) -> set[str]:
        """Name the devices that a running domain's network cards are on.

        Raises VmnetError when the domain is not there.
        """
        return set(re.findall(r"<target dev='([^']+)' managed='no'", xml_of(self._conn, domain)))

    def attach(self, domain: Domain, link: str, xml: str) -> None:
        """Put a network card into a running domain. Raises VmnetError with libvirt's reason."""
        import libvirt

        try:
            self._conn.lookupByName(domain.name).attachDeviceFlags(
                xml, libvirt.VIR_DOMAIN_AFFECT_LIVE
            )
        except libvirt.libvirtError as error:
            raise told(error, f'giving VM "{domain.vm}" a card on {link}') from error

    def detach(self, domain: Domain, link: str) -> None:
        """Take a network card out of a running domain; the guest is asked to let go of it.

        Raises VmnetError when it does not do so in time.
        """
        import libvirt

        doing = f'taking the card on {link} from VM "{domain.vm}"'
        found = re.search(
            rf"<interface type='ethernet'>(?:(?!</interface>).)*?<target dev='{re.escape(link)}'.*?"
            r"</interface>",
            xml_of(self._conn, domain.name),
            re.DOTALL,
        )
        if not found:
            return
        try:
            dom = self._conn.lookupByName(domain.name)
            dom.detachDeviceFlags(found[0], libvirt.VIR_DOMAIN_AFFECT_LIVE)
        except libvirt.libvirtError as error:
            raise told(error, doing) from error
        end = time.monotonic() + _DETACH_S
        while link in self.on(domain.name):
            # libvirt's event would do as well, but may come before this is asked.
            if time.monotonic() > end:
                raise VmnetError(
                    f"{doing}: the guest has not let go of it after {_DETACH_S} s",
                    fix="wait until the guest has booted, then again; or: vmnet up --recreate",
                )
            select.select([], [], [], _POLL_S)

    def mark(self, domain: Domain, xml: str) -> None:
        """Write down in a running domain's metadata what it is now."""
        import libvirt

        try:
            self._conn.lookupByName(domain.name).setMetadata(
                libvirt.VIR_DOMAIN_METADATA_ELEMENT,
                xml,
                "vmnet",
                NAMESPACE,
                libvirt.VIR_DOMAIN_AFFECT_LIVE,
            )
        except libvirt.libvirtError as error:
            raise told(error, f'marking VM "{domain.vm}"') from error


def xml_of(conn: Any, domain: str) -> str:
    """Give the XML of a domain as it is now. Raises VmnetError when the domain is not there."""
    import libvirt

    try:
        return str(conn.lookupByName(domain).XMLDesc(0))
    except libvirt.libvirtError as error:
        raise told(error, f'reading what "{domain}" is made of') from error
