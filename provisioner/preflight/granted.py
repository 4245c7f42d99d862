"""Networks of devices that root has made for a user: whether there are enough of them."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from provisioner.errors import Exit, VmnetError
from provisioner.network.facts import Facts
from provisioner.network.standalone import granted

if TYPE_CHECKING:
    from provisioner.plan.load.positions import Places
    from provisioner.plan.model import Plan


def complaints(plan: "Plan", places: "Places", facts: Facts) -> Iterator[VmnetError]:
    """List the networks for which there are too few devices."""
    for network in plan.networks:
        if not network.granted:
            continue
        have, want = (
            len(granted.labelled(network.granted, facts)),
            len(list(plan.nics_on(network))),
        )
        if have < want:
            yield VmnetError(
                f'network "{network.name}" has {want} NICs, and {have or "no"} device'
                f'{"" if have == 1 else "s"} labelled "{network.granted}" may be used by this user',
                where=places.where("networks", network.name, "granted"),
                fix="let root make them: vmnet net create --uplink NIC --mode MODE --owner USER "
                f"--label {network.granted} --count {want - have}",
                status=Exit.HOST_CANNOT,
            )
