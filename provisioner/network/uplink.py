"""What forbids a macvtap on an uplink: decided from facts alone, with or without a plan.

The rules are those of Linux' drivers/net/macvlan.c and net/core/dev.c, which answer EINVAL, EBUSY
or EADDRINUSE and nothing more. `mine` are the names of devices that do not count: they are the
asker's own, and it takes them away or keeps them itself.
"""

from collections.abc import Collection, Mapping
from difflib import get_close_matches
from typing import NamedTuple

from provisioner.errors import Exit, VmnetError, Where
from provisioner.network.facts import Facts, Link
from provisioner.plan.choices import Mode
from provisioner.text import one_line

_MACVLANS = frozenset({"macvlan", "macvtap"})
_IPVLANS = frozenset({"ipvlan", "ipvtap"})
_MOST_NAMED = 3
_MOST_LISTED = 12


class Refusal(NamedTuple):
    """Why something cannot be, how to fix it, and the exit status that this means."""

    what: str
    fix: str
    status: Exit

    def error(self, where: Where | None = None) -> VmnetError:
        """Return it as an error about a place in the plan."""
        return VmnetError(self.what, where=where, fix=self.fix, status=self.status)


def missing(name: str, facts: Facts) -> Refusal:
    """Return that there is no such device, and which devices can be an uplink."""
    fit = [x.name for x in facts.links if not device_problem(x, facts)]
    close = get_close_matches(name, fit, n=1)
    guess = f'did you mean "{one_line(close[0])}"? ' if close else ""
    listed = ", ".join(map(one_line, fit[:_MOST_LISTED])) or "none"
    return Refusal(
        f'there is no network device "{one_line(name)}" on this host',
        f"{guess}devices that can be an uplink here: {listed}",
        Exit.BAD_INPUT,
    )


def renamed(name: str, now: str) -> Refusal:
    """Return that a device, which carries macvtaps, has been given another name."""
    return Refusal(
        f'the network device "{one_line(name)}" is called "{one_line(now)}" now',
        f"write that name into the plan, or give it the old one: ip link set {one_line(now)} name "
        f"{one_line(name)}",
        Exit.BAD_INPUT,
    )


def device_problem(link: Link, facts: Facts, mine: Collection[str] = ()) -> Refusal | None:
    """Return why a device can carry no macvtap at all."""
    return lower_problem(link, facts) or _port(link, facts) or _taken(link, facts, mine)


def lower_problem(link: Link, facts: Facts) -> Refusal | None:
    """Return why a device can carry neither a macvtap nor a VLAN with macvtaps."""
    if link.name == "lo" or link.mac == "00:00:00:00:00:00":
        return Refusal(
            f'"{link.name}" is a loopback device: no frame leaves it',
            "use a network card, or `switch: true` for a network of the plan's own",
            Exit.BAD_INPUT,
        )
    if not link.ethernet:
        return Refusal(
            f'"{link.name}" is not an Ethernet device: a macvtap needs one',
            "use an Ethernet network card, or `switch: true`",
            Exit.HOST_CANNOT,
        )
    if link.kind in _MACVLANS:
        lower = facts.link_at(link.lower)
        return Refusal(
            f'"{link.name}" is a {link.kind} itself: the kernel would silently use what is below',
            f"use {one_line(lower.name) if lower else 'the device it sits on'} as the uplink",
            Exit.BAD_INPUT,
        )
    return None


def _port(link: Link, facts: Facts) -> Refusal | None:
    master = facts.link_at(link.master)
    # A VRF routes for its members and leaves their frames alone (drivers/net/vrf.c).
    if master is None or master.kind == "vrf":
        return None
    name = one_line(master.name)
    match master.kind:
        case "bond" | "team":
            return Refusal(
                f'"{link.name}" is a port of the {master.kind} "{name}", which takes every frame '
                "that comes in",
                f"use {name} as the uplink",
                Exit.CONFLICT,
            )
        case "openvswitch":
            return Refusal(
                f'"{link.name}" is a port of Open vSwitch, which takes every frame that comes in',
                "take it out of the switch (ovs-vsctl del-port), or use another uplink",
                Exit.CONFLICT,
            )
        case _:
            return Refusal(
                f'"{link.name}" is a port of "{name}": the kernel puts no macvtap on a port',
                f"use {name} as the uplink",
                Exit.CONFLICT,
            )


def _taken(link: Link, facts: Facts, mine: Collection[str]) -> Refusal | None:
    for other in _upon(link, facts, _MACVLANS, mine):
        if other.mode == Mode.PASSTHRU:
            return Refusal(
                f'"{link.name}" is used exclusively by the passthru {_named(other)}',
                f"use another uplink, or take that device away{_away(other)}",
                Exit.CONFLICT,
            )
    for other in _upon(link, facts, _IPVLANS, mine):
        return Refusal(
            f'"{link.name}" carries the {other.kind} "{one_line(other.name)}": the kernel lets no '
            "macvtap beside it",
            f"use another uplink, or take that device away{_away(other)}",
            Exit.CONFLICT,
        )
    return None


def mode_problem(
    link: Link,
    facts: Facts,
    mode: Mode,
    mine: Collection[str] = (),
    *,
    take_over: bool = False,
) -> Refusal | None:
    """Return why a device that can carry macvtaps can carry none of this mode."""
    if mode.is_exclusive:
        return passthru_problem(link, facts, mine, take_over=take_over)
    return wireless_problem(link, mode)


def wireless_problem(link: Link, mode: Mode) -> Refusal | None:
    """Return why nothing of this mode works through a device: it is a Wi-Fi card; or None."""
    if link.wireless and not mode.takes_uplink_mac:
        return Refusal(
            f'"{link.name}" is a Wi-Fi card, and an access point drops frames with any MAC but the '
            f"card's own: mode {mode} reaches nobody",
            "use mode: passthru (the guest bears the card's own MAC), a wired card, or "
            "`switch: {nat: true}`",
            Exit.HOST_CANNOT,
        )
    return None


def passthru_problem(
    link: Link, facts: Facts, mine: Collection[str] = (), *, take_over: bool = False
) -> Refusal | None:
    """Return why a guest cannot have a device for itself: what is on it, or what the host loses."""
    if others := _upon(link, facts, _MACVLANS | _IPVLANS, mine):
        listed = ", ".join(map(_named, others[:_MOST_NAMED]))
        more = f" and {len(others) - _MOST_NAMED} more" if len(others) > _MOST_NAMED else ""
        return Refusal(
            f'mode passthru needs "{link.name}" for itself, but on it sits {listed}{more}',
            f"use another uplink or mode, or take that device away{_away(others[0])}",
            Exit.CONFLICT,
        )
    held = any(
        x.lower == link.index and x.mode == Mode.PASSTHRU and x.name in mine for x in facts.links
    )
    if carries_default(link, facts) and not (take_over or held):
        return Refusal(
            f'"{link.name}" carries this host\'s default route: mode passthru gives the card to '
            "the guest, and the host is cut off (your ssh session, too)",
            "use another uplink or mode; or, at a console of the host, write take_over: true",
            Exit.CONFLICT,
        )
    return None


def carries_default(link: Link, facts: Facts) -> bool:
    """Return whether the host's default route leads through a device."""
    return any(r.is_default and r.device == link.name for r in facts.routes)


def siblings(link: Link, facts: Facts) -> tuple[str, ...]:
    """Return a device and those on it through which the host sends, as host access does."""
    return (link.name, *(x.name for x in _upon(link, facts, _MACVLANS, ())))


def mtu_problem(mtu: int, link: Link) -> Refusal | None:
    """Return why a macvtap on a device cannot have an MTU, in bytes; the kernel answers EINVAL."""
    if mtu <= link.mtu:
        return None
    return Refusal(
        f"an MTU of {mtu} is above the uplink's: {link.name} has {link.mtu}",
        f"write {link.mtu} or less, or raise it: ip link set dev {link.name} mtu {mtu}",
        Exit.BAD_INPUT,
    )


def least_mtu_problem(least: int, link: Link) -> Refusal | None:
    """Return why no macvtap on a device can have the least MTU, in bytes, that a network needs.

    Below 1280 the kernel takes IPv6 away from a device (net/ipv6/addrconf.c, IPV6_MIN_MTU).
    """
    if link.mtu >= least:
        return None
    return Refusal(
        f'the MTU of "{link.name}", {link.mtu}, is too small for the network\'s IPv6: that needs '
        f"{least} (RFC 8200)",
        f"raise it: ip link set dev {link.name} mtu {least}; or do without IPv6",
        Exit.BAD_INPUT,
    )


def taken_macs(link: Link, facts: Facts, mine: Collection[str] = ()) -> dict[str, str]:
    """Return the MACs that no macvtap on a device can have, and who has them."""
    siblings = {
        x.mac: _named(x)
        for x in facts.links
        if x.lower == link.index and x.kind != "vlan" and x.name not in mine
    }
    return siblings | {link.mac: _named(link)}


def mac_problem(mac: str, link: Link, taken: Mapping[str, str]) -> Refusal | None:
    """Return why a macvtap on a device cannot have a MAC; `taken` are those of taken_macs.

    The kernel lets two be made with one MAC and answers EADDRINUSE only when the second is set up.
    """
    if mac not in taken:
        return None
    return Refusal(
        f"the MAC {mac} is already in use on {link.name}, by {taken[mac]}",
        "give this NIC another MAC",
        Exit.CONFLICT,
    )


def _upon(
    link: Link, facts: Facts, kinds: Collection[str], mine: Collection[str]
) -> tuple[Link, ...]:
    """List what sits on a device; a veth's peer names it as its lower device too, but does not."""
    return tuple(
        x for x in facts.links if x.lower == link.index and x.kind in kinds and x.name not in mine
    )


def _named(link: Link) -> str:
    """Return a device's name, and its plan's if vmnet made it (by its alias)."""
    owner = _owner(link)
    whose = f" (of plan {one_line(owner)})" if owner else ""
    return f'"{one_line(link.name)}"{whose}'


def _away(link: Link) -> str:
    owner = _owner(link)
    way = f"vmnet down --name {owner}" if owner else f"ip link del dev {link.name}"
    return f": {one_line(way)}"


def _owner(link: Link) -> str:
    mark, _, rest = link.alias.partition(":")
    name = rest.partition("/")[0]
    return name if mark == "vmnet" and name.isascii() and name.replace("-", "a").isalnum() else ""
