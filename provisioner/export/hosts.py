"""The addresses of a plan's guests as lines of /etc/hosts."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from provisioner.network.addressing import Nics
    from provisioner.plan.ip import Address
    from provisioner.plan.model import Plan
    from provisioner.plan.nic_id import NicId


def hosts(plan: "Plan", nics: "Nics", first: "Mapping[str, Sequence[NicId]]") -> str:
    """Write a line for each address that is known, and a comment for each VM without one.

    The first address of an IP version that a VM has is its own name's: VM and VM.PLAN. Every
    address is VM.NETWORK.PLAN's besides. `first` are NICs whose addresses go before others, by VM.
    """
    lines = [f"# Made by vmnet export hosts, of the plan {plan.name}", *lines_of(plan, nics, first)]
    named = {line.split()[1].partition(".")[0] for line in lines[1:]}
    lines += [
        f"# {vm.name}: its address is not the plan's: vmnet ip {vm.name}"
        for vm in plan.vms
        if vm.name not in named
    ]
    return "\n".join(lines) + "\n"


def lines_of(plan: "Plan", nics: "Nics", first: "Mapping[str, Sequence[NicId]]") -> Iterator[str]:
    """Return a line for each address that is known, as `hosts` says."""
    for vm in plan.vms:
        seen: set[int] = set()
        for key, address in _addresses(plan, nics, vm.name, first.get(vm.name, ())):
            names = [f"{vm.name}.{plan.nic(key).network}.{plan.name}"]
            if address.version not in seen:
                names = [f"{vm.name}.{plan.name}", vm.name, *names]
            seen.add(address.version)
            yield f"{address} {' '.join(names)}"


def _addresses(
    plan: "Plan", nics: "Nics", vm: str, first: "Iterable[NicId]"
) -> "Iterator[tuple[NicId, Address]]":
    own = [key for key, _ in plan.nics() if key.vm == vm]
    for key in dict.fromkeys([*first, *own]):
        for one in nics[key].addresses:
            yield key, one.ip
