"""What the drivers of a plan's devices share: deletion, and names that somebody else has taken."""

from provisioner import naming
from provisioner.errors import Exit, VmnetError
from provisioner.host.netlink import links
from provisioner.network.resources import HostAccess, Macvtap, Switch, Vlan


def delete(device: Switch | Vlan | HostAccess | Macvtap) -> None:
    """Delete all parts of a device, each only if it is of the device's group and a plan's.

    Those that have gone already are fine. Raises VmnetError when the kernel refuses.
    """
    for link in links.every():
        is_ours = link.group == device.group and naming.are_ours(link.name, link.kind)
        if link.name in device.parts and is_ours:
            links.delete(link.name)


def taken(name: str) -> VmnetError:
    """Return the error about a name that somebody has given to another device meanwhile."""
    return VmnetError(
        f'the device name "{name}" has been taken meanwhile by something that is not vmnet\'s',
        fix=f"look at it with: ip -d link show dev {name}",
        status=Exit.CONFLICT,
    )
