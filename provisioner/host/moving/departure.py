"""A guest that leaves this host while it runs; in the worker.

libvirt and QEMU speak with the other host through sockets in a folder of the move's, which ssh
leads there: nothing listens on a port, and nothing crosses the LAN unencrypted.
"""

import os
from contextlib import suppress

from provisioner.errors import VmnetError
from provisioner.guest.domain import Domain
from provisioner.host.libvirt.moving import migration
from provisioner.host.libvirt.moving.migration import Departure
from provisioner.host.libvirt.session import LibvirtSession
from provisioner.host.moving.arrival import DISKS, LIBVIRT, MEMORY, sockets_folder
from provisioner.host.network import macvtap


def leaving(domain: Domain, xml: str, bandwidth_mib: int) -> Departure:
    """Return how a guest leaves through the sockets of its move."""
    folder = sockets_folder(domain.plan, domain.vm)
    libvirt, memory, disks = (str(folder / name) for name in (LIBVIRT, MEMORY, DISKS))
    return Departure(domain, xml, libvirt, memory, disks, bandwidth_mib)


def migrate(libvirt: LibvirtSession, departure: Departure) -> None:
    """Let a guest run on at the other host; at once its macvtaps are down here.

    Raises VmnetError when it has not come to that: then it runs on here.
    """
    domain = departure.domain
    if domain.uid:  # its QEMU opens the sockets that ssh has made
        folder = sockets_folder(domain.plan, domain.vm)
        for path in (folder, folder / MEMORY, folder / DISKS):
            os.chown(path, domain.uid, domain.gid)
    migration.migrate(libvirt.domains, departure)
    for nic in domain.nics:
        with suppress(VmnetError):  # it is about to be deleted
            macvtap.plug(nic.link, up=False)
