"""The kinds of resources that a network consists of on a host, and what killed runs leave of them.

What a kind needs, follows, changes while it exists and how differences read: see `Resource`.
"""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import field
from typing import ClassVar, Self

from provisioner.dataclass import dataclass
from provisioner.network.facts import Link
from provisioner.plan.choices import Mode
from provisioner.plan.ip import Interface, Subnet
from provisioner.resource import Key, Leftover, Resource, Text, changed
from provisioner.text import one_line


@dataclass(frozen=True, slots=True)
class Device(Resource):
    """A network device of the plan's; all of them can be deleted in one call."""

    TEXTS: ClassVar[Mapping[str, Text]] = {
        "up": lambda want, _: "is down" if want else "is up",
        "ignores_routers": "the host learns from routers through it",
    }

    name: str

    @property
    def parts(self) -> tuple[str, ...]:
        """The names of the devices that it consists of."""
        return (self.name,)


@dataclass(frozen=True, slots=True)
class UpperDevice(Device):
    """A device on an uplink: on a switch or a VLAN of the plan's, or on a NIC of the host.

    The kernel refuses anything beside passthru, and two devices with one MAC on an uplink.
    """

    uplink: str

    def needs(self) -> tuple[Key, ...]:
        """Return the uplink; that of the host is not the plan's, and there anyway."""
        return (Switch.KIND, self.uplink), (Vlan.KIND, self.uplink)

    def excludes(self, other: Resource) -> bool:
        """Return whether `other` is on the same uplink, where it may have this MAC or be alone."""
        return isinstance(other, UpperDevice) and other.uplink == self.uplink


@dataclass(frozen=True, slots=True)
class Switch(Device):
    """An isolated uplink: a veth pair whose peer carries the host's addresses.

    Its name is that of the lower end, which macvtaps are put on. With a `bridge` the peer is its
    one port, in hairpin mode: it sends frames back to where they came from, as a switch of IEEE
    802.1Qbg does. The addresses are the bridge's then.
    """

    KIND: ClassVar[str] = "switch"
    LIVE: ClassVar[frozenset[str]] = frozenset(
        {"addresses", "mtu", "alias", "up", "ignores_routers", "bridge", "host_mac"}
    )

    peer: str
    addresses: tuple[Interface, ...]  # sorted by their text
    mtu: int
    group: int
    alias: str
    mac: str = ""  # of the lower end: a passthru guest bears it
    host_mac: str = ""  # of the host's side: guests know the host by it
    bridge: str = ""  # the reflecting bridge behind the peer; "" for none
    up: bool = True
    ignores_routers: bool = (
        True  # no IPv6 of the host's at the lower end, no routes from routers at the others
    )

    def called(self, known: Mapping[Key, Resource]) -> str:
        """Name the network that it is of, as its alias tells."""
        del known
        return f"{self.KIND} {_network_of(self)}"

    @property
    def host_side(self) -> str:
        """The device on which the host meets the guests."""
        return self.bridge or self.peer

    @property
    def parts(self) -> tuple[str, ...]:
        """The names of the ends of its pair, and of its bridge."""
        return tuple(filter(None, (self.name, self.peer, self.bridge)))


@dataclass(frozen=True, slots=True)
class Vlan(Device):
    """An 802.1Q device on `uplink`: what macvtaps of that VLAN are put on."""

    KIND: ClassVar[str] = "vlan"
    LIVE: ClassVar[frozenset[str]] = frozenset({"mtu", "alias", "up", "ignores_routers"})

    uplink: str
    vid: int
    mtu: int
    group: int
    alias: str
    up: bool = True
    ignores_routers: bool = True  # no IPv6 of the host's

    def called(self, known: Mapping[Key, Resource]) -> str:
        """Name the VLAN and the NIC below."""
        del known
        return f"{self.KIND} {self.vid} on {self.uplink}"


@dataclass(frozen=True, slots=True)
class HostAccess(UpperDevice):
    """A macvlan beside bridge-mode guests: the only way from the host to guests on its own NIC."""

    KIND: ClassVar[str] = "host access"
    LIVE: ClassVar[frozenset[str]] = frozenset(
        {"addresses", "routes", "mtu", "alias", "up", "ignores_routers", "answers_for_itself"}
    )
    TEXTS: ClassVar[Mapping[str, Text]] = {
        **Device.TEXTS,
        "answers_for_itself": "it answers for addresses of the host that are not its own",
    }

    mac: str
    addresses: tuple[Interface, ...]  # the macvlan's own, /32 and /128, sorted by their text
    routes: tuple[Subnet, ...]  # one per guest's address, /32 and /128, sorted by their text
    mtu: int
    group: int
    alias: str
    up: bool = True
    answers_for_itself: bool = True  # arp_ignore=1: else the LAN gets two answers for the host
    ignores_routers: bool = True  # the host takes neither routes nor addresses from routers there

    def called(self, known: Mapping[Key, Resource]) -> str:
        """Name the network that the host gets access to, as its alias tells."""
        del known
        return f"{self.KIND} to {_network_of(self)}"


@dataclass(frozen=True, slots=True)
class Rules(Resource):
    """A table of nftables: the rules as nft reads them, and the digests that each one bears.

    nft prints rules otherwise from version to version, so a table is compared by the digest that
    vmnet puts into the comment of each rule.
    """

    LIVE: ClassVar[frozenset[str]] = frozenset({"marks", "family", "device"})
    TEXTS: ClassVar[Mapping[str, Text]] = {
        "marks": "its rules have changed",
        "forwards": "the host does not forward",
        "translates": "nat has changed",
    }

    name: str  # of the table
    family: str  # "netdev" or "inet"
    device: str  # what it is about
    marks: tuple[str, ...]  # of each chain and rule, in order
    text: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Guard(Rules):
    """What a guest may send, and from whom it never gets anything: rules at its macvtap."""

    KIND: ClassVar[str] = "guard"

    @property
    def label(self) -> str:
        """Name the macvtap that it is about, if it is there."""
        if self.device:
            return f"guard of {self.device}"
        return f"guard {self.name}, whose macvtap is gone"

    def called(self, known: Mapping[Key, Resource]) -> str:
        """Name the NIC that it is about, if its macvtap is there."""
        tap = known.get((Macvtap.KIND, self.device))
        return f"{self.KIND} of {tap.of}" if isinstance(tap, Macvtap) else self.label

    def needs(self) -> tuple[Key, ...]:
        """Return the macvtap: the kernel takes a hook away with its device."""
        return ((Macvtap.KIND, self.device),)


@dataclass(frozen=True, slots=True)
class Nat(Rules):
    """What a switch's guests may have forwarded: out by address translation, or nothing at all."""

    KIND: ClassVar[str] = "nat"
    LIVE: ClassVar[frozenset[str]] = Rules.LIVE | {"forwards", "translates"}

    forwards: tuple[int, ...] = (4,)  # IP versions that the host must forward
    translates: bool = True  # False for a switch without NAT: nothing is forwarded

    @property
    def label(self) -> str:
        """Name an isolation as one."""
        return f"{self.KIND if self.translates else 'isolation'} {self.name}"

    def follows(self, others: Mapping[Key, Resource]) -> tuple[Key, ...]:
        """Return the switch; an isolation is made as soon as possible."""
        return _switches(self.device, others) if self.translates else ()


@dataclass(frozen=True, slots=True)
class Dhcp(Resource):
    """A dnsmasq on the host's side of a switch: leases, static entries, names."""

    KIND: ClassVar[str] = "dhcp"
    TEXTS: ClassVar[Mapping[str, Text]] = {
        "alive": "it has ended or is stopped",
        "device": lambda want, have: (
            f"device is {have}, want {want}" if have else "its files are gone"
        ),
        **changed("config"),
    }

    name: str  # of the network
    device: str
    config: str  # path of its configuration, which holds a digest of the content
    text: str = field(default="", compare=False)  # that content
    alive: bool = True

    def follows(self, others: Mapping[Key, Resource]) -> tuple[Key, ...]:
        """Return the switch that it serves."""
        return _switches(self.device, others)


def _network_of(device: Switch | HostAccess) -> str:
    """Return the network that a device's alias names (devices.of_network), else the device."""
    _, _, network = device.alias.partition("/")
    return network or device.name


def _switches(side: str, others: Mapping[Key, Resource]) -> tuple[Key, ...]:
    return tuple(k for k, r in others.items() if isinstance(r, Switch) and r.host_side == side)


@dataclass(frozen=True, slots=True)
class Macvtap(UpperDevice):
    """A macvtap on `uplink`; name, group and MAC show whose it is from its first moment."""

    KIND: ClassVar[str] = "macvtap"
    LIVE: ClassVar[frozenset[str]] = frozenset(
        {"mode", "nopromisc", "sources", "mtu", "txqueuelen"}
        | {"alias", "altname", "up", "quiet", "node"}
    )
    TEXTS: ClassVar[Mapping[str, Text]] = {
        **Device.TEXTS,
        "quiet": "the host speaks through it",
        "node": lambda _, have: f"its /dev/tap node is {have}",
        "nopromisc": lambda want, _: (
            "it makes the uplink promiscuous" if want else "its uplink is not promiscuous"
        ),
    }

    mode: Mode
    mac: str
    mtu: int
    group: int
    alias: str
    altname: str
    nopromisc: bool = False  # passthru without putting the uplink into promiscuous mode
    sources: tuple[str, ...] = ()  # whom a source-mode macvtap receives from: MACs, sorted
    queues: int = 1
    txqueuelen: int = 500  # frames that wait for the reader; the kernel's own default
    up: bool = True
    quiet: bool = True  # the host has no part in it: IPv6 off, NOARP; and ALLMULTI is set
    node: str = "right"  # /dev/tap<ifindex>: right, missing, or foreign
    plan: str = field(default="", compare=False)
    vm: str = field(default="", compare=False)
    nic: int = field(default=0, compare=False)
    shown: str = field(default="", compare=False)  # what people call the NIC, as the plan tells

    @property
    def of(self) -> str:
        """What people call the NIC: without its plan VM.NUMBER, as its alias tells."""
        _, _, owner = self.alias.partition("/")
        vm, _, number = owner.rpartition("/")
        return self.shown or (f"{vm}.{number}" if vm else self.name)

    def called(self, known: Mapping[Key, Resource]) -> str:
        """Name the NIC that it is of."""
        del known
        return f"{self.KIND} {self.of}"

    @classmethod
    def from_link(
        cls, link: Link, uplink: str, *, plan: str = "", node: str = "right"
    ) -> "Macvtap":
        """Return what a device of kind macvtap is, on the device `uplink`."""
        return cls(
            name=link.name,
            uplink=uplink,
            mode=Mode(link.mode),
            mac=link.mac,
            mtu=link.mtu,
            group=link.group,
            alias=one_line(link.alias),
            altname=one_line(link.altname),
            nopromisc=link.nopromisc,
            sources=link.sources,
            queues=link.queues,
            txqueuelen=link.txqueuelen,
            up=link.up,
            quiet=link.quiet and not link.ipv6,
            node=node,
            plan=plan,
        )

    def excludes(self, other: Resource) -> bool:
        """Return whether `other` is in the way on the uplink, in /dev, or at a device of its name.

        The node of an earlier macvtap may have the number that this one will have. One that has
        been renamed keeps the alternative name.
        """
        if isinstance(other, Macvtap) and other.altname == self.altname:
            return True
        named = isinstance(other, Impaired) and other.name == self.name
        return named or isinstance(other, LeftNode) or UpperDevice.excludes(self, other)

    def can_become(self, want: Self, changed: AbstractSet[str]) -> bool:
        """Return whether the kernel takes the change, and the node is not another device's.

        The kernel answers EINVAL to a change to or from passthru; a foreign node can only be
        avoided by another ifindex.
        """
        alike = self.mode.is_exclusive == want.mode.is_exclusive
        return changed <= self.LIVE and self.node != "foreign" and alike


@dataclass(frozen=True, slots=True)
class LeftWire(Leftover):
    """A temporary wire into an uplink that nobody uses (host/probe/ingress_injector.py)."""

    KIND: ClassVar[str] = "wire"
    OF_HOST: ClassVar[bool] = True

    name: str  # of the end that passes frames on


@dataclass(frozen=True, slots=True)
class Impaired(Leftover):
    """Rules of `vmnet link` at a device: they stay as long as the device."""

    KIND: ClassVar[str] = "impairment"
    UNWANTED: ClassVar[str] = "its device is gone"
    OF_HOST: ClassVar[bool] = True

    name: str  # of the device
    exists: bool = True  # the device does

    @property
    def label(self) -> str:
        """Name the device that it is about."""
        return f"{self.KIND} of {self.name}"

    def called(self, known: Mapping[Key, Resource]) -> str:
        """Name the NIC that it is about, if its macvtap is there."""
        tap = known.get((Macvtap.KIND, self.name))
        return f"{self.KIND} of {tap.of}" if isinstance(tap, Macvtap) else self.label

    def needs(self) -> tuple[Key, ...]:
        """Return the macvtap: the kernel takes a hook away with its device."""
        return ((Macvtap.KIND, self.name),)

    @property
    def stays(self) -> bool:
        """Whether its device exists: what becomes of that decides."""
        return self.exists


@dataclass(frozen=True, slots=True)
class LeftNode(Leftover):
    """A character device that vmnet made for a macvtap which has gone."""

    KIND: ClassVar[str] = "node"
    ID: ClassVar[str] = "path"
    UNWANTED: ClassVar[str] = "its macvtap is gone"

    path: str  # /dev/tap<ifindex>
    record: str = field(default="", compare=False)  # path of the file that proves it to be vmnet's


NetworkResource = (
    Switch | Vlan | HostAccess | Macvtap | Guard | Nat | Dhcp | LeftWire | Impaired | LeftNode
)
