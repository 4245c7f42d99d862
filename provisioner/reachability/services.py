"""What the host of a switch does for its guests, as pairs: names resolve, and NAT leads out.

Promised where a guest reaches the host, which no other network can stand in for: a guest that has
another resolver or another default route may use that one.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from provisioner.network.addressing import resolvers
from provisioner.plan.checks import HOST, CheckSpec, What
from provisioner.reachability.pairs import Expected, Pair

if TYPE_CHECKING:
    from provisioner.network.addressing import Nics
    from provisioner.plan.ip import Address
    from provisioner.plan.model import Network, Plan
    from provisioner.plan.nic_id import NicId

OUTSIDE: Final = "outside"
_IPV6: Final = 6
_LATE_S: Final = 4.0  # a guest that has just booted may get its resolver after its address
_NAMES: Final = "the host's dnsmasq answers for the names of guests"
_NAT: Final = "the host does NAT for it"


def pairs(
    plan: "Plan",
    nics: "Nics",
    promised: Iterable[Pair],
    outside: "Collection[Address]",
    agents: Collection[str],
) -> Iterator[Pair]:
    """Return for each guest on a switch a name to resolve, and the way out through NAT.

    `promised` are the pairs that the modes imply, `outside` the addresses beyond the host that it
    reaches itself. Only `agents`, the VMs with a guest agent, can be asked from inside.
    """
    for pair in promised:
        if pair.target == HOST and pair.expected is Expected.REACHES and pair.source in agents:
            network = plan.network(pair.network)
            for found in (
                *_names(plan, nics, network, pair.source_key),
                *_nat(plan, nics, network, pair.source_key, outside),
            ):
                yield replace(found, source_shares=pair.source_shares)


def _names(plan: "Plan", nics: "Nics", network: "Network", key: "NicId") -> Iterator[Pair]:
    """Return the name of the next guest on the network, so that each name is asked for once.

    A lease has the resolver; a guest that was told one at its first boot may have lost it since.
    """
    others = [c for k, c in nics.items() if k.vm == key.vm and k != key]
    own = nics[key].dhcp and resolvers(network) == network.switch_addresses
    if not own or any(c.dns or c.dhcp or c.ra for c in others):
        return
    vms = list(dict.fromkeys(k.vm for k, _ in plan.nics_on(network)))
    target = vms[(vms.index(key.vm) + 1) % len(vms)]
    due = tuple(
        one.ip for k, _ in plan.nics_on(network) if k.vm == target for one in nics[k].addresses
    )
    asked = CheckSpec(What.DNS, text=f"{target}.{plan.name}")
    yield Pair(
        *(network.name, key.vm, HOST, Expected.REACHES, _NAMES, (None,)),
        nic=key.number,
        source_nic=key.number,
        asked=asked,
        within_s=_LATE_S,
        due=due,
    )


def _nat(
    plan: "Plan", nics: "Nics", network: "Network", key: "NicId", outside: "Collection[Address]"
) -> Iterator[Pair]:
    routed = {g.version for g in nics[key].gateways if g in network.switch_addresses}
    others = [c for k, c in nics.items() if k.vm == key.vm and k != key]
    if nics[key].ra and network.serves_dhcp and not any(c.ra or c.gateways for c in others):
        routed |= {subnet.version for subnet in network.subnet if subnet.version == _IPV6}
    at = tuple(a for a in outside if a.version in routed)
    if not network.does_nat or not at:
        return
    target = f"({OUTSIDE})" if any(vm.name == OUTSIDE for vm in plan.vms) else OUTSIDE
    number = key.number
    yield Pair(
        *(network.name, key.vm, target, Expected.REACHES, _NAT, at), nic=number, source_nic=number
    )
