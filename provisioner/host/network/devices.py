"""What the drivers of a plan's devices share: deletion, and names that somebody else has taken."""

from provisioner import naming
from provisioner.errors import Exit, VmnetError
from provisioner.host.netlink import links
from provisioner.network.facts import Link
from provisioner.network.resources import HostAccess, Macvtap, Switch, Vlan


def delete(device: Switch | Vlan | HostAccess | Macvtap) -> None:
    """Delete all parts of a device, each only if it is of the device's group and a plan's.

    Those that have gone already are fine. Raises VmnetError when the kernel refuses.
    """
    for link in links.every():
        if link.name in device.parts and is_part(link, device):
            links.delete(link.name)


def is_part(link: Link, device: Switch | Vlan | HostAccess | Macvtap) -> bool:
    """Return whether a link of a device's name is vmnet's: by its name, or by its other marks.

    The name of a macvtap that somebody has renamed proves nothing; its alias and alternative name
    do.
    """
    if link.group != device.group:
        return False
    if naming.are_ours(link.name, link.kind):
        return True
    return isinstance(device, Macvtap) and (
        link.kind == naming.KINDS[naming.TAP]
        and naming.alias_and_expiry(link.alias)[0] == device.alias
        and bool(device.altname)
        and link.altname == device.altname
    )


def taken(name: str) -> VmnetError:
    """Return the error about a name that somebody has given to another device meanwhile."""
    return VmnetError(
        f'the device name "{name}" has been taken meanwhile by something that is not vmnet\'s',
        fix=f"look at it with: ip -d link show dev {name}",
        status=Exit.CONFLICT,
    )
