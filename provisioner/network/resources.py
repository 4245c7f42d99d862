"""What a plan means on a host: the links, seed images and domains it calls for."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from provisioner.guest.domain import MICRO, Copy, Disk, Domain, DomainDisk, DomainNic, Image, Seed


@dataclass(frozen=True, slots=True)
class Switch:
    """An isolated uplink: a veth pair whose far side carries the host's addresses.

    With a `bridge` the far end is its one port, in hairpin mode: it sends frames back to where they
    came from, as a switch of IEEE 802.1Qbg does. The addresses are the bridge's then.
    """

    name: str  # the lower end: what macvtaps are put on
    far: str
    addresses: tuple[str, ...]  # ADDRESS/PREFIX, sorted
    mtu: int
    group: int
    alias: str
    mac: str = ""  # of the lower end: a passthru guest bears it
    far_mac: str = ""  # of the host's side: guests know the host by it
    bridge: str = ""  # the reflecting bridge behind the far end; "" for none
    up: bool = True
    ignores_routers: bool = (
        True  # no IPv6 of the host's at the lower end, no routers heard at the others
    )

    @property
    def side(self) -> str:
        """The device on which the host meets the guests."""
        return self.bridge or self.far


__all__ = [
    "MICRO",
    "Copy",
    "Dhcp",
    "Disk",
    "Domain",
    "DomainDisk",
    "DomainNic",
    "Guard",
    "HostAccess",
    "Image",
    "Key",
    "Link",
    "Macvtap",
    "Nat",
    "Resource",
    "Resources",
    "Rules",
    "Seed",
    "Switch",
    "Vlan",
    "by_key",
    "follows",
    "key",
    "label",
    "needs",
]


@dataclass(frozen=True, slots=True)
class Vlan:
    """An 802.1Q device on `uplink`: what macvtaps of that VLAN are put on."""

    name: str
    uplink: str
    vid: int
    mtu: int
    group: int
    alias: str
    up: bool = True
    ignores_routers: bool = True  # no IPv6 of the host's


@dataclass(frozen=True, slots=True)
class HostAccess:
    """A macvlan beside bridge-mode guests: the only way from the host to guests on its own NIC."""

    name: str
    uplink: str
    mac: str
    addresses: tuple[str, ...]  # the sibling's own, /32 and /128, sorted
    routes: tuple[str, ...]  # one per guest's address, /32 and /128, sorted
    mtu: int
    group: int
    alias: str
    up: bool = True
    answers_for_itself: bool = True  # arp_ignore=1: else the LAN hears two answers for the host
    ignores_routers: bool = True  # the host takes neither routes nor addresses from routers there


@dataclass(frozen=True, slots=True)
class Rules:
    """A table of nftables: the rules as nft reads them, and the digests that each one bears.

    nft prints rules otherwise from version to version, so a table is compared by the digest that
    vmnet puts into the comment of each rule.
    """

    name: str  # of the table
    family: str  # "netdev" or "inet"
    device: str  # what it is about
    marks: tuple[str, ...]  # of each chain and rule, in order
    text: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Guard(Rules):
    """What a guest may send: egress rules on its macvtap, towards the wire and its siblings."""


@dataclass(frozen=True, slots=True)
class Nat(Rules):
    """What a switch's guests may have forwarded: out by address translation, or nothing at all."""

    forwards: tuple[int, ...] = (4,)  # IP versions that the host must forward
    translates: bool = True  # False for a switch without NAT: nothing is forwarded


@dataclass(frozen=True, slots=True)
class Dhcp:
    """A dnsmasq on the host's side of a switch: leases, static entries, names."""

    name: str  # of the network
    device: str
    config: str  # path of its configuration, which holds a digest of the content
    text: str = field(default="", compare=False)  # that content
    alive: bool = True


@dataclass(frozen=True, slots=True)
class Macvtap:
    """A macvtap on `uplink`; name, group and MAC say whose it is from its first moment."""

    name: str
    uplink: str
    mode: str
    mac: str
    mtu: int
    group: int
    alias: str
    altname: str
    nopromisc: bool = False  # passthru without putting the uplink into promiscuous mode
    sources: tuple[str, ...] = ()  # whom a source-mode macvtap hears: MACs, sorted
    queues: int = 1
    txqueuelen: int = 500  # frames that wait for the reader; the kernel's own default
    up: bool = True
    quiet: bool = True  # the host has no part in it: IPv6 off, NOARP; and it hears ALLMULTI
    node: str = "right"  # /dev/tap<ifindex>: right, missing, or foreign


Link = Switch | Vlan | HostAccess | Macvtap
Resource = Link | Guard | Nat | Dhcp | Seed | Disk | Copy | Domain
Key = tuple[str, str]
Resources = Mapping[Key, Resource]


def key(resource: Resource) -> Key:
    """Identify a resource among all others of a plan."""
    match resource:
        case Seed(path=path) | Disk(path=path) | Copy(path=path):
            return type(resource).__name__.lower(), path
        case HostAccess(name=name):
            return "host access", name
        case _:
            return type(resource).__name__.lower(), resource.name


def needs(resource: Resource) -> tuple[Key, ...]:
    """Name what must exist before `resource` can, and without which it cannot stay."""
    match resource:
        case Domain(nics=nics, seed=seed):
            links = tuple(("macvtap", nic.link) for nic in nics if not nic.granted)
            return (*links, *_files(resource), *((("seed", seed),) if seed else ()))
        case Macvtap(uplink=uplink) | HostAccess(uplink=uplink):
            return ("switch", uplink), ("vlan", uplink)
        case Guard(device=device):
            # The kernel takes a hook away with its device.
            return (("macvtap", device),)
        case Nat() | Dhcp() | Vlan() | Switch() | Seed() | Disk() | Copy():
            return ()


def _files(domain: Domain) -> tuple[Key, ...]:
    """Name the files in the plan's folder that a domain stands on; others are not the plan's."""
    own = f"{domain.console.partition('/console/')[0]}/"
    read = (domain.kernel, domain.initrd, domain.nvram, domain.ignition)
    return (
        *(("disk", disk.path) for disk in domain.disks if disk.path.startswith(f"{own}disk/")),
        *(("copy", path) for path in read if path.startswith(f"{own}boot/")),
    )


def follows(resource: Resource, others: Resources) -> tuple[Key, ...]:
    """Name what should stand before `resource` is made, though it can live without."""
    match resource:
        case Domain(nics=nics):
            guards = {nic.link for nic in nics}
            return tuple(
                k
                for k, r in others.items()
                if isinstance(r, Nat | Dhcp) or (isinstance(r, Guard) and r.device in guards)
            )
        case Nat(translates=False):
            return ()  # the sooner the better
        case Nat(device=device) | Dhcp(device=device):
            return tuple(k for k, r in others.items() if isinstance(r, Switch) and r.side == device)
        case _:
            return ()


def label(resource: Resource) -> str:
    """Name a resource in the user's words."""
    match resource:
        case Seed(path=path) | Disk(path=path) | Copy(path=path):
            return f"{key(resource)[0]} {path.rsplit('/', 1)[-1]}"
        case Guard(device=device, name=name):
            return f"guard of {device}" if device else f"guard {name}, whose macvtap is gone"
        case Nat(name=name, translates=False):
            return f"isolation {name}"
        case _:
            return " ".join(key(resource))


def by_key(resources: list[Resource]) -> dict[Key, Resource]:
    """Index resources by what identifies them."""
    return {key(r): r for r in resources}
