"""What a seed stands for with real guests: what breaks of one plan, where and when. Pure."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tests.framework import faults
from tests.framework.faults import Fault, Layer, Moment

VMS = ("a", "b", "p", "v")
"""By number, as light ends are."""

_OTHER_ADDRESS = "10.90.0.150"

KINDS: Mapping[str, Callable[[str, str], Fault]] = {  # by a VM and another one
    "interface down": lambda vm, _: faults.interface_down(vm),
    "another MAC": lambda vm, _: faults.another_mac(vm),
    "pings ignored": lambda vm, _: faults.pings_ignored(vm),
    "address lost": lambda vm, _: faults.address_lost(vm),
    "another address": lambda vm, _: faults.address_changed(vm, _OTHER_ADDRESS),
    "routes lost": lambda vm, _: faults.routes_lost(vm),
    "blackhole": faults.blackhole,
    "wrong neighbour": faults.wrong_neighbour,
    "ARP off": lambda vm, _: faults.arp_off(vm),
    "IPv6 off": lambda vm, _: faults.ipv6_off(vm),
    "a peer's address too": faults.carries,
    "busy": lambda vm, _: faults.busy(vm),
    "agent stopped": lambda vm, _: faults.agent_stopped(vm),
    "frozen": lambda vm, _: faults.frozen(vm),
    "macvtap down": lambda vm, _: faults.tap_down(vm),
    "macvtap of another MAC": lambda vm, _: faults.tap_mac(vm),
    "macvtap drops all": lambda vm, _: faults.tap_drops(vm),
    "macvtap drops pings": lambda vm, _: faults.tap_drops(vm, "icmp type echo-request drop"),
    "impaired": lambda vm, _: faults.link_impaired("its link is down", vm, "down"),
    "uplink down": lambda _, __: faults.uplink_down(),
    "no carrier": lambda _, __: faults.no_carrier(),
    "uplink drops what comes": lambda _, __: faults.uplink_drops("ingress"),
    "uplink drops what goes": lambda _, __: faults.uplink_drops("egress"),
    "LAN drops all": lambda _, __: faults.lan_drops("the LAN drops all", "drop"),
    "LAN drops ARP": lambda _, __: faults.lan_drops("the LAN drops ARP", "ether type arp drop"),
    "address on the LAN": lambda vm, _: faults.lan_has(vm, f"<ip {vm}>"),
    "address on the host": lambda vm, _: faults.host_has(vm),
}
_SHARED = frozenset({Layer.TAP, Layer.PLUG, Layer.LAN})
"""Of these one at a time: their rules are in tables of one name."""


@dataclass(frozen=True, slots=True)
class GuestScenario:
    """What one seed stands for. The last fault may come or pass amid the check."""

    seed: int
    hairpin: bool
    forbidden: tuple[tuple[str, str], ...]
    faults: tuple[Fault, ...]
    after_ms: int

    def __str__(self) -> str:
        """Return all of it, a line each."""
        switch = "reflects" if self.hairpin else "reflects not"
        lines = [f"seed {self.seed} of guests: the switch {switch}"]
        lines += [f"must not: {source} -> {target}" for source, target in self.forbidden]
        lines += [f"broken: {fault.name}" for fault in self.faults]
        if any(fault.moment is Moment.AMID for fault in self.faults):
            lines.append(f"after {self.after_ms} ms")
        return "\n  ".join(lines)


def guest_scenario(seed: int) -> GuestScenario:
    """Return what a seed stands for."""
    dice = random.Random(f"guests {seed}")  # noqa: S311  (it is to be the same each time)
    hairpin = dice.random() < 0.4
    pairs = [(a, b) for a in VMS for b in VMS if a != b]
    forbidden = tuple(sorted(dice.sample(pairs, dice.choice((0, 1, 2)))))
    drawn = [_drawn(dice) for _ in range(dice.choice((0, 1, 1, 1, 2, 2)))]
    if len(drawn) > 1 and {x.layer for x in drawn} <= _SHARED:
        drawn.pop()
    if drawn and dice.random() < 0.2:
        drawn[-1] = drawn[-1].amid()
    return GuestScenario(seed, hairpin, forbidden, tuple(drawn), dice.choice((0, 30, 300, 1500)))


def _drawn(dice: random.Random) -> Fault:
    vm, other = dice.sample(VMS, 2)
    return KINDS[dice.choice(list(KINDS))](vm, other)
