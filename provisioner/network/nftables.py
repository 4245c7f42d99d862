"""Tables of nftables as vmnet writes them: the guard of a macvtap, NAT or isolation of a switch.

A table bears a mark in its comment: by its name alone nobody could prove that vmnet has made it.
Each rule bears a digest in its comment, and each chain's declaration has one that can be computed
again from what nft shows: together they show whether a table is still what it was.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from provisioner import naming
from provisioner.dataclass import dataclass
from provisioner.network.addressing import NicConfig
from provisioner.network.resources import Guard, Nat
from provisioner.network.spoofing import strict
from provisioner.network.spoofing.wire import KnownWire
from provisioner.pattern import pattern
from provisioner.plan.choices import SpoofGuard

if TYPE_CHECKING:
    import re
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from provisioner.plan.ip import Subnet
    from provisioner.plan.mac import Mac

RECORD: Final = "record"
"""A chain without a hook, where host/network/forwarding.py notes what was before; no marks."""

DEVICE = pattern(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,14}")
_PLAN = pattern(r"[A-Za-z0-9][A-Za-z0-9-]*")
_ABOUT = pattern(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_FIELDS: Final = {4: "ip", 6: "ip6"}
_FAMILIES: Final = {4: "ipv4", 6: "ipv6"}
_OF_ROUTERS: Final = '{ "bridge", "tun", "wireguard", "vxlan", "ipvlan", "ppp" }'
"""The kinds of devices for which others make a host forward: containers, guests, VPNs. Cards have
none, and neither VLANs nor bonds are among them."""

_SERVED: Final = {"dhcp": ("udp", ("67", "547")), "dns": ("both", ("53",))}
_SWITCH_SIDES: Final = (f"{naming.PEER}*", f"{naming.BRIDGE}*")
"""The devices on which the host meets the guests of any switch."""


@dataclass(frozen=True, slots=True)
class Hook:
    """Where in the kernel's path a chain is run, and its verdict on what no rule of it decides."""

    type: str
    hook: str
    device: str  # "" where the hook is not one device's
    priority: int
    policy: str


@dataclass(frozen=True, slots=True)
class Chain:
    """A chain: where it is run, and its rules as nft reads them."""

    name: str
    hook: Hook | None
    rules: tuple[str, ...]


_OF_HOST: Final = Hook("filter", "input", "", 0, "accept")
_LEAVING: Final = Hook("nat", "postrouting", "", 100, "accept")
_PASSING: Final = Hook("filter", "forward", "", 0, "accept")


def guard(
    plan: str,
    tap: str,
    config: NicConfig,
    level: SpoofGuard,
    wire: KnownWire = KnownWire(),  # noqa: B008  (frozen)
) -> Guard:
    """Return the table that holds a guest to its own MAC, and at level strict to its addresses.

    Egress of the macvtap is what its guest sends, before the kernel copies it to siblings; ingress
    is what is on its way to the guest, and there what comes from isolated MACs is dropped. Where
    a foreign DHCP server or router gives addresses, nobody knows them: what is left of strict
    then says `spoofing.wire.left_open`. Raises ValueError for text that is not a device.
    """
    return _guard(plan, table_name(plan, tap), tap, (config, level, wire))


def net_guard(device: str, mac: Mac, level: SpoofGuard) -> Guard:
    """Return the guard of a device of `vmnet net`, whose guest has addresses that nobody knows.

    It is by the MAC that root has made it with, whatever its user gives it since. Raises ValueError
    for text that is not a device.
    """
    config = NicConfig(mac, (), (), (), None, dhcp=True, ra=True)
    return _guard("", net_table(device), device, (config, level, KnownWire()))


def net_table(device: str) -> str:
    """Return the name of that guard's table; no plan's begins so."""
    return f"vmnetnet_{checked(DEVICE, device)}"


def _guard(
    plan: str, table: str, tap: str, held_to: tuple[NicConfig, SpoofGuard, KnownWire]
) -> Guard:
    config, level, wire = held_to
    hook = Hook("filter", "egress", checked(DEVICE, tap), 0, "accept")
    beyond = strict.rules(config, wire) if level == SpoofGuard.STRICT else ()
    rules = (f"ether saddr != {config.mac} counter drop", *beyond)
    chains = [Chain("egress", hook, rules)]
    if wire.isolated:
        inward = Hook("filter", "ingress", tap, 0, "accept")
        known = f"ether saddr {_any_of(wire.isolated)} counter drop"
        chains.append(Chain("ingress", inward, (known,)))
    marks, text = _marked(plan, "netdev", table, *chains)
    return Guard(table, "netdev", tap, marks, text)


def nat(
    plan: str,
    network: str,
    device: str,
    subnets: Iterable[Subnet],
    routed: Collection[int] = (4, 6),
    services: Sequence[str] | None = None,
) -> Nat:
    """Return the table that lets a switch's guests out under the host's addresses.

    From outside only answers come in. The guests do not get into another switch of vmnet, nor out
    under addresses that are not of `subnets`, nor (unless a bridge reflects their frames anyway)
    through the host to each other. An accept of this table does not overrule a drop in another one.
    `routed` are the IP versions that the host forwards without vmnet: of any other it is a router
    for its switches alone. For `services` see `isolation`. Raises ValueError for what is no device.
    """
    table = table_name(plan, network)
    own = f'"{checked(DEVICE, device)}"'
    by_version: dict[int, list[str]] = {}
    for subnet in dict.fromkeys(subnets):
        by_version.setdefault(subnet.version, []).append(str(subnet))
    leaving = tuple(
        f"{_FIELDS[version]} saddr {_any_of(inside)} oifname != {own} masquerade"
        for version, inside in sorted(by_version.items())
    )
    passing = (
        f"iifname {own} ct state established,related accept",
        f"oifname {own} ct state established,related accept",
        *_reflected(device, own),
        f"oifname {own} counter drop",
        *(f'iifname {own} oifname "{side}" counter drop' for side in _SWITCH_SIDES),
        *(_only_from(own, version, by_version.get(version, [])) for version in _FIELDS),
    )
    strangers = [version for version in sorted(by_version) if version not in routed]
    chains = [Chain("leaving", _LEAVING, leaving), Chain("passing", _PASSING, passing)]
    if strangers:
        chains.append(Chain("others", _PASSING, tuple(_no_router(strangers))))
    chains += _entering(own, services)
    marks, text = _marked(plan, "inet", table, *chains)
    return Nat(table, "inet", device, marks, text, forwards=tuple(sorted(by_version)))


def isolation(plan: str, network: str, device: str, services: Sequence[str] | None = None) -> Nat:
    """Return the table that keeps a switch without NAT apart, whoever makes this host forward.

    Nothing is forwarded from its guests or to them; what they and the host send to each other is
    not forwarded, and passes; with `services`, which may be none, guests get answers, those
    services and ICMP from the host, and nothing else. Raises ValueError for what is no device.
    """
    table = table_name(plan, network)
    own = f'"{checked(DEVICE, device)}"'
    drops = f"iifname {own} counter drop", f"oifname {own} counter drop"
    passing = Chain("passing", _PASSING, (*_reflected(device, own), *drops))
    marks, text = _marked(plan, "inet", table, passing, *_entering(own, services))
    return Nat(table, "inet", device, marks, text, forwards=(), translates=False)


def prefix(plan: str) -> str:
    """Return what the names of a plan's tables begin with; no plan's name holds an underscore."""
    return f"vmnet_{plan}_"


def plan_of(table: str) -> str:
    """Return the plan that a table of vmnet's is of, by its name."""
    return table.split("_", 2)[1] if is_named_as_ours(table) else ""


def is_named_as_ours(table: str) -> bool:
    """Return whether a table has a name that vmnet gives, for any plan; see nft_ruleset too."""
    return table.startswith("vmnet_")


def table_name(plan: str, about: str) -> str:
    """Return the table's name of a network or macvtap. Raises ValueError for what is not a name."""
    return prefix(checked(_PLAN, plan)) + checked(_ABOUT, about)


def table_comment(family: str, table: str) -> str:
    """Return the comment by which a table is known as vmnet's."""
    return comment(naming.digest("table", family, table))


def chain_mark(plan: str, table: str, chain: str, hook: Hook | None) -> str:
    """Return the digest of a chain's declaration: of the desired one, and of what nft shows."""
    fields = [hook.type, hook.hook, hook.device, str(hook.priority), hook.policy] if hook else []
    return naming.digest("chain", plan, table, chain, *fields)


def comment(mark: str) -> str:
    """Return the comment of the rule or the table with that digest."""
    return f"vmnet:{mark}"


def _no_router(versions: Iterable[int]) -> Iterator[str]:
    """Drop what goes from one card of the host to another one: it was no router before."""
    for way in ("iif", "oif"):
        yield f'{way}name "mv*" accept'
        yield f"meta {way}kind {_OF_ROUTERS} accept"
    yield from (f"meta nfproto {_FAMILIES[version]} counter drop" for version in versions)


def _entering(own: str, services: Sequence[str] | None) -> Iterator[Chain]:
    """Return the chain that closes the host to a switch's guests, but for some services."""
    if services is None:
        return
    rules = [
        f"iifname {own} ct state established,related accept",
        f"iifname {own} meta l4proto {{ icmp, igmp, ipv6-icmp }} accept",
    ]
    for service in services:
        protocol, ports = _SERVED[service]
        protocols = ("tcp", "udp") if protocol == "both" else (protocol,)
        rules += (f"iifname {own} {one} dport {_any_of(ports)} accept" for one in protocols)
    yield Chain("entering", _OF_HOST, (*rules, f"iifname {own} counter drop"))


def _reflected(device: str, own: str) -> tuple[str, ...]:
    """Let through what a bridge reflects: with br_netfilter such frames come to this hook too."""
    return (f"iifname {own} oifname {own} accept",) if naming.is_bridge(device) else ()


def _only_from(own: str, version: int, subnets: Sequence[str]) -> str:
    strangers = f" {_FIELDS[version]} saddr != {_any_of(subnets)}" if subnets else ""
    return f"iifname {own} meta nfproto {_FAMILIES[version]}{strangers} counter drop"


def _any_of(members: Sequence[str]) -> str:
    return "{ " + ", ".join(members) + " }"


def _marked(plan: str, family: str, table: str, *chains: Chain) -> tuple[tuple[str, ...], str]:
    """Return the marks of a table's chains and rules, in order, and its text with them."""
    marks: list[str] = []
    written = []
    for chain in chains:
        own = [naming.digest("rule", plan, table, chain.name, rule) for rule in chain.rules]
        marks += [chain_mark(plan, table, chain.name, chain.hook), *own]
        pairs = zip(chain.rules, own, strict=True)
        rules = tuple(f'{rule} comment "{comment(mark)}"' for rule, mark in pairs)
        written.append(Chain(chain.name, chain.hook, rules))
    return tuple(marks), definition(family, table, written)


def definition(family: str, table: str, chains: Iterable[Chain]) -> str:
    """Return the script that makes a table of vmnet's."""
    lines = [f"table {family} {table} {{", f'  comment "{table_comment(family, table)}"']
    for chain in chains:
        lines.append(f"  chain {chain.name} {{")
        if hook := chain.hook:
            device = f' device "{hook.device}"' if hook.device else ""
            lines.append(
                f"    type {hook.type} hook {hook.hook}{device} priority {hook.priority};"
                f" policy {hook.policy};"
            )
        lines += (f"    {rule}" for rule in chain.rules)
        lines.append("  }")
    return "\n".join([*lines, "}", ""])


def deletion(family: str, table: str) -> str:
    """Return the script that deletes a table, whether it is there or not."""
    # It is made if absent: nft 1.0.6 has no `destroy`.
    return f"table {family} {table}\ndelete table {family} {table}\n"


def checked(form: re.Pattern[str], text: str) -> str:
    """Return the text if it has that form: no other gets into a script. Raises ValueError."""
    if not form.fullmatch(text):
        raise ValueError(text)
    return text
