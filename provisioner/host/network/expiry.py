"""The expiry of a plan, written on its devices: they outlive the folder of a container."""

from provisioner import naming
from provisioner.host.netlink import link_codec, links
from provisioner.host.netlink.rtnetlink import write
from provisioner.reconcile.resources import Look


def put(plan: str, until: int) -> None:
    """Write until when a plan is up on all of its devices that do not say so.

    Raises VmnetError when the kernel refuses.
    """
    found = links.every()
    messages = []
    for link in Look(plan, found).ours:
        if not link.alias:
            continue  # half made: the next step names it
        alias = naming.expiring(link.alias, until)
        if alias != next(x.alias for x in found if x.index == link.index):
            messages.append(link_codec.new(("IFLA_IFALIAS", alias), index=link.index))
    if messages:
        write(f"writing the expiry on the devices of {plan}", messages)
