"""From where the addresses of a NIC are known, and what is wrong with what was observed."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import field, replace
from typing import TypedDict

from provisioner.check.result import Finding
from provisioner.dataclass import dataclass
from provisioner.plan.ip import Address


@dataclass(frozen=True, slots=True)
class Known:
    """One address of a NIC, and in how many ways it is known, the surest first."""

    address: str
    how: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NicAddresses:
    """What was found out about one NIC; link-local addresses come last."""

    vm: str
    nic: int
    network: str
    mac: str
    addresses: tuple[Known, ...] = ()
    findings: tuple[Finding, ...] = ()


class NicFindingValue(TypedDict):
    """What is wrong with a NIC, and how to fix it."""

    what: str
    fix: str
    evidence: Sequence[str]
    about: str
    addresses: list[str]


class NicAddressesValue(TypedDict):
    """What was found out about one NIC; link-local addresses come last."""

    vm: str
    nic: int
    network: str
    mac: str
    addresses: Sequence[Known]
    findings: list[NicFindingValue]


class IpDocument(TypedDict):
    """The addresses that guests really have."""

    nics: list[NicAddressesValue]


def as_document(found: Sequence[NicAddresses]) -> IpDocument:
    """Return what JSON has of NICs."""
    return IpDocument(nics=[_value(one) for one in found])


def _value(found: NicAddresses) -> NicAddressesValue:
    return NicAddressesValue(
        vm=found.vm,
        nic=found.nic,
        network=found.network,
        mac=found.mac,
        addresses=found.addresses,
        findings=[
            NicFindingValue(
                what=one.what,
                fix=one.fix,
                evidence=one.evidence,
                about=one.about,
                addresses=list(map(str, one.addresses)),
            )
            for one in found.findings
        ],
    )


@dataclass(slots=True)
class NicObservations:
    """What was observed of one NIC, before it is judged; `planned` are the plan's addresses."""

    planned: Collection[Address] = ()
    claims: dict[Address, list[str]] = field(default_factory=dict)  # by the NIC's own MAC
    answers: dict[Address, Sequence[str]] = field(default_factory=dict)  # all MACs that answered
    others: set[str] = field(default_factory=set)  # other MACs that have left its macvtap
    frames: int = 0  # that have left it since it was made

    @property
    def has_real(self) -> bool:
        """Whether the NIC has an address that is not link-local, or has that from the plan."""
        return any(not one.is_link_local or one in self.planned for one in self.claims)


def judged(nic: NicAddresses, observed: NicObservations, *, has_subnet: bool) -> NicAddresses:
    """Return a NIC with its addresses, and with what is wrong with it.

    An address counts only when the NIC's own MAC claims it. `has_subnet` is whether guests of its
    network are meant to have an address that is not link-local.
    """
    claims = sorted(
        observed.claims.items(),
        key=lambda one: (
            one[0].is_link_local and one[0] not in observed.planned,
            -len(set(one[1])),
        ),
    )
    return replace(
        nic,
        addresses=tuple(Known(str(address), tuple(dict.fromkeys(how))) for address, how in claims),
        findings=(
            *_other_macs(nic, observed),
            *_used_twice(nic, observed),
            *_without_address(nic, observed, has_subnet=has_subnet),
        ),
    )


def _other_macs(nic: NicAddresses, observed: NicObservations) -> Iterator[Finding]:
    if observed.others:
        used = ", ".join(sorted(observed.others))
        yield Finding(
            f"{nic.vm} sends frames from {used}, its NIC has {nic.mac}: it receives no answer to "
            "them",
            f"give the NIC its MAC back inside {nic.vm}, or write that MAC into the plan",
            (f"frames from {used} have left the macvtap of {nic.vm}",),
            nic.vm,
        )


def _used_twice(nic: NicAddresses, observed: NicObservations) -> Iterator[Finding]:
    for address, macs in observed.answers.items():
        rivals = [mac for mac in macs if mac != nic.mac]
        if rivals and (nic.mac in macs or address in observed.planned):
            also = "too" if nic.mac in macs else f"and {nic.vm} does not"
            yield Finding(
                f"{address} of {nic.vm} is used twice: {', '.join(rivals)} answers for it {also}",
                f"give {nic.vm} another address, or find that machine and take the address from it",
                (f"who has {address}: {', '.join(macs)}",),
                nic.vm,
            )


def _without_address(
    nic: NicAddresses, observed: NicObservations, *, has_subnet: bool
) -> Iterator[Finding]:
    if observed.has_real:
        return
    if not observed.frames and not observed.others:
        yield Finding(
            f"{nic.vm} has never sent a frame: it has not booted, or knows nothing of its NIC",
            f"look at what it said: vmnet logs {nic.vm}",
            about=nic.vm,
        )
    elif observed.claims and has_subnet:
        yield Finding(
            f"{nic.vm} has a link-local address only: nobody has given it another",
            "look at the DHCP server and the router advertisements of that network",
            about=nic.vm,
        )
