"""Questions of a mesh (host/probe/mesh.py), each on its way: what is sent, what has come of it."""

from dataclasses import dataclass, field
from ipaddress import IPv4Address

from provisioner.host.probe.neighbours import Seen
from provisioner.network import frames
from provisioner.plan.ip import Address
from provisioner.plan.mac import Mac


@dataclass(frozen=True, slots=True)
class Ask:
    """Who has `target`? Asked on a macvtap, with the MAC of the guest behind it.

    `target_mac` is who should answer, "" takes anybody; `target_device` is the macvtap of the
    asked guest, "" where there is none.
    """

    device: str
    source_mac: str
    target: Address
    target_mac: str = ""
    target_device: str = ""


@dataclass(frozen=True, slots=True)
class MeshAnswers:
    """Who answered which question, and what could not be asked, and why. The rest was silent.

    In `unicast_only` are those that answered by unicast, but that no broadcast of the asking guest
    has reached: they meet only when they know each other's MAC already.
    """

    seen: dict[Ask, Seen]
    unicast_only: dict[Ask, Seen]
    untested: dict[Ask, str]


@dataclass(slots=True)
class State:
    """One question on its way: a broadcast first if need be, then the unicast one."""

    ask: Ask
    broadcast: bytes
    unicast: bytes  # empty where only a broadcast can be asked
    arrived: bool = False  # a broadcast of the asking guest was seen at the asked one's macvtap
    first: float = 0.0
    next: float = 0.0
    sent: int = 0
    macs: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def answered(self) -> bool:
        """Tell whether the one who should answer has."""
        return bool(self.macs) and self.ask.target_mac in {"", *self.macs}

    @property
    def found(self) -> bool:
        """Tell whether all is known that was asked."""
        return self.answered and (self.arrived or not self.unicast)


def requests(ask: Ask) -> tuple[bytes, bytes]:
    """Build the question for everybody, and the one for the target alone.

    For IPv4 from 0.0.0.0, which no receiver may store; for IPv6 from the guest's link-local one:
    from `::` it would take its address from a guest that is just booting.
    """
    if isinstance(ask.target, IPv4Address):
        broadcast = frames.arp_request(ask.target, ask.source_mac)
    else:
        own = frames.link_local(ask.source_mac)
        broadcast = frames.neighbour_solicitation(ask.target, ask.source_mac, own)
    if not (ask.target_device and ask.target_mac):
        return broadcast, b""
    return broadcast, Mac(ask.target_mac).packed + broadcast[6:]


def spread(states: list[State]) -> list[State]:
    """Order the questions so that all guests take turns in asking and in being asked."""
    by_device: dict[str, list[State]] = {}
    for state in states:
        by_device.setdefault(state.ask.device, []).append(state)
    queues = [
        queue[turn % len(queue) :] + queue[: turn % len(queue)]
        for turn, queue in enumerate(by_device.values())
    ]
    longest = max(map(len, queues), default=0)
    return [queue[at] for at in range(longest) for queue in queues if at < len(queue)]


def seen_by(state: State) -> Seen:
    """Say who has answered."""
    expected = state.ask.target_mac
    mac = expected if expected in state.macs else state.macs[0]
    return Seen(mac, state.seconds, tuple(state.macs))
