"""NICs that come and go while a guest runs; runs in the worker, as libvirt does."""

import select
import time
from typing import Any
from xml.etree import ElementTree as ET

from provisioner.errors import VmnetError
from provisioner.guest.domain import NAMESPACE, Domain
from provisioner.host.libvirt.errors import converting

_DETACH_S, _POLL_S = 20, 0.02


class DomainNics:
    """The NICs of domains of one connection, and the mark that says which there should be."""

    def __init__(self, conn: Any) -> None:
        self._conn = conn

    def on(self, domain: str) -> set[str]:
        """Return the devices that a running domain's NICs are on.

        Raises VmnetError when the domain is not there.
        """
        targets = description(self._conn, domain).iterfind("devices/interface/target")
        return {target.get("dev", "") for target in targets if target.get("managed") == "no"}

    def attach(self, domain: Domain, link: str, xml: str) -> None:
        """Attach a NIC to a running domain. Raises VmnetError with libvirt's reason."""
        import libvirt

        with converting(f'attaching a NIC on {link} to VM "{domain.vm}"'):
            dom = self._conn.lookupByName(domain.name)
            dom.attachDeviceFlags(xml, libvirt.VIR_DOMAIN_AFFECT_LIVE)

    def detach(self, domain: Domain, link: str) -> None:
        """Detach a NIC from a running domain; the guest is asked to release it.

        Raises VmnetError when it does not do so in time.
        """
        import libvirt

        doing = f'detaching the NIC on {link} from VM "{domain.vm}"'
        nics = description(self._conn, domain.name).iterfind("devices/interface[@type='ethernet']")
        found = next((nic for nic in nics if _device(nic) == link), None)
        if found is None:
            return
        with converting(doing):
            dom = self._conn.lookupByName(domain.name)
            dom.detachDeviceFlags(ET.tostring(found, "unicode"), libvirt.VIR_DOMAIN_AFFECT_LIVE)
        end = time.monotonic() + _DETACH_S
        while link in self.on(domain.name):
            # libvirt's event would do as well, but may come before this is asked.
            if time.monotonic() > end:
                raise VmnetError(
                    f"{doing}: the guest has not released it after {_DETACH_S} s",
                    fix="wait until the guest has booted, then again; or: vmnet up --recreate",
                )
            select.select([], [], [], _POLL_S)

    def mark(self, domain: Domain, xml: str) -> None:
        """Write down in a running domain's metadata what it is now."""
        import libvirt

        kind, live = libvirt.VIR_DOMAIN_METADATA_ELEMENT, libvirt.VIR_DOMAIN_AFFECT_LIVE
        with converting(f'marking VM "{domain.vm}"'):
            dom = self._conn.lookupByName(domain.name)
            dom.setMetadata(kind, xml, "vmnet", NAMESPACE, live)


def description(conn: Any, domain: str) -> ET.Element:
    """Return the XML of a domain as it is now. Raises VmnetError when the domain is not there."""
    with converting(f'reading what "{domain}" is made of'):
        return ET.fromstring(conn.lookupByName(domain).XMLDesc(0))  # noqa: S314  (libvirt's own)


def _device(nic: ET.Element) -> str:
    target = nic.find("target")
    return "" if target is None else target.get("dev", "")
