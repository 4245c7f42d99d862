"""vmnet capture: the frames of a guest's NIC."""

import os
from collections.abc import Sequence

from provisioner.commands.access.link import device_of, nics_of
from provisioner.commands.target import PlanTarget
from provisioner.errors import Exit, VmnetError
from provisioner.host.netlink import links


def argv(
    target: PlanTarget, name: str, filters: Sequence[str], into: int | None, limits: Sequence[str]
) -> list[str]:
    """Return the command line that captures a NIC's frames; nothing holds the plan for that.

    Raises VmnetError when the NIC is not there, or this user may not listen.
    """
    (key, *_) = nics_of(target.plan, name)
    device = device_of(links.every(), target.plan, key)
    if os.geteuid():
        raise VmnetError(
            "only root may listen to a guest's frames",
            fix="run it as root",
            status=Exit.HOST_CANNOT,
        )
    write = ["-U", "-w", "-"] if into is not None else ["-l", "-n"]
    return ["tcpdump", "-i", device, *limits, *write, "--", *filters]
