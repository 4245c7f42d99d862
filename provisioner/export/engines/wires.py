"""Which NIC of the hosts an exported NIC stands on: an engine is told one name, not a plan."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from provisioner.dataclass import dataclass
from provisioner.errors import VmnetError, bad_input
from provisioner.plan.nic_id import NicId
from provisioner.plan.nic_settings import settings_on
from provisioner.plan.placing.carriers import candidates, uplink_on

if TYPE_CHECKING:
    from provisioner.plan.choices import Mode
    from provisioner.plan.load.positions import Places
    from provisioner.plan.model import Network, Plan
    from provisioner.plan.vm import Vm


@dataclass(frozen=True, slots=True)
class NicWire:
    """A NIC of the hosts as one kind of an engine's NICs stands on it; `mtu` 0 leaves it alone."""

    network: str
    uplink: str
    mode: "Mode"
    mtu: int
    vlan: int = 0


def wires(plan: "Plan") -> dict[NicId, NicWire]:
    """Return the wire of each NIC of a plan of which `complaints` has none."""
    found = {}
    for key, nic in plan.nics():
        network = plan.network(nic.network)
        how = settings_on(network, nic)
        names = _names(plan, plan.vm(key.vm), network)
        found[key] = NicWire(
            network.name, names[0] if names else "", how.mode, how.mtu or 0, network.vlan or 0
        )
    return found


def complaints(plan: "Plan", places: "Places") -> Iterator[VmnetError]:
    """Return each NIC that would stand on NICs of different names, by the host it comes to."""
    for key, nic in plan.nics():
        names = _names(plan, plan.vm(key.vm), plan.network(nic.network))
        if len(names) > 1:
            yield bad_input(
                f"network {nic.network} of VM {key.vm} stands on {' or '.join(names)}, by the host "
                "that the VM comes to, and an engine is told one name",
                "place the VM by on: HOST, or give the NICs of the hosts one name",
            ).at(places.where(*key.path))


def _names(plan: "Plan", vm: "Vm", network: "Network") -> list[str]:
    if not network.uplink:
        return []
    hosts = candidates(plan, vm)
    named = [uplink_on(plan, host, network) or network.uplink for host in hosts]
    return list(dict.fromkeys(named or [network.uplink]))
