"""The addresses of a plan's guests as lines of /etc/hosts."""

from typing import TYPE_CHECKING

from provisioner.guest.hosts_block import lines_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from provisioner.network.addressing import Nics
    from provisioner.plan.model import Plan
    from provisioner.plan.nic_id import NicId


def hosts(plan: "Plan", nics: "Nics", first: "Mapping[str, Sequence[NicId]]") -> str:
    """Write a line for each address that is known, and a comment for each VM without one.

    `first` are NICs whose addresses go before others, by VM: `hosts_block.lines_of`.
    """
    lines = [f"# Made by vmnet export hosts, of the plan {plan.name}", *lines_of(plan, nics, first)]
    named = {line.split()[1].partition(".")[0] for line in lines[1:]}
    lines += [
        f"# {vm.name}: its address is not the plan's: vmnet ip {vm.name}"
        for vm in plan.vms
        if vm.name not in named
    ]
    return "\n".join(lines) + "\n"
