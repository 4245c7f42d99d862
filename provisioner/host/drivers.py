"""The one table of all kinds of resources and their drivers, and what is done through it.

Runs in the worker. A driver is found by the class of the resource; that every kind is in the table
is held by a test.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from provisioner import naming
from provisioner.dataclass import dataclass
from provisioner.guest.domain import (
    Domain,
    FileCopy,
    HalfStarted,
    LeftDraft,
    Overlay,
    Seed,
    StrayDomain,
)
from provisioner.guest.hosts_block import HostsBlock
from provisioner.host.domain import DomainDriver
from provisioner.host.libvirt import half_started
from provisioner.host.libvirt.qemu import stray
from provisioner.host.libvirt.session import LibvirtSession
from provisioner.host.netlink import links
from provisioner.host.network import (
    devices,
    dnsmasq,
    host_access,
    impairment,
    macvtap,
    nftables,
    switch,
    tap_node,
    vlan,
)
from provisioner.host.probe import ingress_injector
from provisioner.host.storage import disks, hosts_file
from provisioner.host.storage.copies import CopyDriver
from provisioner.host.storage.disks import DiskDriver
from provisioner.host.storage.files import DraftDriver
from provisioner.host.storage.seeds import SeedDriver
from provisioner.network.resources import (
    Device,
    Dhcp,
    Guard,
    HostAccess,
    Impaired,
    LeftNode,
    LeftWire,
    Macvtap,
    Nat,
    Switch,
    Vlan,
)
from provisioner.reconcile.diff import Step, Verb
from provisioner.reconcile.resources import Look
from provisioner.resource import Resource

_R_contra = TypeVar("_R_contra", bound=Resource, contravariant=True)


class Driver(Protocol[_R_contra]):
    """What is done about one kind of resource on this host."""

    def observe(self, look: Look, /) -> Iterable[Resource]:
        """Return those of a plan that are there. Reads only."""

    def delete(self, resource: _R_contra, /) -> None:
        """Delete one, whole; one that has gone already is fine. Raises VmnetError or OSError."""


class Maker(Driver[_R_contra], Protocol[_R_contra]):
    """The driver of a kind that plans call for."""

    def create(self, resource: _R_contra, /) -> None:
        """Create one, whole or not at all. Raises VmnetError or OSError."""

    def update(self, resource: _R_contra, /) -> None:
        """Change one that exists to what is given. Raises VmnetError or OSError."""


@dataclass(frozen=True, slots=True)
class Drivers:
    """The table: makers of what plans call for, drivers of what is only found and deleted."""

    makers: dict[type[Resource], Maker[Any]]
    others: dict[type[Resource], Driver[Any]]
    guests: DomainDriver

    def observe(self, look: Look) -> list[Resource]:
        """List everything that vmnet made for a plan, or has left; reads only."""
        # Once each: one driver may be that of several kinds.
        every = {id(each): each for each in (*self.others.values(), *self.makers.values())}
        return [resource for driver in every.values() for resource in driver.observe(look)]

    def perform(self, step: Step) -> str:
        """Do one step: the whole of it, or nothing that anybody would recognise.

        Returns what is to be said about how it was done, mostly nothing. Raises VmnetError or
        OSError.
        """
        kind = type(step.resource)
        if isinstance(step.resource, Domain) and step.verb in self._led:
            return self._led[step.verb](step.resource)
        match step.verb:
            case Verb.CREATE:
                self._create(step.resource)
            case Verb.UPDATE:
                self.makers[kind].update(step.resource)
            case Verb.STOP | Verb.PAUSE | Verb.RESUME:
                pass  # only guests run
            case Verb.DELETE if step.together:
                _delete_all([step.resource, *step.together])
            case Verb.DELETE:
                (self.makers | self.others)[kind].delete(step.resource)
        return ""

    @property
    def _led(self) -> Mapping[Verb, Callable[[Domain], str]]:
        """Return what leads a guest's life, beyond what is done to any resource."""
        return {
            Verb.DELETE: self.guests.end,
            Verb.STOP: self.guests.stop,
            Verb.PAUSE: self.guests.pause,
            Verb.RESUME: self.guests.resume,
        }

    def _create(self, resource: Resource) -> None:
        if isinstance(resource, Domain):
            disks.prove(resource)
        try:
            self.makers[type(resource)].create(resource)
        except FileExistsError as error:
            if isinstance(resource, Device):
                raise devices.taken(resource.name) from error
            raise


def drivers(libvirt: LibvirtSession, guests: DomainDriver | None = None) -> Drivers:
    """Return the table."""
    guests = guests or DomainDriver(libvirt)
    return Drivers(
        dict(
            [
                _maker(Domain, guests),
                _maker(Switch, switch),
                _maker(Vlan, vlan),
                _maker(HostAccess, host_access),
                _maker(Macvtap, macvtap),
                _maker(Guard, nftables),
                _maker(Nat, nftables),
                _maker(Dhcp, dnsmasq),
                _maker(Seed, SeedDriver()),
                _maker(Overlay, DiskDriver(libvirt)),
                _maker(FileCopy, CopyDriver()),
                _maker(HostsBlock, hosts_file),
            ]
        ),
        dict(
            [
                _other(HalfStarted, half_started),
                _other(StrayDomain, stray),
                _other(LeftDraft, DraftDriver()),
                _other(LeftNode, tap_node),
                _other(LeftWire, ingress_injector),
                _other(Impaired, impairment),
            ]
        ),
        guests,
    )


def _maker(kind: type[_R_contra], driver: Maker[_R_contra]) -> tuple[type[Resource], Maker[Any]]:
    """Return a row of the table; the type checker proves that the driver is one of the kind."""
    return kind, driver


def _other(kind: type[_R_contra], driver: Driver[_R_contra]) -> tuple[type[Resource], Driver[Any]]:
    return kind, driver


def _delete_all(doomed: Sequence[Resource]) -> None:
    """Delete all devices of a plan in one call."""
    macvtap.release(x for x in doomed if isinstance(x, Macvtap))
    parts = {name for x in doomed if isinstance(x, Device) for name in x.parts}
    groups = {x.group for x in links.every() if x.name in parts and naming.is_group(x.group)}
    for group in groups:
        links.delete_group(group, lambda x: x.name in parts)
