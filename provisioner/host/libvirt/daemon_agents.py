"""Ask guests' agents for a sign of life through a libvirt daemon, which other commands ask too."""

import json
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Final

from provisioner import naming
from provisioner.host.libvirt.domains import quiet

_AT_ONCE: Final = 16


def silent(uri: str, plan: str, vms: Collection[str], within_s: float) -> set[str]:
    """Return those of a plan's VMs whose agents are connected and do not answer in time.

    Nobody is, when the daemon has ended.
    """
    import libvirt
    import libvirt_qemu

    def answers(vm: str) -> bool:
        try:
            found = connection.lookupByName(naming.domain(plan, vm))
            question = json.dumps({"execute": "guest-ping"})
            libvirt_qemu.qemuAgentCommand(found, question, max(1, round(within_s)), 0)
        except libvirt.libvirtError as error:
            return bool(error.get_error_code() != libvirt.VIR_ERR_AGENT_UNRESPONSIVE)
        return True

    quiet()
    try:
        connection = libvirt.open(uri)
    except libvirt.libvirtError:
        return set()
    with closing(connection), ThreadPoolExecutor(max_workers=_AT_ONCE) as side_by_side:
        answered = dict(zip(vms, side_by_side.map(answers, vms), strict=True))
    return {vm for vm in vms if not answered[vm]}
