"""Tables of nftables as vmnet writes them: the guard of a macvtap, NAT or isolation of a switch.

A table bears a mark in its comment: by its name alone nobody could prove that vmnet has made it.
Each rule bears a digest in its comment, and each chain's declaration has one that can be computed
again from what nft shows: together they tell whether a table is still what it was.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_interface, ip_network
from typing import Final

from provisioner import naming
from provisioner.network.resources import Guard, Nat
from provisioner.plan.mac import Mac

RECORD: Final = "record"
"""A chain without a hook, where host/network/forwarding.py notes what was before; no marks."""

_DEVICE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,14}")
_PLAN = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*")
_ABOUT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_NOBODY: Final = str(IPv4Address(0))
_FIELDS: Final = {4: "ip", 6: "ip6"}
_FAMILIES: Final = {4: "ipv4", 6: "ipv6"}
_SWITCH_SIDES: Final = (f"{naming.PEER}*", f"{naming.BRIDGE}*")
"""The devices on which the host meets the guests of any switch."""

_TARGET: Final = "@th,64"
"""Where the target of a neighbour message begins (RFC 4861, 4.3 and 4.4), in bits; the kernel's
transport header is behind all extension headers. nft has a word for it only since 1.0.8."""


@dataclass(frozen=True, slots=True)
class Hook:
    """Where in the kernel's path a chain is asked, and what happens to what it says nothing of."""

    type: str
    hook: str
    device: str  # "" where the hook is not one device's
    priority: int
    policy: str


@dataclass(frozen=True, slots=True)
class Chain:
    """A chain: where it is asked, and its rules as nft reads them."""

    name: str
    hook: Hook | None
    rules: tuple[str, ...]


def guard(  # noqa: PLR0913  (dhcp and slaac say what `addresses` does not know)
    plan: str,
    tap: str,
    mac: str,
    level: str,
    addresses: tuple[str, ...],
    *,
    dhcp: bool,
    slaac: bool,
) -> Guard:
    """Build the table that holds one guest to its own MAC, and at level "strict" to its addresses.

    Egress of the macvtap is what its guest sends, before the kernel copies it to siblings.
    `addresses` are the NIC's own, with or without a prefix. `dhcp`: its IPv4 address, unless among
    `addresses`, comes from a server that vmnet does not run. Nobody knows it then: IPv4 and ARP
    senders are free, and of strict only ARP's MAC, the DHCP server's and the router's silence and
    IPv6 are left. `slaac`: the guest makes its own IPv6 addresses, temporary ones too, so every
    unicast source and every advertised address is let through. Raises ValueError for text that is
    no device, MAC or address.
    """
    table = table_name(plan, tap)
    rules = [f"ether saddr != {Mac(mac)} counter drop"]
    if level == "strict":
        rules += _strict(mac, addresses, dhcp=dhcp, slaac=slaac)
    hook = Hook("filter", "egress", _checked(_DEVICE, tap), 0, "accept")
    chains = [Chain("egress", hook, tuple(rules))]
    marks = _marks(plan, table, chains)
    return Guard(table, "netdev", tap, marks, _text(plan, "netdev", table, chains))


def nat(plan: str, network: str, device: str, subnets: tuple[str, ...]) -> Nat:
    """Build the table that lets a switch's guests out under the host's addresses.

    From outside only answers come in. The guests do not get into another switch of vmnet, nor out
    under addresses that are not of `subnets`, nor (unless a bridge reflects their frames anyway)
    through the host to each other. An accept of this table does not overrule a drop in another one.
    Raises ValueError for text that is no
    device or subnet.
    """
    table = table_name(plan, network)
    own = f'"{_checked(_DEVICE, device)}"'
    by_version: dict[int, list[str]] = {}
    for subnet in dict.fromkeys(map(ip_network, subnets)):
        by_version.setdefault(subnet.version, []).append(str(subnet))
    chains = [
        Chain(
            "leaving",
            Hook("nat", "postrouting", "", 100, "accept"),
            tuple(
                f"{_FIELDS[version]} saddr {_any_of(inside)} oifname != {own} masquerade"
                for version, inside in sorted(by_version.items())
            ),
        ),
        Chain(
            "passing",
            Hook("filter", "forward", "", 0, "accept"),
            (
                f"iifname {own} ct state established,related accept",
                f"oifname {own} ct state established,related accept",
                *_reflected(device, own),
                f"oifname {own} counter drop",
                *(f'iifname {own} oifname "{side}" counter drop' for side in _SWITCH_SIDES),
                *(_only_from(own, version, by_version.get(version, [])) for version in _FIELDS),
            ),
        ),
    ]
    return Nat(
        table,
        "inet",
        device,
        _marks(plan, table, chains),
        _text(plan, "inet", table, chains),
        tuple(sorted(by_version)),
    )


def isolation(plan: str, network: str, device: str) -> Nat:
    """Build the table that keeps a switch without NAT apart, whoever makes this host forward.

    Nothing is forwarded from its guests or to them; what they and the host say to each other is
    not forwarded, and passes. Raises ValueError for text that is not a device.
    """
    table = table_name(plan, network)
    own = f'"{_checked(_DEVICE, device)}"'
    rules = (
        *_reflected(device, own),
        f"iifname {own} counter drop",
        f"oifname {own} counter drop",
    )
    chains = [Chain("passing", Hook("filter", "forward", "", 0, "accept"), rules)]
    marks = _marks(plan, table, chains)
    text = _text(plan, "inet", table, chains)
    return Nat(table, "inet", device, marks, text, forwards=(), translates=False)


def prefix(plan: str) -> str:
    """Give what the names of a plan's tables begin with; no plan's name holds an underscore."""
    return f"vmnet_{plan}_"


def is_named_as_ours(table: str) -> bool:
    """Tell whether a table bears a name that vmnet gives, for whatever plan; see rulesets too."""
    return table.startswith("vmnet_")


def table_name(plan: str, about: str) -> str:
    """Name the table of a network or a macvtap. Raises ValueError for text that is not a name."""
    return prefix(_checked(_PLAN, plan)) + _checked(_ABOUT, about)


def table_comment(family: str, table: str) -> str:
    """Give the comment by which a table is known as vmnet's."""
    return comment(naming.digest("table", family, table))


def chain_mark(plan: str, table: str, chain: str, hook: Hook | None) -> str:
    """Give the digest of a chain's declaration: of the desired one, and of what nft shows."""
    said = [hook.type, hook.hook, hook.device, str(hook.priority), hook.policy] if hook else []
    return naming.digest("chain", plan, table, chain, *said)


def comment(mark: str) -> str:
    """Give the comment of the rule or the table with that digest."""
    return f"vmnet:{mark}"


def _strict(mac: str, addresses: Sequence[str], *, dhcp: bool, slaac: bool) -> Iterable[str]:
    # Once each, in order: nft refuses a set whose members overlap.
    own = dict.fromkeys(ip_interface(address).ip for address in addresses)
    four = [str(one) for one in own if isinstance(one, IPv4Address)]
    six = [one for one in own if isinstance(one, IPv6Address) and not one.is_link_local]
    yield "ether type { 0x8100, 0x88a8, 0x9100, 0x9200 } counter drop"  # VLANs, one or stacked
    yield f"arp saddr ether != {mac} counter drop"
    if four or not dhcp:
        yield f"arp saddr ip != {_any_of([_NOBODY, *four])} counter drop"
        yield f"ip saddr != {_any_of([_NOBODY, *four])} counter drop"
    yield f"ip saddr {_NOBODY} udp dport != 67 counter drop"
    yield f"ip saddr {_NOBODY} meta l4proto != {{ udp, igmp }} counter drop"
    yield "udp sport { 67, 547 } counter drop"
    yield "icmpv6 type { nd-router-advert, nd-redirect } counter drop"
    # Duplicate address detection is the only one who speaks from nowhere, with MLD.
    yield "ip6 saddr :: meta l4proto != ipv6-icmp counter drop"
    if slaac:
        yield "ip6 saddr ff00::/8 counter drop"
        return
    yield f"ip6 saddr != {_any_of(['::', 'fe80::/10', *map(str, six)])} counter drop"
    targets = " ".join(f"{_TARGET},128 != {int(one):#034x}" for one in six)
    elsewhere = f"{_TARGET},10 != 0x3fa {targets}".rstrip()
    yield f"icmpv6 type nd-neighbor-advert {elsewhere} counter drop"
    # Who claims an address of others as new keeps them from getting it (RFC 4862, 5.4.3).
    yield f"ip6 saddr :: icmpv6 type nd-neighbor-solicit {elsewhere} counter drop"


def _reflected(device: str, own: str) -> tuple[str, ...]:
    """Let through what a bridge reflects: with br_netfilter such frames come to this hook too."""
    return (f"iifname {own} oifname {own} accept",) if naming.is_bridge(device) else ()


def _only_from(own: str, version: int, subnets: Sequence[str]) -> str:
    strangers = f" {_FIELDS[version]} saddr != {_any_of(subnets)}" if subnets else ""
    return f"iifname {own} meta nfproto {_FAMILIES[version]}{strangers} counter drop"


def _any_of(members: Sequence[str]) -> str:
    return "{ " + ", ".join(members) + " }"


def _marks(plan: str, table: str, chains: Iterable[Chain]) -> tuple[str, ...]:
    return tuple(
        mark
        for chain in chains
        for mark in (
            chain_mark(plan, table, chain.name, chain.hook),
            *(_rule_mark(plan, table, chain.name, rule) for rule in chain.rules),
        )
    )


def _rule_mark(plan: str, table: str, chain: str, rule: str) -> str:
    return naming.digest("rule", plan, table, chain, rule)


def _text(plan: str, family: str, table: str, chains: Iterable[Chain]) -> str:
    """Write the definition of a table."""
    lines = [f"table {family} {table} {{", f'  comment "{table_comment(family, table)}"']
    for chain in chains:
        lines.append(f"  chain {chain.name} {{")
        if hook := chain.hook:
            device = f' device "{hook.device}"' if hook.device else ""
            lines.append(
                f"    type {hook.type} hook {hook.hook}{device} priority {hook.priority};"
                f" policy {hook.policy};"
            )
        lines += (
            f'    {rule} comment "{comment(_rule_mark(plan, table, chain.name, rule))}"'
            for rule in chain.rules
        )
        lines.append("  }")
    return "\n".join([*lines, "}", ""])


def _checked(form: re.Pattern[str], text: str) -> str:
    """Let only text of that form into a script."""
    if not form.fullmatch(text):
        raise ValueError(text)
    return text
