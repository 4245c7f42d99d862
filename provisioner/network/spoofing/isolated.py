"""Whose frames a guest never gets, whatever its mode lets through: `isolate` in a plan."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provisioner.plan.nic_settings import may_meet, settings_of
from provisioner.plan.scalars import ISOLATE_PLAN

if TYPE_CHECKING:
    from provisioner.network.addressing import Nics
    from provisioner.plan.model import Plan
    from provisioner.plan.nic_id import NicId


def isolated_from(plan: Plan, key: NicId, nics: Nics) -> tuple[str, ...]:
    """Return the MACs whose frames a NIC never gets, sorted; none as a rule.

    `plan` means the NICs of all other VMs that may be on its wire: two NICs of a host may be on one
    LAN, so all but those on a switch of their own. A VM's own NICs are never meant.
    """
    wanted = settings_of(plan, plan.nic(key)).isolate
    if not wanted:
        return ()
    macs = {one for one in wanted if one != ISOLATE_PLAN}
    if ISOLATE_PLAN in wanted:
        own = plan.network_of(key)
        macs |= {
            str(nics[other].mac)
            for other, nic in plan.nics()
            if other.vm != key.vm and may_meet(own, plan.network(nic.network))
        }
    return tuple(sorted(macs))
