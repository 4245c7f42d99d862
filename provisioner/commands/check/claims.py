"""Ask on the uplinks of a plan who answers for the addresses of its guests."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from provisioner.errors import VmnetError
from provisioner.host.probe import address_claims
from provisioner.network.devices import uplink_of
from provisioner.plan.nic_id import NicId

if TYPE_CHECKING:
    from provisioner.host.system.worker import Worker
    from provisioner.network.addressing import Nics
    from provisioner.plan.ip import Address
    from provisioner.plan.model import Plan


@dataclass(frozen=True, slots=True)
class Answers:
    """For each NIC the MACs that answered for its addresses; silent addresses are absent.

    `failed` says of each uplink on which nobody could be asked why; its NICs are not in `macs`.
    """

    macs: "Mapping[NicId, Mapping[Address, tuple[str, ...]]]"
    failed: Mapping[str, str]

    def own(self, nics: "Nics") -> set[NicId]:
        """Return the NICs whose own MAC answered for one of their addresses."""
        return {
            key
            for key, found in self.macs.items()
            if any(nics[key].mac in macs for macs in found.values())
        }


def ask(
    plan: "Plan",
    nics: "Nics",
    addresses: "Mapping[NicId, Collection[Address]]",
    worker: "Worker",
    within_s: float,
) -> Answers:
    """Ask for the addresses of NICs, on all uplinks at once, by the LAN and by a synthetic wire.

    NICs without addresses and those on granted networks, where this user may send no frames, are
    left out.
    """
    on: dict[str, list[NicId]] = {}
    for key, wanted in addresses.items():
        network = plan.network_of(key)
        if wanted and not network.granted:
            on.setdefault(uplink_of(plan.name, network), []).append(key)
    pending = {
        uplink: worker.call(
            address_claims.claims,
            uplink,
            {address: nics[key].mac for key in keys for address in addresses[key]},
            within_s,
        )
        for uplink, keys in on.items()
    }
    macs: dict[NicId, Mapping[Address, tuple[str, ...]]] = {}
    failed: dict[str, str] = {}
    for uplink, call in pending.items():
        try:
            found = call.result().macs
        except VmnetError as error:
            failed[uplink] = error.what
            continue
        for key in on[uplink]:
            macs[key] = {a: found[a] for a in addresses[key] if a in found}
    return Answers(macs, failed)
