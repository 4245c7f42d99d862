"""Names, MACs and numbers derived from (plan, vm, nic): the same on every run and on every host.

A recreated guest must keep its MAC: with a new one, neighbours hold a stale entry and cannot reach
it until the entry expires.
"""

import hashlib
from collections.abc import Iterator
from itertools import count
from typing import Final
from uuid import UUID, uuid5

_NAMESPACE: Final = UUID("6d1f9a3e-5b2c-5d0f-8a47-c3e1907bd254")
"""The fixed namespace (RFC 4122) under which the UUIDs of domains are derived."""

PLAN_GROUPS: Final = 0x76000000
"""The lowest link group (IFLA_GROUP) of a plan's devices; the highest is 0x76ffffff."""
NET_GROUP: Final = 0x77000000
"""The link group of the devices of `vmnet net`, which belong to no plan."""
NET_LEAVING_GROUP: Final = 0x77000001
"""The link group of those of them that are just being removed, in one call."""
WIRE_GROUP: Final = 0x78000000
"""The link group of the temporary wires of host/probe/ingress_injector.py."""

KINDS: Final = {
    "mvt": "macvtap",
    "mvl": "veth",
    "mvh": "veth",
    "mvb": "bridge",
    "mvv": "vlan",
    "mva": "macvlan",
    "mvn": "macvtap",
    "mvx": "veth",
    "mvy": "veth",
}
"""How the names of all devices of vmnet's begin, and of which kind (IFLA_INFO_KIND) they are."""

TAP, LOWER, PEER, BRIDGE, VLAN, SIBLING, NET_TAP, WIRE_END, WIRE_ENTRY = KINDS
_OF_PLANS: Final = frozenset({TAP, LOWER, PEER, BRIDGE, VLAN, SIBLING})
_OF_WIRES: Final = frozenset({WIRE_END, WIRE_ENTRY})

_LINK_INDEXES: Final = range(0x08000000, 0x10000000)
_MACVTAP_INDEXES: Final = range(0x10000000, 0x7FFFFFF1)
_DIGITS = 10
_UNTIL: Final = " until "


def digest(*parts: str, size: int = 5) -> str:
    """Return `size` bytes of hash as hex; ("a", "bc") and ("ab", "c") differ."""
    joined = hashlib.blake2s(digest_size=size)
    for part in parts:
        octets = part.encode("utf-8", "surrogatepass")
        joined.update(b"%d:" % len(octets) + octets)
    return joined.hexdigest()


def macvtap(plan: str, vm: str, nic_index: int) -> str:
    """Return the name of a NIC's macvtap: 13 bytes, below the kernel's 15 (IFNAMSIZ - NUL)."""
    return TAP + digest("macvtap", plan, vm, str(nic_index))


def switch_ends(plan: str, network: str) -> tuple[str, str]:
    """Return the names of a switch's veth: the end that carries the macvtaps, and the host's."""
    tail = digest("switch", plan, network)
    return LOWER + tail, PEER + tail


def bridge(plan: str, network: str) -> str:
    """Return the name of a switch's reflecting bridge; it shares the tail of the switch's ends."""
    return BRIDGE + digest("switch", plan, network)


def is_bridge(device: str) -> bool:
    """Return whether a device of vmnet's is a reflecting bridge."""
    return device.startswith(BRIDGE)


def vlan(plan: str, uplink: str, vid: int) -> str:
    """Return the name of a VLAN's 802.1Q device; a plan's networks share the kernel's one."""
    return VLAN + digest("vlan", plan, uplink, str(vid))


def sibling(plan: str, network: str) -> str:
    """Return the name of the macvlan through which the host meets the guests on its own NIC."""
    return SIBLING + digest("sibling", plan, network)


def group(plan: str) -> int:
    """Return the link group (IFLA_GROUP) that marks the plan's devices; never 0, the default."""
    return PLAN_GROUPS | int(digest("group", plan, size=3), 16)


def is_group(group: int) -> bool:
    """Return whether a link group is that of some plan's devices."""
    return group & 0xFF000000 == PLAN_GROUPS


def mac(plan: str, vm: str, nic_index: int) -> str:
    """Return a unicast, locally administered MAC, in lower case."""
    return _local_mac(digest("mac", plan, vm, str(nic_index)))


def switch_mac(plan: str, network: str) -> str:
    """Return the MAC of a switch's lower end, which a passthru guest bears."""
    return _local_mac(digest("switch mac", plan, network))


def host_mac(plan: str, network: str) -> str:
    """Return the MAC that guests on a switch know the host by."""
    return _local_mac(digest("far mac", plan, network))


def sibling_mac(plan: str, network: str) -> str:
    """Return the MAC that guests on a NIC know the host by."""
    return _local_mac(digest("sibling mac", plan, network))


def net_mac(uplink_mac: str, name: str) -> str:
    """Return the MAC of a device of `vmnet net`; two hosts of one LAN both have an mvn0."""
    return _local_mac(digest("net mac", uplink_mac, name))


def altname(plan: str, vm: str, nic_index: int) -> str:
    """Return the macvtap's name for people; at most 127 bytes (ALTIFNAMSIZ less its NUL)."""
    return f"vmnet-{plan}-{vm}-{nic_index}"


def alias(plan: str, vm: str, nic_index: int) -> str:
    """Return the device's alias (IFLA_IFALIAS), which names its owner."""
    return f"vmnet:{plan}/{vm}/{nic_index}"


def expiring(alias: str, until: int) -> str:
    """Return a device's alias with the second (since 1970) until which its plan is up."""
    return f"{alias}{_UNTIL}{until}" if until else alias


def alias_and_expiry(alias: str) -> tuple[str, int]:
    """Return a device's alias as it is without an expiry, and that expiry, 0 for none."""
    plain, separator, until = alias.rpartition(_UNTIL)
    if separator and until.isascii() and until.isdecimal():
        return plain, int(until)
    return alias, 0


def domain(plan: str, vm: str) -> str:
    """Return the name of a VM's libvirt domain."""
    return f"{plan}-{vm}"


def domain_uuid(plan: str, vm: str) -> str:
    """Return the domain's UUID: version 5 of "PLAN/VM" in vmnet's namespace (RFC 4122, 4.3)."""
    return str(uuid5(_NAMESPACE, f"{plan}/{vm}"))


def guest_uid(plan: str, vm: str, uids: range) -> int:
    """Return the number of the user that a VM's QEMU runs as; the first of `uids` is nobody's."""
    return uids[1 + int(digest("user", plan, vm, size=8), 16) % (len(uids) - 1)]


def ifindexes(plan: str, vm: str, nic_index: int) -> Iterator[int]:
    """Return interface indexes to try for the macvtap, in the same order on every run, endlessly.

    The index names /dev/tapN, so it is chosen instead of awaited; one that is taken on this host
    is passed over.
    """
    return _indexes(_MACVTAP_INDEXES, "ifindex", plan, vm, str(nic_index))


def net_ifindexes(name: str) -> Iterator[int]:
    """Return interface indexes to try for a macvtap of `vmnet net`, as `ifindexes`."""
    return _indexes(_MACVTAP_INDEXES, "net ifindex", name)


def link_indexes(name: str) -> Iterator[int]:
    """Return interface indexes to try for any other link than a macvtap, endlessly.

    With a chosen one, a new link can be configured in the call that makes it.
    """
    return _indexes(_LINK_INDEXES, "link index", name)


def _indexes(span: range, *parts: str) -> Iterator[int]:
    for attempt in count():
        yield span[int(digest(*parts, str(attempt), size=8), 16) % len(span)]


def are_ours(name: str, kind: str) -> bool:
    """Return whether a link's name and kind are those of a plan's device; its group counts."""
    return _is_derived(name, kind) and name[:3] in _OF_PLANS


def is_wire(name: str, kind: str) -> bool:
    """Return whether a link's name and kind are those of a temporary wire; its group counts."""
    return _is_derived(name, kind) and name[:3] in _OF_WIRES


def _is_derived(name: str, kind: str) -> bool:
    prefix, tail = name[:3], name[3:]
    is_tail = len(tail) == _DIGITS and set(tail) <= set("0123456789abcdef")
    return is_tail and KINDS.get(prefix) == kind


def _local_mac(tail: str) -> str:
    return ":".join(["02", *(tail[at : at + 2] for at in range(0, 10, 2))])
