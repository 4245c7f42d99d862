"""What a plan means on a host: the links, seed images and domains it calls for."""

from collections.abc import Mapping
from dataclasses import dataclass, field

MICRO = "micro"
"""The image that boots from memory, and is told its network on the kernel's command line."""


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

    @property
    def side(self) -> str:
        """The device on which the host meets the guests."""
        return self.bridge or self.far


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
    """Address translation for a switch's guests, with the forwarding that it needs."""

    forwards: tuple[int, ...] = (4,)  # IP versions that the host must forward


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
    quiet: bool = True  # the host does not speak through it: addr_gen_mode none, NOARP, ALLMULTI
    node: str = "right"  # /dev/tap<ifindex>: right, missing, or foreign


@dataclass(frozen=True, slots=True)
class Seed:
    """A NoCloud seed image; its path holds a digest of its content, so a name never lies.

    The content never shows in a repr: it holds secrets.
    """

    path: str
    files: tuple[tuple[str, str], ...] = field(default=(), compare=False, repr=False)
    vm: str = field(default="", compare=False)
    host_key: str = field(default="", compare=False)  # how it takes one (core.hostkey), "" for none


@dataclass(frozen=True, slots=True)
class Image:
    """What a guest boots: a kernel and an initrd, a disk, or both."""

    kernel: str = ""
    initrd: str = ""
    cmdline: str = ""  # what the kernel is to be told at least
    min_memory_mib: int = 0
    name: str = MICRO  # what the plan calls it
    disk: str = ""  # path of the file that guests' disks are laid over; "" for none
    format: str = "qcow2"  # of that file, as it was recorded when it was taken in
    size: int = 0  # of that disk, in bytes
    boot: tuple[str, ...] = ()  # how it boots from its disk: "bios", "uefi"
    user: str = "root"  # who logs in
    min_cpu: str = ""  # "x86-64-v2", say; "" for any
    agent: bool = True  # the guest agent runs inside
    cloud_init: bool = False  # it reads a NoCloud seed; micro has its network on the command line


@dataclass(frozen=True, slots=True)
class Disk:
    """A qcow2 file that is a guest's: laid over an image, or empty."""

    path: str
    size: int  # of the disk that the guest sees, in bytes
    backing: str = ""  # the image's file; "" for none
    backing_format: str = ""


@dataclass(frozen=True, slots=True)
class Copy:
    """A file that QEMU gets a copy of: its user could not read the original, or may write to it.

    The path of what QEMU only reads holds a digest of its content, so a name never lies.
    """

    path: str
    source: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class DomainDisk:
    """One disk of a domain. Its format is said aloud, its image's too: nothing is ever probed."""

    path: str
    format: str
    backing: str = ""
    backing_format: str = ""
    cache: str = ""  # "" for QEMU's own choice
    discard: bool = True
    readonly: bool = False
    kind: str = "file"  # or "block"


@dataclass(frozen=True, slots=True)
class DomainNic:
    """One network card of a domain, on the macvtap `link`."""

    link: str
    mac: str
    mtu: int
    queues: int = 1
    vhost: bool = False
    granted: bool = False  # the device is root's work, not this plan's


@dataclass(frozen=True, slots=True)
class Domain:
    """A libvirt domain as vmnet wants it; the same value is kept in the domain's metadata."""

    name: str
    uuid: str
    plan: str
    vm: str
    memory_mib: int
    cpus: int
    accel: str  # "kvm" or "tcg", chosen
    kernel: str
    initrd: str
    cmdline: str
    console: str  # path of the console log
    nics: tuple[DomainNic, ...]
    network: str = ""  # what the guest was last told about its NICs: network-config v2
    user: str = ""  # a fingerprint of its user-data, which holds secrets
    seed: str | None = None
    image: Image = Image()  # as it was when the guest was started
    disks: tuple[DomainDisk, ...] = ()
    machine: str = "q35"
    cpu_model: str = ""  # "" for what suits the accelerator and the image
    firmware: str = ""  # "uefi"; "" for the machine's BIOS
    loader: str = ""  # UEFI's code
    nvram: str = ""  # and its variables, the guest's own
    graphics: str = "none"
    ignition: str = ""  # path of what Ignition reads
    template: str = ""  # digest of the user's own template; "" for vmnet's
    login: str = "root"  # who logs in by ssh


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
        case Nat(device=device) | Dhcp(device=device):
            return tuple(k for k, r in others.items() if isinstance(r, Switch) and r.side == device)
        case _:
            return ()


def label(resource: Resource) -> str:
    """Name a resource in the user's words."""
    match resource:
        case Seed(path=path) | Disk(path=path) | Copy(path=path):
            return f"{key(resource)[0]} {path.rsplit('/', 1)[-1]}"
        case Guard(device=device):
            return f"guard of {device}"
        case _:
            return " ".join(key(resource))


def by_key(resources: list[Resource]) -> dict[Key, Resource]:
    """Index resources by what identifies them."""
    return {key(r): r for r in resources}
