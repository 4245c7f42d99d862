"""What the drivers of a plan's devices share: deletion, and names that somebody else has taken."""

from collections.abc import Collection

from provisioner import naming
from provisioner.errors import Exit, VmnetError
from provisioner.host.netlink import links


def delete(group: int, names: Collection[str]) -> None:
    """Delete the devices of these names, each only if it is of this group and a plan's.

    Those that have gone already are fine. Raises VmnetError when the kernel refuses.
    """
    for link in links.every():
        if link.name in names and link.group == group and naming.are_ours(link.name, link.kind):
            links.delete(link.name)


def taken(name: str) -> VmnetError:
    """Return the error about a name that somebody has given to another device meanwhile."""
    return VmnetError(
        f'the device name "{name}" has been taken meanwhile by something that is not vmnet\'s',
        fix=f"look at it with: ip -d link show dev {name}",
        status=Exit.CONFLICT,
    )
