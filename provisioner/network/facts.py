"""What was read from the host: values that rules and desires are decided from."""

from typing import Final

from provisioner.dataclass import dataclass
from provisioner.plan.ip import Interface, Subnet


@dataclass(frozen=True, slots=True)
class Link:
    """One network device of the namespace vmnet runs in."""

    name: str
    index: int
    kind: str  # "" for hardware, else the kernel's word: veth, bridge, macvtap …
    mac: str
    mtu: int
    ethernet: bool
    up: bool
    carrier: bool
    group: int = 0
    lower: int = 0  # ifindex of the device it sits on; 0 for none
    master: int = 0  # ifindex of the bridge or bond it is a port of; 0 for none
    hairpin: bool = False  # of such a port: it sends frames back to where they came from
    port_drops: tuple[str, ...] = ()  # what it has set that drops frames: "flood off"
    alias: str = ""
    altname: str = ""
    mode: str = ""  # of a macvtap or macvlan, as the kernel calls it
    nopromisc: bool = False  # of a passthru one
    sources: tuple[str, ...] = ()  # of one in source mode: MACs, sorted
    queues: int = 1
    txqueuelen: int = 0
    quiet: bool = False
    all_multicast: bool = False  # receives every group: guests need it for IPv6
    ipv6: bool = False  # the host's own IPv6 is switched on there
    learns: bool = False  # the host takes routes or addresses from routers there, or has done so
    addresses: tuple[Interface, ...] = ()  # without link-local ones, sorted by their text
    wireless: bool = False
    vid: int = 0  # of a VLAN device


@dataclass(frozen=True, slots=True)
class Route:
    """One route of the main table."""

    network: Subnet
    device: str
    gateway_mac: str = ""  # of a default route's gateway, as far as the host has met it
    learned: bool = False  # on a device of vmnet's, from a router advertisement

    @property
    def is_default(self) -> bool:
        """Whether it is for everything that no other route is for."""
        return not self.network.prefixlen


@dataclass(frozen=True, slots=True)
class Chosen:
    """Something that was chosen automatically, and why: the user is always shown it."""

    what: str
    why: str


@dataclass(frozen=True, slots=True)
class ForeignDomain:
    """A domain that libvirt knows and that is not this plan's."""

    name: str
    uuid: str


LOST: Final = "lost by libvirt"
"""The state of a VM whose QEMU runs and which libvirt does not know."""

STOPPED: Final = "stopped"
"""The state of a VM that vmnet has stopped, until it is started."""


ELSEWHERE: Final = "?"
"""What a macvtap's uplink is called that is in another network namespace."""


@dataclass(frozen=True, slots=True)
class Live:
    """What a VM is made of right now, one that runs or was stopped."""

    vm: str
    state: str
    pid: int
    taps: tuple[tuple[str, int], ...]  # link name, ifindex


@dataclass(frozen=True, slots=True)
class Firewall:
    """What nftables can do here, and what it does already."""

    no_guard: str = ""  # why frames on their way out of a macvtap cannot be filtered
    no_nat: str = ""  # why addresses cannot be translated
    drops: tuple[str, ...] = ()  # chains of others that drop what this host forwards
    no_filter: str = ""  # why nothing can keep this host from forwarding
    forwards: tuple[int, ...] = ()  # IP versions that this host forwards without vmnet
    namesakes: tuple[tuple[str, str], ...] = ()  # others' tables with vmnet's names: family, name


@dataclass(frozen=True, slots=True)
class Room:
    """What is free in a folder that vmnet writes to."""

    place: str
    variable: str  # of the environment, which moves it
    free_bytes: int
    free_files: int  # -1 where the file system does not count them
    is_of_guests: bool = False  # the files of guests lie there, not locks and sockets alone
    is_read_only: bool = False


@dataclass(frozen=True, slots=True)
class Facts:
    """The host as far as a plan can depend on it."""

    links: tuple[Link, ...] = ()
    routes: tuple[Route, ...] = ()
    foreign_domains: tuple[ForeignDomain, ...] = ()
    home: str = ""  # the directory of the plan's files
    live: tuple[Live, ...] = ()
    firewall: Firewall = Firewall()
    user: int = 0  # who vmnet runs as
    vhost: bool = False  # /dev/vhost-net can be used
    no_vlan: str = ""  # why VLANs cannot be made; asked for a plan that has some
    ipv6_locked: str = ""  # why the host's IPv6 cannot be switched off on new devices
    memory_mib: int = 0  # that programs can still have; 0 when that is not known
    rooms: tuple[Room, ...] = ()

    def link(self, name: str) -> Link | None:
        """Find a link by its name."""
        return next((x for x in self.links if x.name == name), None)

    def link_at(self, index: int) -> Link | None:
        """Find a link by its ifindex."""
        return next((x for x in self.links if x.index == index), None)
