"""What was seen around an expectation that was not met: values that a diagnosis is made from.

Everything here was observed; None, "" and an empty tuple stand for what nobody could look at.
"""

from enum import StrEnum
from typing import Final

from provisioner.check.isolation import Control
from provisioner.check.stack import Stack
from provisioner.dataclass import dataclass
from provisioner.network.exchange import FrameKind
from provisioner.network.nft_ruleset import DropChain
from provisioner.plan.checks import HOST, CheckSpec
from provisioner.plan.choices import Mode, SpoofGuard
from provisioner.plan.ip import Address, Interface

NOWHERE: Final = "nowhere"
"""Where a route leads that is none."""


class Point(StrEnum):
    """A place where frames were listened for."""

    SOURCE = "source"  # the macvtap of the guest that asks, or the host's device
    UPLINK = "uplink"
    FAR = "far end"  # of vmnet's own switch: what has left by the uplink comes in there
    TARGET = "target"  # the macvtap of the guest that is asked


class Heading(StrEnum):
    """The direction of a frame at a point."""

    OUT = "out"  # at a macvtap: from the guest; at the uplink: to the wire
    IN = "in"  # at a macvtap: to the guest; at the uplink: from the wire


@dataclass(frozen=True, slots=True)
class Sighting:
    """A frame of the exchange was seen, as it was sent or `changed`."""

    point: Point
    heading: Heading
    kind: FrameKind
    changed: bool = False


@dataclass(frozen=True, slots=True)
class Inside:
    """What a guest reports of one of its NICs, by its agent; hostile until it has been checked."""

    mac: str  # the one it uses now
    up: bool
    addresses: tuple[Address, ...]  # without link-local ones
    interfaces: tuple[Interface, ...] = ()  # those whose prefix it tells
    arp: bool = True  # False: it neither asks nor answers who has an address
    found: bool = True  # False: it has no NIC with the planned MAC, nor one in that place


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One end of the pair: a guest's NIC and the macvtap behind it."""

    vm: str  # or "host", an address outside, or another machine
    nic: int = 0
    link: str = ""  # the macvtap's name
    mac: str = ""  # planned
    addresses: tuple[Address, ...] = ()  # planned or learnt
    planned: tuple[Interface, ...] = ()  # static ones, with their prefixes
    exists: bool = True
    up: bool = True
    link_mac: str = ""  # the macvtap's, as it is
    mode: str = ""  # as it is
    wanted_mode: Mode | None = None
    all_multicast: bool = True
    node: str = "right"  # or "missing", "foreign"
    holders: tuple[str, ...] = ()  # "PID (PROGRAM)" that have its tap open besides the VM's own
    state: str = "running"  # of the VM
    guard: SpoofGuard = SpoofGuard.OFF
    dropped: int = 0  # frames that the guard dropped while this was measured
    impaired: str = ""  # what `vmnet link` has done to it: "loss 5%"
    agent: bool | None = None  # whether its agent answers; None for one that has none to ask
    inside: Inside | None = None
    stack: Stack | None = None  # its counters while it was asked once more
    route: str = ""  # of the host: the device that its route to the other end leaves by, or NOWHERE
    alive: bool | None = None  # whether it answers who-has by the synthetic wire
    due: frozenset[int] = frozenset()  # the IP versions of which it should get an address by itself
    login: str = ""  # of another machine that asks: ssh's arguments to log in there

    @property
    def is_host(self) -> bool:
        """Whether this is the host that vmnet runs on."""
        return self.vm == HOST

    @property
    def is_guest(self) -> bool:
        """Whether this is a guest: neither the host nor a machine outside."""
        return bool(self.link) and not self.is_host

    @property
    def other_mode(self) -> str:
        """How the macvtap's mode differs from the plan's, as a sentence, or ""."""
        if not (self.mode and self.wanted_mode) or self.mode == self.wanted_mode:
            return ""
        return (
            f"the macvtap {self.link} of {self.vm} is in mode {self.mode}, the plan says "
            f"{self.wanted_mode}"
        )


@dataclass(frozen=True, slots=True)
class Uplink:
    """The NIC that the ends share, and the switch behind it."""

    name: str
    exists: bool = True
    up: bool = True
    carrier: bool = True
    mtu: int = 0
    far: str = ""  # the other end of vmnet's own switch
    own_switch: bool = False  # vmnet's own
    broken: str = ""  # what of that one does not work: "its bridge mvb is down"
    forward_drops: tuple[str, ...] = ()  # chains of others that drop what this host forwards
    serves_dhcp: bool = False  # so does vmnet there
    reflects: bool | None = None  # measured
    wanted_reflects: bool | None = None  # what the plan says of vmnet's own switch
    passes_foreign: bool | None = None  # measured: whether foreign MACs come through
    control: str = ""  # who was asked for that, or why nobody could be


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that is known about one pair and one address that did not go as expected."""

    network: str
    source: Endpoint
    target: Endpoint
    address: Address | None  # None: what is asked has a name
    asked: CheckSpec
    expected: bool  # True: should have come through
    uplink: Uplink
    owners: tuple[str, ...] = ()  # MACs that answered who-has for the address, from any vantage
    near: tuple[str, ...] = ()  # those of them that the source itself would receive
    source_address: Address | None = None  # the source's own, of the same version
    source_owners: tuple[str, ...] = ()  # MACs that answered who-has for that one
    measured_at: str = ""  # times of day: "10:31:02-10:31:06"
    again_at: str = ""  # when it was asked once more, and frames were listened for
    works_now: bool | None = None  # whether that was answered; None: nobody could ask the same
    sightings: frozenset[Sighting] = frozenset()  # while it was asked once more
    listened: frozenset[Point] = frozenset()  # where frames could be listened for at all
    sent_to: tuple[str, ...] = ()  # MACs that the source sent its packets for the address to
    answered_to: tuple[str, ...] = ()  # MACs that the target sent its answers to
    drop_chains: tuple[DropChain, ...] = ()  # on the devices of the way
    answers_others: tuple[str, ...] = ()  # who else has been answered by the target, to the same
    sent: int = 0  # pings, one after another
    answered: int = 0
    largest: int = 0  # bytes of the largest IP packet that came through; 0: not tried
    packet: int = 0  # bytes that should pass
    missing: int = 0  # the IP version of the address that the target should have got, and has not
    other_family: bool | None = None  # whether the same pair works by the other IP version
    gone_by: str = ""  # MAC of a router that handed the packets on, when not the target's own
    refused: bool = False  # by a port: the target is alive, nothing listens
    note: str = ""  # what the measuring program itself printed
    control: Control | None = None  # of a silence that is expected
    untested: bool = False  # nothing was measured: what else is known may show why
    value: str = ""  # what was measured instead of what was wanted: "status 500"

    @property
    def ends(self) -> tuple[Endpoint, Endpoint]:
        """Both ends, the source first."""
        return self.source, self.target
