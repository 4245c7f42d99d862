"""What a plan means on a host: the links, seed images and domains it calls for."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Switch:
    """An isolated uplink: a veth pair whose peer carries the host's addresses.

    With a `bridge` the peer is its one port, in hairpin mode: it sends frames back to where they
    came from, as a switch of IEEE 802.1Qbg does. The addresses are the bridge's then.
    """

    name: str  # the lower end: what macvtaps are put on
    peer: str
    addresses: tuple[str, ...]  # ADDRESS/PREFIX, sorted
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

    @property
    def host_side(self) -> str:
        """The device on which the host meets the guests."""
        return self.bridge or self.peer


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
    addresses: tuple[str, ...]  # the macvlan's own, /32 and /128, sorted
    routes: tuple[str, ...]  # one per guest's address, /32 and /128, sorted
    mtu: int
    group: int
    alias: str
    up: bool = True
    answers_for_itself: bool = True  # arp_ignore=1: else the LAN gets two answers for the host
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
    """What a guest may send: egress rules on its macvtap, towards the wire and other guests."""


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
    sources: tuple[str, ...] = ()  # whom a source-mode macvtap receives from: MACs, sorted
    queues: int = 1
    txqueuelen: int = 500  # frames that wait for the reader; the kernel's own default
    up: bool = True
    quiet: bool = True  # the host has no part in it: IPv6 off, NOARP; and ALLMULTI is set
    node: str = "right"  # /dev/tap<ifindex>: right, missing, or foreign


Link = Switch | Vlan | HostAccess | Macvtap


NetworkResource = Link | Guard | Nat | Dhcp
