"""What libvirt still has of a domain when it is started: a dead QEMU's, or a definition."""

from provisioner.guest.domain import Domain
from provisioner.host.libvirt.domains import Domains
from provisioner.host.libvirt.errors import converting
from provisioner.host.system import systemd


def clear(domains: Domains, domain: Domain) -> None:
    """End what libvirt still has of a domain that has ended, and forget an unwanted definition.

    The UUID is derived from the plan and the VM, so nobody else's is meant. Raises VmnetError.
    """
    import libvirt

    with converting(f'starting VM "{domain.vm}"'):
        try:
            dom = domains.connection.lookupByUUIDString(domain.uuid)
        except libvirt.libvirtError as error:
            if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
                return
            raise
        if dom.isActive():
            domains.destroy(domain)
    if not systemd.has_hook_for(domain.plan):
        forget(domains, domain)


def forget(domains: Domains, domain: Domain) -> None:
    """Delete the definition that libvirt has of a domain; a running one runs on.

    Raises VmnetError with libvirt's reason.
    """
    import libvirt

    with converting(f'deleting the definition of VM "{domain.vm}"'):
        try:
            dom = domains.connection.lookupByUUIDString(domain.uuid)
            if dom.isPersistent():
                dom.undefineFlags(libvirt.VIR_DOMAIN_UNDEFINE_KEEP_NVRAM)
        except libvirt.libvirtError as error:
            if error.get_error_code() != libvirt.VIR_ERR_NO_DOMAIN:
                raise
