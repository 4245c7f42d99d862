"""What a plan means on a host: the links, seed images and domains it calls for."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Switch:
    """An isolated uplink: a veth pair; the far end carries the host's addresses."""

    name: str  # the lower end: what macvtaps are put on
    far: str
    addresses: tuple[str, ...]  # ADDRESS/PREFIX, sorted
    mtu: int
    group: int
    alias: str
    up: bool = True


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
    """A NoCloud seed image; its path holds a digest of its content, so a name never lies."""

    path: str
    files: tuple[tuple[str, str], ...] = field(default=(), compare=False)


@dataclass(frozen=True, slots=True)
class DomainNic:
    """One network card of a domain, on the macvtap `link`."""

    link: str
    mac: str
    mtu: int


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
    image_cmdline: str  # the part of it that came with the image
    console: str  # path of the console log
    nics: tuple[DomainNic, ...]
    seed: str | None = None


Resource = Switch | Macvtap | Seed | Domain
Key = tuple[str, str]
Resources = Mapping[Key, Resource]


def key(resource: Resource) -> Key:
    """Identify a resource among all others of a plan."""
    match resource:
        case Seed(path=path):
            return "seed", path
        case _:
            return type(resource).__name__.lower(), resource.name


def needs(resource: Resource) -> tuple[Key, ...]:
    """Name what must exist before `resource` can."""
    match resource:
        case Domain(nics=nics, seed=seed):
            links = tuple(("macvtap", nic.link) for nic in nics)
            return (*links, ("seed", seed)) if seed else links
        case Macvtap(uplink=uplink):
            return (("switch", uplink),)
        case Switch() | Seed():
            return ()


def label(resource: Resource) -> str:
    """Name a resource in the user's words."""
    match resource:
        case Seed(path=path):
            return f"seed {path.rsplit('/', 1)[-1]}"
        case _:
            return " ".join(key(resource))


def by_key(resources: list[Resource]) -> dict[Key, Resource]:
    """Index resources by what identifies them."""
    return {key(r): r for r in resources}
