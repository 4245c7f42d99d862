"""Where a NIC's addresses are known from, and what is wrong with what was heard."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address

from provisioner.check.result import Finding
from provisioner.plan.ip import Address


@dataclass(frozen=True, slots=True)
class Known:
    """One address of a NIC, and in how many ways it is known, the surest first."""

    address: str
    how: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NicAddresses:
    """What was found out about one NIC."""

    vm: str
    nic: int
    network: str
    mac: str
    addresses: tuple[Known, ...]
    findings: tuple[Finding, ...] = ()


@dataclass(slots=True)
class NicObservations:
    """What was heard of one NIC, before it is judged."""

    claims: dict[Address, list[str]] = field(default_factory=dict)  # by the NIC's own MAC
    answers: dict[Address, Sequence[str]] = field(default_factory=dict)  # all MACs that answered
    others: set[str] = field(default_factory=set)  # other MACs that have left its macvtap
    frames: int = 0  # that have left it since it was made


def judged(
    where: tuple[str, int, str, str],
    heard: NicObservations,
    planned: Iterable[str],
    subnets: Sequence[str],
) -> NicAddresses:
    """Put together what is known of a NIC (VM, number, network, MAC), and what is wrong with it.

    An address counts only when the NIC's own MAC claims it; link-local ones come last.
    """
    vm, nic, network, mac = where
    known = [
        Known(str(address), tuple(dict.fromkeys(how))) for address, how in heard.claims.items()
    ]
    known.sort(key=lambda one: (ip_address(one.address).is_link_local, -len(one.how)))
    told = tuple(_findings(vm, mac, heard, set(planned), bool(subnets)))
    return NicAddresses(vm, nic, network, mac, tuple(known), told)


def _findings(
    vm: str,
    mac: str,
    heard: NicObservations,
    planned: set[str],
    has_subnet: bool,  # noqa: FBT001
) -> Iterable[Finding]:
    if heard.others:
        used = ", ".join(sorted(heard.others))
        yield Finding(
            f"{vm} sends frames from {used}, its NIC has {mac}: it receives no answer to them",
            f"give the NIC its MAC back inside {vm}, or write that MAC into the plan",
            (f"frames from {used} have left the macvtap of {vm}",),
            vm,
        )
    for address, macs in heard.answers.items():
        rivals = [one for one in macs if one != mac]
        if rivals and (mac in macs or str(address) in planned):
            also = "too" if mac in macs else f"and {vm} does not"
            yield Finding(
                f"{address} of {vm} is used twice: {', '.join(rivals)} answers for it {also}",
                f"give {vm} another address, or find that machine and take the address from it",
                (f"who has {address}: {', '.join(macs)}",),
                vm,
            )
    real = [address for address in heard.claims if not address.is_link_local]
    if not real and not heard.frames and not heard.others:
        yield Finding(
            f"{vm} has never sent a frame: it has not booted, or knows nothing of its NIC",
            f"look at what it said: vmnet logs {vm}",
            about=vm,
        )
    elif not real and heard.claims and has_subnet:
        yield Finding(
            f"{vm} has a link-local address only: nobody has given it another",
            "look at the DHCP server and the router advertisements of that network",
            about=vm,
        )
