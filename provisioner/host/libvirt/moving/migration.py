"""libvirt's migration of a guest that runs, and what it tells of one that comes."""

from collections.abc import Callable
from contextlib import closing, suppress
from typing import Any, Final

from provisioner.dataclass import dataclass
from provisioner.errors import VmnetError
from provisioner.guest.domain import Domain
from provisioner.host.libvirt.domains import Domains
from provisioner.host.libvirt.errors import converted, converting
from provisioner.host.libvirt.moving.emulated import NO_DOWNTIME_MS, START_MIB, Rounds

STARTED: Final = 2  # VIR_DOMAIN_EVENT_STARTED
RESUMED: Final = 4  # VIR_DOMAIN_EVENT_RESUMED
_DOWNTIME_MS: Final = 50  # that QEMU may stop the guest for: less than a neighbour notices
_NO_LIMIT_MIB: Final = 1 << 20  # a second; QEMU's own limit is 128


@dataclass(frozen=True, slots=True)
class Departure:
    """How a guest leaves: what it is to be there, and at most how many MiB/s, 0 for no limit.

    The others are paths of sockets that lead to the other host: to libvirt, and to what its QEMU
    listens on for memory and disks.
    """

    domain: Domain
    xml: str
    libvirt: str
    memory: str
    disks: str
    bandwidth_mib: int = 0


def described(domains: Domains, domain: Domain) -> str:
    """Return the XML that another host's libvirt needs of a guest. Raises VmnetError."""
    import libvirt

    with converting(f"reading what {domain.vm} is made of"):
        flags = libvirt.VIR_DOMAIN_XML_MIGRATABLE | libvirt.VIR_DOMAIN_XML_SECURE
        return str(domains.lookup(domain.name).XMLDesc(flags))


def migrate(domains: Domains, departure: Departure) -> None:
    """Let a guest run on at the other host.

    Raises VmnetError when it has not come to that: then it runs on here.
    """
    import libvirt

    domain = departure.domain
    with converting(f"moving {domain.vm}: asking the other host's libvirt"):
        there = libvirt.open(f"qemu+unix:///system?socket={departure.libvirt}")
    with closing(there):
        dom = domains.lookup(domain.name)
        try:
            if domain.accel == "kvm":
                with suppress(libvirt.libvirtError):  # then it is QEMU's own, of 300 ms
                    dom.migrateSetMaxDowntime(_DOWNTIME_MS, 0)
                dom.migrate3(there, _parameters(departure), _flags(domain))
            else:
                _migrate_emulated(dom, there, departure)
        except libvirt.libvirtError as error:
            raise converted(error, f"moving {domain.vm}") from error


def _migrate_emulated(dom: Any, there: Any, departure: Departure) -> None:
    """Let an emulated guest run on at the other host. Raises libvirtError."""
    import libvirt

    flags, parameters = _flags(departure.domain), _parameters(departure)
    bandwidth = parameters[libvirt.VIR_MIGRATE_PARAM_BANDWIDTH]
    dom.migrateSetMaxDowntime(NO_DOWNTIME_MS, 0)
    slowly = {**parameters, libvirt.VIR_MIGRATE_PARAM_BANDWIDTH: START_MIB}
    rounds = Rounds(dom.connect().getURI(), dom.name(), bandwidth << 20)
    try:
        with rounds:
            dom.migrate3(there, slowly, flags)
    except libvirt.libvirtError:
        if not rounds.is_late:
            raise
        dom.migrate3(there, parameters, flags)  # the guest is halted all the time


def abort(domains: Domains, name: str) -> None:
    """Stop moving a guest; one that is not being moved is fine."""
    import libvirt

    with suppress(VmnetError, libvirt.libvirtError):
        domains.lookup(name).abortJob()


def downtime_ms(domains: Domains, name: str) -> int:
    """Return for how long a guest that has come was stopped, 0 when QEMU does not tell."""
    import libvirt

    try:
        found = domains.lookup(name).jobStats(libvirt.VIR_DOMAIN_JOB_STATS_COMPLETED)
    except (VmnetError, libvirt.libvirtError):
        return 0
    return int(found.get(libvirt.VIR_DOMAIN_JOB_DOWNTIME, 0))


class Listener:
    """What libvirt tells of one domain, on a connection of its own.

    A connection tells each kind of event to one listener alone. `told(event, number)` is called in
    the thread of libvirt's events, with libvirt's number of the domain: it may not ask libvirt.
    """

    def __init__(self, uri: str, name: str, told: Callable[[int, int], None]) -> None:
        """Listen until `close`. Raises VmnetError when libvirt cannot be reached."""
        import libvirt

        def happened(_: object, dom: Any, event: int, _detail: int, _o: object) -> None:
            if dom.name() == name:
                told(event, dom.ID())

        with converting(f"waiting for {name}"):
            self._connection = libvirt.open(uri)
            on = self._connection.domainEventRegisterAny
            on(None, libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, happened, None)

    def close(self) -> None:
        """Listen no more."""
        import libvirt

        with suppress(libvirt.libvirtError):
            self._connection.close()


def _parameters(departure: Departure) -> dict[str, Any]:
    import libvirt

    found: dict[str, Any] = {
        libvirt.VIR_MIGRATE_PARAM_DEST_XML: departure.xml,
        libvirt.VIR_MIGRATE_PARAM_URI: f"unix://{departure.memory}",
        libvirt.VIR_MIGRATE_PARAM_BANDWIDTH: departure.bandwidth_mib or _NO_LIMIT_MIB,
    }
    if departure.domain.can_write:
        found[libvirt.VIR_MIGRATE_PARAM_DISKS_URI] = f"unix://{departure.disks}"
    return found


def _flags(domain: Domain) -> int:
    import libvirt

    flags = 0  # libvirt halts the guest before copying begins
    if domain.accel == "kvm":
        flags = libvirt.VIR_MIGRATE_LIVE | libvirt.VIR_MIGRATE_AUTO_CONVERGE
    if domain.can_write:
        # What the guest has written: the image below is there already.
        flags |= libvirt.VIR_MIGRATE_NON_SHARED_INC
    return int(flags)
