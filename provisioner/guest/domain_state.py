"""A running domain as it is found: what differs from what its mark says it was started with."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from provisioner import naming
from provisioner.dataclass import dataclass
from provisioner.guest.domain import CUT_OFF, RUNNING, Domain, DomainNic
from provisioner.text import one_line

FROZEN: Final = "frozen (its process is in state T)"
PAUSED: Final = "paused"
ENDED: Final = "ended"
"""The state of a domain whose QEMU has gone, whatever libvirt says of it."""


@dataclass(frozen=True, slots=True)
class SeenNic:
    """A NIC that libvirt says a domain has."""

    link: str
    mac: str


@dataclass(frozen=True, slots=True)
class SeenDomain:
    """What is found of a running domain, by libvirt and in /proc."""

    state: str  # libvirt's word for it
    nics: tuple[SeenNic, ...]
    is_persistent: bool = False
    full_disks: tuple[str, ...] = ()  # paths of disks that a write did not fit on
    failed_disks: tuple[str, ...] = ()  # of disks that a read or a write has failed on
    process: str = ""  # the state of its QEMU's process in proc(5): "R", "T" …; "" when unknown
    has_ended: bool = False  # that process has gone


def state_of(found: SeenDomain) -> str:
    """Return in which state a domain is, with its cause."""
    if found.has_ended:
        return ENDED
    if found.process == "T":
        return FROZEN
    if found.state in {"blocked", RUNNING}:
        return RUNNING
    if found.state == PAUSED and found.full_disks:
        return f"{PAUSED}: {_disks(found.full_disks)} full"
    if found.state == PAUSED and found.failed_disks:
        return f"{PAUSED}: {_disks(found.failed_disks)} failing"
    return found.state


def is_full(state: str) -> bool:
    """Return whether a domain in this state waits for room for its disks."""
    return state.startswith(PAUSED) and state.endswith(" full")


def as_found(domain: Domain, found: SeenDomain) -> Domain:
    """Return a domain, as its mark tells it, with what is found of it instead."""
    there = {nic.link: nic for nic in found.nics}
    kept = tuple(
        replace(nic, mac=there[nic.link].mac.lower())
        if nic.link in there
        else replace(nic, is_absent=True)
        for nic in domain.nics
    )
    known = {nic.link for nic in kept}
    added = tuple(DomainNic(x.link, x.mac.lower(), 0) for x in found.nics if x.link not in known)
    return replace(
        domain,
        state=state_of(found),
        is_persistent=found.is_persistent,
        nics=(*kept, *added),
    )


def own_links(domain: Domain) -> list[str]:
    """Return the devices of the NICs that vmnet has given a domain, as far as it still has them.

    Those of an `up` that was killed, or failed, before it wrote them into the mark are known by
    their names.
    """
    return [
        nic.link
        for nic in domain.nics
        if not nic.is_absent and (nic.mtu or naming.are_ours(nic.link, naming.KINDS[naming.TAP]))
    ]


def with_dead_nics(domain: Domain, dead: Sequence[str]) -> Domain:
    """Return a domain whose NICs on these devices have nothing behind them any more."""
    nics = tuple(replace(nic, is_dead=nic.link in dead) for nic in domain.nics)
    return replace(domain, nics=nics)


def cut_off(domain: Domain) -> Domain:
    """Return a domain as one to be started anew, if a NIC of it has lost its device."""
    return replace(domain, state=CUT_OFF) if any(x.is_dead for x in domain.nics) else domain


def _disks(paths: Sequence[str]) -> str:
    names = ", ".join(one_line(path.rpartition("/")[2]) for path in paths)
    return f"its disk {names} is" if len(paths) == 1 else f"its disks {names} are"
