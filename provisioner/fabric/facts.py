"""What a host tells of itself, for whoever places VMs on several of them."""

from typing import Final

from provisioner.dataclass import dataclass

PROTOCOL: Final = 1
"""The number of this form of facts, and of what one vmnet asks another; both must have the same."""

FEATURES: Final = ("guard", "kvm", "macvtap", "nat", "vhost", "vlan")
"""What a host may offer: spoof guards, KVM, macvtaps, NAT, /dev/vhost-net, VLANs."""


@dataclass(frozen=True, slots=True)
class UplinkTap:
    """A macvtap or macvlan on a NIC: its mode, and whose it is; both are "" for a stranger's.

    `mac` is "" where the host's vmnet does not tell it.
    """

    name: str
    mode: str
    plan: str = ""
    vm: str = ""
    mac: str = ""


@dataclass(frozen=True, slots=True)
class UplinkFacts:
    """A NIC that macvtaps can be put on; `mtu` is in bytes."""

    name: str
    mac: str
    mtu: int
    carrier: bool
    taps: tuple[UplinkTap, ...] = ()
    carries_default: bool = False  # the host's own way out leads through it


@dataclass(frozen=True, slots=True)
class ResidentVm:
    """A VM that a host has: one that runs, or whose disks or devices are left there."""

    plan: str
    vm: str
    state: str  # as vmnet ls tells it
    runs: bool


@dataclass(frozen=True, slots=True)
class StoredName:
    """An image that a host has in its store: its name there, and the SHA-256 of its content."""

    name: str
    digest: str


@dataclass(frozen=True, slots=True)
class HostFacts:
    """One host at one moment; memory is in MiB, so is the room for guests' files."""

    name: str  # what it calls itself
    version: str  # of its vmnet
    architecture: str
    cores: int
    memory_mib: int
    free_memory_mib: int
    free_pool_mib: int
    features: tuple[str, ...] = ()
    uplinks: tuple[UplinkFacts, ...] = ()
    vms: tuple[ResidentVm, ...] = ()
    images: tuple[StoredName, ...] = ()
    troubles: tuple[str, ...] = ()  # what could not be read
    protocol: int = PROTOCOL

    def uplink(self, name: str) -> UplinkFacts | None:
        """Find a NIC by its name."""
        return next((x for x in self.uplinks if x.name == name), None)


@dataclass(frozen=True, slots=True)
class Silent:
    """A host that has not answered: nobody knows what runs there, unless it is declared dead."""

    why: str
    is_dead: bool = False
