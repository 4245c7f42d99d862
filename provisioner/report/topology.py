"""The drawing of a plan: each network a line from top to bottom, each machine a box beside them.

A NIC is a line from its box to its network, at a height of its own, with its mode where it arrives.
So no two texts can lie on each other, and a plan grows downwards, which fits a narrow screen.
"""

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

from provisioner.dataclass import dataclass
from provisioner.network.devices import uplink_of
from provisioner.plan.checks import GATEWAY, HOST
from provisioner.plan.choices import LinkState
from provisioner.plan.nic_settings import settings_of
from provisioner.report import matrix
from provisioner.report.layout import shortened

if TYPE_CHECKING:
    from provisioner.check.result import Result
    from provisioner.plan.model import Network, Plan

SIGNS: Final = "●■▲◆▼★"
"""What marks where a NIC meets its network: a sign and a colour for each network."""

_LEFT, _TOP, _STEP = 4, 6, 70  # of the boxes; from a network to the next one
_LINE, _GAP, _HEAD = 26, 10, 54  # of a NIC; between two boxes; of a network's title
_BOX_LEAST, _BOX_MOST = 120, 200
_BOLD, _SMALL = 8.2, 6.2  # of a character of a name, and of the small text
_MARK, _SIGN = 34, 14  # what is left for marks in a box, and for a network's sign


@dataclass(frozen=True, slots=True)
class Rail:
    """A network, as a line."""

    number: int
    sign: str
    x: int
    top: int
    bottom: int
    title: str
    full: str
    subtitles: tuple[str, str]  # what it stands on, its subnets


@dataclass(frozen=True, slots=True)
class Attachment:
    """A NIC, or how another machine is on a network."""

    rail: Rail
    y: int
    label: str
    loose: bool = False  # nothing passes there
    mark: str = ""  # the symbol of all that was asked about it: matrix.MEANING
    detail: str = ""
    told: str = ""  # of the detail, what stands in sight


@dataclass(frozen=True, slots=True)
class Station:
    """A VM, this host, a gateway or a named machine."""

    kind: str
    title: str
    full: str
    y: int
    height: int
    wires: tuple[Attachment, ...]


@dataclass(frozen=True, slots=True)
class Drawing:
    """All of it; boxes begin at `x` and are `box` wide."""

    width: int
    height: int
    x: int
    box: int
    rails: tuple[Rail, ...]
    stations: tuple[Station, ...]


class _Joint(NamedTuple):
    """One end on one network."""

    network: str
    label: str
    loose: bool = False
    detail: str = ""


Details = Mapping[tuple[str, int], str]
"""What is known of NICs, by VM and number."""


def drawing(
    plan: "Plan",
    results: "Sequence[Result]" = (),
    *,
    details: Details | None = None,
    ends: Mapping[str, str] = MappingProxyType({}),
) -> Drawing:
    """Return where everything is drawn, with marks of what was measured.

    `details` of NICs stand in sight; without, addresses that were measured are kept for a pointer.
    `ends` are marks of ends on all their networks, where there are no `results`.
    """
    known = _addresses(results) if details is None else details
    found = [(kind, name, joints) for kind, name, joints in _ends(plan, known) if joints]
    aside = int(max(map(len, (details or {}).values()), default=0) * _SMALL)
    names = [name for _, name, _ in found]
    networks = [network.name for network in plan.networks]
    heads = [(n.name, *subtitle(plan, n)) for n in plan.networks]
    box = _box(names, heads)
    most = int((box - _MARK) / _BOLD)
    short = shortened([*names, *networks], most)
    y = _TOP + _HEAD * len(networks) + _GAP
    bottom = y + sum(_LINE * len(joints) + _GAP for _, _, joints in found)
    rails = {
        name: Rail(
            number=at,
            sign=SIGNS[at % len(SIGNS)],
            x=_LEFT + box + aside + _STEP * (at + 1),
            # The last one begins at the top: titles stand left of their lines, and above others.
            top=_TOP + _HEAD * (len(heads) - at - 1),
            bottom=bottom - _GAP,
            title=short[name],
            full=name,
            subtitles=(on, subnets),
        )
        for at, (name, on, subnets) in enumerate(heads)
    }
    marks = _marks(results)
    stations = []
    for kind, name, joints in found:
        wires = tuple(
            Attachment(
                rails[joint.network],
                y + _LINE // 2 + _LINE * at,
                joint.label,
                joint.loose,
                marks.get((name, joint.network), ends.get(name, "")),
                joint.detail,
                joint.detail if details and kind == "vm" else "",
            )
            for at, joint in enumerate(joints)
        )
        stations.append(Station(kind, short[name], name, y, _LINE * len(joints), wires))
        y += _LINE * len(joints) + _GAP
    width = _LEFT + box + aside + _STEP * len(networks) + _SIGN
    return Drawing(width, bottom, _LEFT, box, tuple(rails.values()), tuple(stations))


def _box(names: Sequence[str], heads: Sequence[tuple[str, str, str]]) -> int:
    """Return how wide boxes are: names fit up to a point, and titles of networks do."""
    widest = max((_MARK + len(name) * _BOLD for name in names), default=0)
    room = (
        _SIGN + max(len(one) for one in texts[1:]) * _SMALL - _STEP * (at + 1)
        for at, texts in enumerate(heads)
    )
    return int(max(_BOX_LEAST, min(widest, _BOX_MOST), *room))


def subtitle(plan: "Plan", network: "Network") -> tuple[str, str]:
    """Return what a network stands on, and its subnets."""
    on = f"uplink {uplink_of(plan.name, network)}"
    if network.switch:
        offers = [name for name in ("nat", "dhcp", "hairpin") if getattr(network.switch, name)]
        on = f"switch ({', '.join(offers)})" if offers else "switch"
    elif network.uplink and network.vlan:
        on = f"uplink {network.uplink}, VLAN {network.vlan}"
    return on, ", ".join(map(str, network.subnet)) or str(network.addressing)


def _ends(plan: "Plan", addresses: Details) -> Iterator[tuple[str, str, list[_Joint]]]:
    """Return who is there, and on which networks: this host and others before the VMs."""
    yield "host", HOST, [_Joint(n.name, *_of_host(n)) for n in plan.networks]
    gateway = f"({GATEWAY})" if any(vm.name == GATEWAY for vm in plan.vms) else GATEWAY
    for n in plan.networks:
        if n.uplink and n.gateway:
            yield "gateway", gateway, [_Joint(n.name, "gateway", detail=str(n.gateway[0]))]
    for name, machine in plan.hosts.items():
        on = [(n.name, machine.on(n.subnet)) for n in plan.networks if n.uplink]
        yield "machine", name, [_Joint(n, "machine", detail=str(at[0])) for n, at in on if at]
    for vm in plan.vms:
        joints = []
        for number, nic in enumerate(vm.nics):
            up = nic.link is LinkState.UP
            label = str(settings_of(plan, nic).mode) if up else "link down"
            detail = addresses.get((vm.name, number), "")
            joints.append(_Joint(nic.network, label, not up, detail))
        yield "vm", vm.name, joints


def _of_host(network: "Network") -> tuple[str, bool]:
    """Return how this host is on a network, and whether it is kept apart from the guests there."""
    if network.switch:
        return "switch", False
    if network.host_access is not None:
        return "access", False
    return "no access", True


def _marks(results: "Sequence[Result]") -> Mapping[tuple[str, str], str]:
    """Return the worst that was measured of each end on each network, as the matrix has it."""
    found: dict[tuple[str, str], list[Result]] = {}
    for r in results:
        for end in (r.pair.source, r.pair.target):
            found.setdefault((end, r.pair.network), []).append(r)
    marks = {}
    for key, of_end in found.items():
        cell = matrix.cell(of_end)
        marks[key] = "✓" if cell.met else cell.symbol
    return marks


def _addresses(results: "Sequence[Result]") -> Mapping[tuple[str, int], str]:
    found: dict[tuple[str, int], str] = {}
    for r in results:
        if r.address:
            found.setdefault((r.pair.target, r.pair.nic), str(r.address))
    return found
