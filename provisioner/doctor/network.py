"""What is known of a host's NICs before anybody uses them, and of others who touch links.

Whose machine it is, by its firmware (DMI) and the NIC's driver, is a hint: hypervisors and clouds
drop frames with MACs that they did not give out. The active test decides.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import field
from fnmatch import fnmatchcase
from typing import Final

from provisioner import naming
from provisioner.dataclass import dataclass
from provisioner.doctor.findings import Item, Severity, table
from provisioner.errors import Exit
from provisioner.network import uplink
from provisioner.network.facts import Facts, Link
from provisioner.plan.choices import Mode
from provisioner.text import one_line

_SAMPLES: Final = {f"{prefix}0000000000": kind for prefix, kind in naming.KINDS.items()}
"""A name such as each kind of vmnet's devices has, and the kind."""
_TYPED: Final = frozenset({"bridge", "vlan"})
"""The kinds whose type is their own name to networkd, which takes the kernel's DEVTYPE for it (seen
in /sys/class/net/NAME/uevent); that of the others is "ether"."""
_LEAST_MTU: Final = 1280  # of IPv6 (RFC 8200)
_NAMED: Final = 3
UNMANAGED: Final = "[Link] Unmanaged"
"""A key beside those of [Match]: the file keeps networkd off what matches."""


@dataclass(frozen=True, slots=True)
class Platform:
    """A hypervisor or cloud, known by its firmware's strings or its NIC's driver."""

    name: str
    fix: str
    strings: str  # a pattern for the DMI strings, joined
    drivers: Collection[str] = ()


@dataclass(frozen=True, slots=True)
class SysfsNic:
    """What sysfs has of a NIC besides what netlink has."""

    driver: str = ""
    speed: int = 0  # Mbit/s; 0 unknown


@dataclass(frozen=True, slots=True)
class Others:
    """Programs of this network namespace that look after links, and how they are configured."""

    running: frozenset[str] = frozenset()  # names of programs
    networkd: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # file: [Match]
    unmanaged: str = ""  # NetworkManager's unmanaged-devices
    dhcpcd: str = ""  # its denyinterfaces


def platform(driver: str, dmi: Collection[str]) -> Platform | None:
    """Return whose machine this is; None for real hardware, or nobody known."""
    strings = "\n".join(dmi).lower()
    known = [Platform(**row) for row in table("platforms")]
    by_strings = [one for one in known if re.search(one.strings, strings)]
    by_driver = [one for one in known if driver in one.drivers]
    return next(iter(by_strings or by_driver), None)


def uplinks(
    facts: Facts, nics: Mapping[str, SysfsNic], dmi: Collection[str], wanted: str = ""
) -> Iterator[Item]:
    """Check each NIC that guests could be put on; `wanted` is one that must do."""
    if wanted and not facts.link(wanted):
        fix = f"the NICs here: {', '.join(x.name for x in facts.links if may_carry(x))}"
        yield Item("uplinks", f'there is no NIC "{one_line(wanted)}"', Severity.BAD, fix)
    found = [x for x in facts.links if x.name == wanted or (not wanted and may_carry(x))]
    for link in found:
        yield from _uplink(link, facts, nics.get(link.name, SysfsNic()), dmi, must=bool(wanted))
    if not found and not wanted:
        what = "there is no NIC that guests could be put on: `switch:` needs none"
        yield Item("uplinks", what, Severity.NOTE, "write `switch: true` in place of `uplink:`")


def may_carry(link: Link) -> bool:
    """Return whether a device is one that guests may be meant to be put on."""
    ours = link.alias.startswith("vmnet") or link.kind in {"macvtap", "macvlan", "ipvlan", "ipvtap"}
    container_end = link.kind == "veth" and link.master
    return link.ethernet and link.name != "lo" and not ours and not container_end


def _uplink(
    link: Link, facts: Facts, nic: SysfsNic, dmi: Collection[str], *, must: bool
) -> Iterator[Item]:
    name = one_line(link.name)
    about = ", ".join(_about(link, facts, nic))
    if bad := uplink.device_problem(link, facts):
        yield Item("uplinks", bad.what, Severity.BAD if must else Severity.LACKS, bad.fix)
        return
    if not (link.up and link.carrier):
        why, fix = "has no carrier", "plug it in, or bring up what is at its other end"
        if not link.up:
            why, fix = "is down", f"ip link set dev {name} up"
        what = f"{name} ({about}) {why}: guests on it reach nobody outside"
        yield Item("uplinks", what, Severity.BAD if must else Severity.NOTE, fix)
    elif bad := uplink.wireless_problem(link, Mode.BRIDGE):
        state = Severity.BAD if must and bad.status is Exit.HOST_CANNOT else Severity.LACKS
        yield Item("uplinks", bad.what, state, bad.fix)
    else:
        yield Item("uplinks", f"{name} ({about}): can carry guests")
    if found := platform(nic.driver, dmi if nic.driver else ()):
        yield Item(
            "uplinks",
            f"{name} is a NIC of {found.name}, which often drops frames from MACs that it did "
            "not give out: such guests reach each other and nobody else",
            Severity.NOTE,
            f"ask its switch: vmnet doctor --uplink {name}; {found.fix}",
        )
    if link.mtu < _LEAST_MTU:
        what = f"the MTU of {name} is {link.mtu}: too small for IPv6, which needs 1280"
        yield Item("uplinks", what, Severity.NOTE, f"ip link set dev {name} mtu 1500")


def _about(link: Link, facts: Facts, nic: SysfsNic) -> Iterator[str]:
    yield nic.driver or link.kind or "Ethernet"
    if nic.speed:
        yield f"{nic.speed} Mbit/s"
    yield f"MTU {link.mtu}"
    if uplink.carries_default(link, facts):
        yield "carries this host's default route, so it cannot be given away by passthru"
    upon = [x for x in facts.links if x.lower == link.index and x.kind in {"macvtap", "macvlan"}]
    if upon:
        more = " …" if len(upon) > _NAMED else ""
        yield f"carries {', '.join(one_line(x.name) for x in upon[:_NAMED])}{more}"


def firewall(facts: Facts, *, bridge_filter: bool) -> Iterator[Item]:
    """Check what others' rules do to frames of guests."""
    for chain in facts.firewall.drops:
        yield Item(
            "others",
            f"{one_line(chain)} drops what this host forwards: guests behind NAT do not get out",
            Severity.LACKS,
            "accept it there (Docker: iptables -I DOCKER-USER -i 'mv+' -j ACCEPT and "
            "iptables -I DOCKER-USER -o 'mv+' -j ACCEPT)",
        )
    if bridge_filter and facts.firewall.drops:
        yield Item(
            "others",
            "bridged frames go through that firewall, too (br_netfilter): bridges drop them",
            Severity.NOTE,
            "sysctl net.bridge.bridge-nf-call-iptables=0, unless Kubernetes needs it here",
        )


def leftovers(facts: Facts, held: Collection[str]) -> Iterator[Item]:
    """Report macvtaps that nobody holds open: of other tools, and of plans whose VMs are gone."""
    idle: dict[str, list[str]] = {}
    for link in facts.links:
        if link.kind != "macvtap" or link.name in held:
            continue
        if not link.alias.startswith("vmnet"):
            lower = facts.link_at(link.lower)
            where = f" on {one_line(lower.name)}" if lower else ""
            what = f"the macvtap {one_line(link.name)}{where} is held by no program: left over?"
            yield Item("others", what, Severity.NOTE, f"ip link del dev {one_line(link.name)}")
        elif plan := _plan_of(link):
            idle.setdefault(plan, []).append(link.name)
    for plan, taps in idle.items():
        what = f"plan {plan} has {len(taps)} macvtaps that no VM holds: {', '.join(taps[:3])}"
        yield Item("others", what, Severity.NOTE, f"vmnet up again, or vmnet down --name {plan}")


def _plan_of(link: Link) -> str:
    found = re.fullmatch(r"vmnet:([a-z0-9][a-z0-9-]*)/.*", link.alias)
    return found[1] if found else ""


def managers(found: Others) -> Iterator[Item]:
    """Report programs that would give our links addresses, or take them down."""
    files = dict.fromkeys(_taker(found.networkd, *each) for each in _SAMPLES.items())
    takes: dict[str, Iterable[str]] = {
        "systemd-network": filter(None, files),
        "NetworkManager": [] if _covers(found.unmanaged, "interface-name:") else ["all"],
        "dhcpcd": [] if _covers(found.dhcpcd, "") else ["all"],
        "connmand": ["all"],
    }
    for manager in table("managers"):
        for file in takes[manager["program"]] if manager["program"] in found.running else ():
            what = manager["what"].replace("FILE", one_line(file))
            yield Item("others", what, Severity(manager["state"]), manager["fix"])


def _taker(files: Mapping[str, Mapping[str, str]], name: str, kind: str) -> str:
    """Return the file that a device is set up by: the first that matches (systemd.network(5))."""
    for file, match in files.items():
        if _takes(match, name, kind):
            return "" if match.get(UNMANAGED) else file
    return ""


def _takes(match: Mapping[str, str], name: str, kind: str) -> bool:
    """Return whether a [Match] of systemd.network(5) takes a device of vmnet's."""
    keys = {key.lower(): value for key, value in match.items() if key != UNMANAGED}
    if set(keys) - {"name", "type", "kind"}:
        return False  # it wants more: a MAC, a driver, a path; ours have none of these
    kinds = keys.get("kind", "").split()
    return (
        bool(keys)
        and _fits(keys.get("name", "*").split(), name)
        and _fits(keys.get("type", "*").split(), kind if kind in _TYPED else "ether")
        and (not kinds or _fits(kinds, kind))
    )


def _fits(patterns: Collection[str], word: str) -> bool:
    patterns = list(patterns)
    if patterns and patterns[0].startswith("!"):
        return not any(fnmatchcase(word, p.lstrip("!")) for p in patterns)
    return any(fnmatchcase(word, p) for p in patterns)


def _covers(listed: str, prefix: str) -> bool:
    patterns = [p.strip() for p in re.split(r"[;,\s]+", listed)]
    wanted = [p.removeprefix(prefix) for p in patterns if p.startswith(prefix) and p != prefix]
    return all(any(fnmatchcase(name, p) for p in wanted) for name in _SAMPLES)
