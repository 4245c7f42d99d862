"""What keeps a plan from being brought up on the one host that vmnet runs on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provisioner.errors import bad_input
from provisioner.plan.placing.carriers import carriers, is_placed

if TYPE_CHECKING:
    from provisioner.plan.load.positions import Places
    from provisioner.plan.model import Plan


def refuse_placed(plan: Plan, places: Places) -> None:
    """Raise VmnetError when a plan places its VMs on hosts: which of them this one is, none says.

    To take it for a plan of this host would start VMs here that another host is to run.
    """
    if not is_placed(plan):
        return
    hosts = ", ".join(carriers(plan))
    raise bad_input(
        f"the plan {plan.name} places its VMs on hosts ({hosts}), and this command is for plans of "
        "one host",
        "see where each VM is with vmnet status, and log in to its host; for this host alone leave "
        "out on, placement, and uplinks and groups of hosts",
    ).at(places.where(*_first(plan)))


def _first(plan: Plan) -> tuple[str, ...]:
    """Return the path of a word that places VMs."""
    if plan.placement is not None:
        return ("placement",)
    for vm in plan.vms:
        if vm.on is not None:
            return ("vms", vm.name, "on")
    return ("hosts",)
