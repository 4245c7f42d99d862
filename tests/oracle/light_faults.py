"""What breaks in a light network: each kind of fault as it is made, and as it is undone."""

import itertools
import signal
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from tests.host_tools.namespace import ip
from tests.oracle.grammar import MODES, Fault
from tests.oracle.light_lab import (
    LAN_ADDRESSES,
    OTHER_MAC,
    LightLab,
    address,
    at_lan,
    mac,
    source_list,
    storm,
    tap,
)

Undo = Callable[[], object]

_numbers = itertools.count()
_ALL = "counter drop"
_WHO_HAS = "arp operation request drop; icmpv6 type nd-neighbor-solicit drop"
_PINGS = "icmp type echo-request drop; icmpv6 type echo-request drop"
_SIX = "ether type ip6 drop"
_TENTH = "numgen inc mod 10 == 0 drop"
_HABITS: dict[str, tuple[str, object, object]] = {
    "pings dropped": ("no_echo", True, False),
    "ARP dropped": ("no_arp", True, False),
    "deaf": ("deaf", True, False),
    "mute": ("mute", True, False),
    "another MAC": ("wears", OTHER_MAC, ""),
    "a wrong MAC claimed": ("claims", OTHER_MAC, ""),
}
_FILTERS: dict[str, tuple[str, str]] = {  # hook, rule; with {peer}
    "macvtap drops what comes": ("ingress", _ALL),
    "macvtap drops what goes": ("egress", _ALL),
    "macvtap drops pings": ("egress", _PINGS),
    "macvtap drops who-has": ("egress", _WHO_HAS),
    "macvtap drops a peer": ("ingress", "ether saddr {peer} drop"),
    "uplink drops what comes": ("ingress", _ALL),
    "uplink drops what goes": ("egress", _ALL),
    "uplink drops who-has": ("egress", _WHO_HAS),
    "uplink drops pings": ("egress", _PINGS),
    "uplink drops IPv6": ("egress", _SIX),
    "uplink loses a tenth": ("egress", _TENTH),
    "switch drops all": ("prerouting", _ALL),
    "switch drops who-has": ("prerouting", _WHO_HAS),
    "switch drops a peer": ("prerouting", "ether saddr {peer} drop"),
}


def broken(lab: LightLab, fault: Fault) -> Undo:
    """Break something now; return what mends it."""
    if fault.kind in _HABITS:
        name, worse, well = _HABITS[fault.kind]
        lab.ends[fault.end].tell(**{name: worse})
        return lambda: lab.ends[fault.end].tell(**{name: well})
    if fault.kind in _FILTERS:
        return _filtered(lab, fault)
    return _BREAKERS[fault.kind](lab, fault)


def _filtered(lab: LightLab, fault: Fault) -> Undo:
    hook, rules = _FILTERS[fault.kind]
    table = f"fault{next(_numbers)}"
    at_switch = fault.kind.startswith("switch")
    family, device = ("bridge", "") if at_switch else ("netdev", f"device {_device(fault)}")
    run = lab.outside if at_switch else lab.inside
    rules = rules.format(peer=mac(fault.peer))
    chain = f"chain c {{ type filter hook {hook} {device} priority 0; {rules}; }};"
    run("nft", f"table {family} {table} {{ {chain} }}")
    return lambda: run("nft", f"delete table {family} {table}")


def _device(fault: Fault) -> str:
    return tap(fault.end) if fault.place.of_an_end else "nic0"


def _frozen(lab: LightLab, fault: Fault) -> Undo:
    end = lab.ends[fault.end]
    end.signalled(signal.SIGSTOP)
    return lambda: end.signalled(signal.SIGCONT)


def _dead(lab: LightLab, fault: Fault) -> Undo:
    lab.ends[fault.end].signalled(signal.SIGKILL)
    return lambda: None


def _addresses(lab: LightLab, fault: Fault, *wanted: str) -> Undo:
    end = lab.ends[fault.end]
    before = end.habits.addresses
    end.tell(addresses=list(wanted))
    return lambda: end.tell(addresses=before)


def _none(lab: LightLab, fault: Fault) -> Undo:
    return _addresses(lab, fault)


def _no_six(lab: LightLab, fault: Fault) -> Undo:
    return _addresses(lab, fault, str(address(fault.end, 4)))


def _another(lab: LightLab, fault: Fault) -> Undo:
    return _addresses(lab, fault, f"10.9.0.{100 + fault.end}", f"fd09::{100 + fault.end}")


def _peers_too(lab: LightLab, fault: Fault) -> Undo:
    ends = (fault.end, fault.peer)
    return _addresses(lab, fault, *(str(address(end, v)) for end in ends for v in (4, 6)))


def _knows(lab: LightLab, _: Fault) -> Undo:
    """Let every end know every MAC, so that nobody has to ask for it."""
    numbers = range(len(lab.ends))
    known = {str(address(end, v)): mac(end) for end in numbers for v in (4, 6)}
    before = [end.habits.knows for end in lab.ends]
    for end in lab.ends:
        end.tell(knows=end.habits.knows | known)

    def undo() -> None:
        for end, knows in zip(lab.ends, before, strict=True):
            end.tell(knows=knows)

    return undo


def _knows_wrongly(lab: LightLab, fault: Fault) -> Undo:
    """Let an end send what is for a peer to a MAC that nobody has."""
    one = lab.ends[fault.end]
    before = one.habits.knows
    one.tell(knows=before | {str(address(fault.peer, v)): OTHER_MAC for v in (4, 6)})
    return lambda: one.tell(knows=before)


def _set(lab: LightLab, fault: Fault, worse: str, well: str) -> Undo:
    """Change a device of the host."""
    lab.inside("ip", "link", "set", _device(fault), *worse.split())
    return lambda: lab.inside("ip", "link", "set", _device(fault), *well.split())


def _down(lab: LightLab, fault: Fault) -> Undo:
    return _set(lab, fault, "down", "up")


def _moded(lab: LightLab, fault: Fault) -> Undo:
    own = lab.network.modes[fault.end]
    if own == "passthru":  # the kernel lets nobody change that
        return lambda: None
    others = [mode for mode in MODES if mode != own]
    other = others[fault.after_ms % len(others)]
    return _set(lab, fault, f"type macvtap mode {other}", f"type macvtap mode {own}")


def _emptied(lab: LightLab, fault: Fault) -> Undo:
    return _listed(lab, fault, ())


def _filled(lab: LightLab, fault: Fault) -> Undo:
    return _listed(lab, fault, range(-2, len(lab.ends)))


def _listed(lab: LightLab, fault: Fault, ends: "range | tuple[int, ...]") -> Undo:
    if lab.network.modes[fault.end] != "source":
        return lambda: None
    name = tap(fault.end)

    def fill(listed: "range | tuple[int, ...]") -> None:
        with lab.host.entered():
            ip(f"link set {name} type macvtap macaddr flush", *source_list(name, listed))

    fill(ends)
    return lambda: fill(tuple(lab.network.lists[fault.end]))


def _other_mac(lab: LightLab, fault: Fault) -> Undo:
    return _set(lab, fault, f"address {OTHER_MAC}", f"address {mac(fault.end)}")


def _no_multicast(lab: LightLab, fault: Fault) -> Undo:
    return _set(lab, fault, "allmulticast off", "allmulticast on")


def _outside(lab: LightLab, worse: str, well: str) -> Undo:
    lab.outside(*worse.split())
    return lambda: lab.outside(*well.split())


def _no_carrier(lab: LightLab, _: Fault) -> Undo:
    return _outside(lab, "ip link set far down", "ip link set far up")


def _toggled(lab: LightLab, _: Fault) -> Undo:
    on, off = (f"ip link set far type bridge_slave hairpin {x}" for x in ("on", "off"))
    return _outside(lab, off, on) if lab.network.hairpin else _outside(lab, on, off)


def _disabled(lab: LightLab, _: Fault) -> Undo:
    port = "bridge link set dev far state"
    return _outside(lab, f"{port} 0", f"{port} 3")


def _rival(lab: LightLab, fault: Fault) -> Undo:
    def change(verb: str) -> None:
        with lab.lan.entered():
            ip(*at_lan(verb, f"{address(fault.end, 4)}/32", f"{address(fault.end, 6)}/128"))

    change("add")
    return lambda: change("del")


def _proxy(lab: LightLab, _: Fault) -> Undo:
    def change(state: str) -> None:
        with lab.lan.entered():
            for key in ("conf/sw/forwarding", "conf/sw/proxy_arp_pvlan"):
                Path("/proc/sys/net/ipv4", key).write_text(state)

    change("1")
    return lambda: change("0")


def _gone(lab: LightLab, _: Fault) -> Undo:
    def change(verb: str) -> None:
        with lab.lan.entered():
            ip(*at_lan(verb, *LAN_ADDRESSES))

    change("del")
    return lambda: change("add")


def _storm(lab: LightLab, _: Fault) -> Undo:
    stack = ExitStack()
    stack.enter_context(storm(lab.lan))
    return stack.close


_BREAKERS: dict[str, Callable[[LightLab, Fault], Undo]] = {
    "frozen": _frozen,
    "dead": _dead,
    "no address": _none,
    "no IPv6 address": _no_six,
    "another address": _another,
    "a peer's address too": _peers_too,
    "knows everybody": _knows,
    "knows a peer wrongly": _knows_wrongly,
    "macvtap down": _down,
    "another mode": _moded,
    "source list emptied": _emptied,
    "source list has all": _filled,
    "macvtap has another MAC": _other_mac,
    "macvtap hears no multicast": _no_multicast,
    "uplink down": _down,
    "no carrier": _no_carrier,
    "hairpin toggled": _toggled,
    "switch port disabled": _disabled,
    "an end's address is on the LAN": _rival,
    "proxy ARP on the LAN": _proxy,
    "LAN machine gone": _gone,
    "broadcast storm": _storm,
}


def known_kinds() -> set[str]:
    """Return the kinds of faults that can be made."""
    return {*_HABITS, *_FILTERS, *_BREAKERS}
