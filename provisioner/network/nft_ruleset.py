"""What `nft list ruleset` prints: which tables are vmnet's, what others drop.

The plain form is read, not JSON: nft's JSON leaves the device of an egress chain out (1.0.6), and
a guard that has lost its device must not look whole.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Final

from provisioner.dataclass import dataclass
from provisioner.errors import Exit, VmnetError, Where
from provisioner.network.nftables import (
    RECORD,
    Chain,
    Hook,
    chain_mark,
    is_named_as_ours,
    prefix,
    table_comment,
)
from provisioner.network.resources import Guard, Nat
from provisioner.pattern import pattern
from provisioner.text import one_line

DORMANT: Final = "dormant"
"""The mark of a table that somebody has switched off."""

_TABLE = pattern(r"table (\S+) (\S+) \{")
_CHAIN = pattern(r"\tchain (\S+) \{")
_HOOK = pattern(
    r'type (?P<type>\S+) hook (?P<hook>\S+) (?:devices? = \{(?P<several>[^}]*)\} |device "?'
    r'(?P<one>[^" ]+)"? )?priority (?P<priority>-?\d+); policy (?P<policy>\w+);'
)
_MARK = pattern(r' comment "vmnet:([0-9a-f]{10})"$')
_LINK_MARK = pattern(r' comment "vmnet link: [^"]*"$')
_COMMENT = pattern(r'\tcomment "([^"]*)"')
_ABOUT = pattern(r'return comment "about (\S+)"$')
_WAS = pattern(r'return comment "ipv([46]) forwarding was ([01])"$')
_PACKETS = pattern(r"\bcounter packets (\d+) ")
_ALL_DROPPED = pattern(
    r'(counter packets \d+ bytes \d+ |log( (prefix|level|group|flags) ("[^"]*"|\S+))* )*'
    r'(drop|reject( with [^"]*)?)( comment ".*")?'
)
_DROP = pattern(r"(^|[ {:])(drop|reject)\b")
_MOST_OF_RULE: Final = 120  # characters
_FORWARDING_FAMILIES: Final = frozenset({"ip", "ip6", "inet"})


@dataclass(frozen=True, slots=True)
class Table:
    """One table as nft shows it."""

    family: str
    name: str
    dormant: bool
    chains: tuple[Chain, ...]
    comment: str = ""


@dataclass(frozen=True, slots=True)
class DropChain:
    """A chain that drops frames at one device: all of them, or those that its rules name."""

    device: str
    hook: str  # ingress, egress
    table: str  # its family and its name
    chain: str
    rule: str = ""  # the first that drops
    is_guard: bool = False  # one of vmnet's own, into which somebody has put that rule


@dataclass(frozen=True, slots=True)
class Listing:
    """All tables of a network namespace, or why they cannot be listed."""

    tables: tuple[Table, ...] = ()
    trouble: str = ""


def parse(listing: str) -> tuple[Table, ...]:
    """Parse what `nft --terse --numeric-priority list ruleset` prints."""
    tables: list[Table] = []
    lines: list[str] = []
    for line in listing.splitlines():
        if found := _TABLE.fullmatch(line):
            lines = []
            tables.append(Table(found[1], found[2], dormant=False, chains=()))
        elif line == "}" and tables:
            last = tables[-1]
            comment = next((c[1] for line in lines if (c := _COMMENT.fullmatch(line))), "")
            dormant, chains = _is_dormant(lines), tuple(_chains(lines))
            tables[-1] = Table(last.family, last.name, dormant, chains, comment)
        else:
            lines.append(line)
    return tuple(tables)


def is_marked(table: Table) -> bool:
    """Return whether vmnet has made a table: its comment proves it, whatever is left in it.

    Tables that an older vmnet has made have no comment, but marks on their rules.
    """
    return table.comment == table_comment(table.family, table.name) or any(
        form.search(rule)
        for chain in table.chains
        for rule in chain.rules
        for form in (_MARK, _LINK_MARK)
    )


def taken(family: str, name: str, otherwise: str, where: Where | None = None) -> VmnetError:
    """Return that a table has a name of vmnet's; `otherwise` is another fix than deleting it."""
    return VmnetError(
        f"the nftables table {family} {name} has a name of vmnet's, but vmnet did not make it",
        where=where,
        fix=f"{otherwise}, or take that table away: nft delete table {family} {name}",
        status=Exit.CONFLICT,
    )


def namesakes(tables: Iterable[Table]) -> tuple[tuple[str, str], ...]:
    """List the tables, as family and name, that are named as vmnet's and that it did not make."""
    return tuple(
        (x.family, x.name) for x in tables if is_named_as_ours(x.name) and not is_marked(x)
    )


def own(plan: str, tables: Iterable[Table]) -> list[Guard | Nat]:
    """List a plan's tables; `forwards` are the IP versions that a NAT was made for."""
    found: list[Guard | Nat] = []
    for table in tables:
        if not table.name.startswith(prefix(plan)) or not is_marked(table):
            continue
        marks = tuple(_marks(plan, table))
        if table.family == "netdev":
            hook = next((c.hook for c in table.chains if c.hook), None)
            found.append(Guard(table.name, table.family, hook.device if hook else "", marks))
        elif table.family == "inet":
            about = next(_recorded(_ABOUT, table), None)
            versions = tuple(sorted(before([table])))
            device = about[1] if about else ""
            found.append(
                Nat(
                    table.name,
                    table.family,
                    device,
                    marks,
                    forwards=versions,
                    translates=any(c.hook and c.hook.type == "nat" for c in table.chains),
                )
            )
    return found


def is_whole(guard: Guard, table: Table) -> bool:
    """Return whether a table is the guard of a device of `vmnet net` as it was made."""
    hook = next((chain.hook for chain in table.chains if chain.hook), None)
    same = hook is not None and hook.device == guard.device
    return same and tuple(_marks("", table)) == guard.marks


def record(nat: Nat, was: Mapping[int, int]) -> str:
    """Write what stood before a NAT was made, as further lines of its script."""
    notes = [f"about {nat.device}"]
    notes += [f"ipv{version} forwarding was {value}" for version, value in sorted(was.items())]
    where = f"inet {nat.name} {RECORD}"
    rules = [f'add rule {where} return comment "{note}"' for note in notes]
    return "\n".join([f"add chain {where}", *rules, ""])


def before(tables: Iterable[Table]) -> dict[int, int]:
    """Return what forwarding was, by IP version, before the first of vmnet's tables came.

    A later table inherits the record of those that it found. Should two differ, the host forwarded
    at some time without vmnet: then it goes on.
    """
    found: dict[int, int] = {}
    for table in tables:
        if table.family == "inet" and _is_ours(table):
            for was in _recorded(_WAS, table):
                found[int(was[1])] = max(int(was[2]), found.get(int(was[1]), 0))
    return found


def forwarded_before(
    tables: Iterable[Table], remembered: Mapping[int, int], now: Mapping[int, int]
) -> dict[int, int]:
    """Return what forwarding was before vmnet, by both records, else what it is now."""
    noted = before(tables)
    return {
        version: max(noted.get(version, 0), remembered.get(version, 0))
        if version in noted or version in remembered
        else value
        for version, value in now.items()
    }


def left_on(plan: str, tables: Iterable[Table], remembered: Mapping[int, int]) -> dict[int, int]:
    """Return what a plan that goes has to restore though its tables are gone already.

    `remembered` is its own record beside the tables; what another plan's table needs stays.
    """
    tables = tuple(tables)
    if any(x.forwards for x in own(plan, tables) if isinstance(x, Nat)):
        return {}
    needed = before(tables)
    return {version: was for version, was in remembered.items() if version not in needed}


def given_up(
    tables: Iterable[Table],
    name: str,
    keeps: Iterable[int],
    remembered: Mapping[int, int] = MappingProxyType({}),
) -> dict[int, int]:
    """Return what is to be restored when a NAT's table goes, or stays for the versions `keeps`.

    What another table of vmnet needs stays; that one bears the same record. `remembered` is the
    plan's record beside the tables, for one that somebody has emptied.
    """
    tables = tuple(tables)
    mine = {**remembered, **before(t for t in tables if t.name == name)}
    others = before(t for t in tables if t.name != name)
    return {v: was for v, was in mine.items() if v not in others and v not in set(keeps)}


def drops(tables: Iterable[Table]) -> tuple[str, ...]:
    """Return the chains of others that drop what the host forwards, but for exceptions of theirs.

    An accept in one table does not overrule a drop in another (nft(8), VERDICT STATEMENTS).
    """
    return tuple(
        one_line(f"table {table.family} {table.name}, chain {chain.name} ({how})")
        for table in tables
        if table.family in _FORWARDING_FAMILIES and not _is_ours(table) and not table.dormant
        for chain in table.chains
        if (how := _how_it_drops(chain))
    )


def drop_chains(tables: Iterable[Table]) -> tuple[DropChain, ...]:
    """Return the chains that drop frames as they come in by a device or leave by it.

    Of vmnet's own tables those that somebody has put such a rule into.
    """
    return tuple(
        DropChain(device, chain.hook.hook, f"{table.family} {table.name}", chain.name, rule, ours)
        for table in tables
        if not table.dormant
        for ours in (_is_ours(table),)
        for chain in table.chains
        if chain.hook and (rule := _dropping(chain.hook, chain.rules, ours=ours))
        for device in filter(None, chain.hook.device.split(","))
    )


def _dropping(hook: Hook, rules: Iterable[str], *, ours: bool) -> str:
    """Return the first rule of others by which a chain drops, "" when it drops nothing."""
    others = (x for x in rules if not (ours and (_MARK.search(x) or _LINK_MARK.search(x))))
    rule = next(filter(_DROP.search, others), "policy drop" if hook.policy == "drop" else "")
    return one_line(rule, _MOST_OF_RULE)


def legacy_drops(program: str, listing: str) -> tuple[str, ...]:
    """Return the same of what `iptables-legacy -S FORWARD` prints, which nft does not see."""
    lines = listing.splitlines()
    if "-P FORWARD DROP" in lines:
        return (f"{program}, chain FORWARD (policy drop)",)
    if any(re.fullmatch(r"-A FORWARD -j (DROP|REJECT)( --reject-with \S+)?", x) for x in lines):
        return (f"{program}, chain FORWARD (drops what nobody has accepted)",)
    return ()


def dropped(tables: Iterable[Table]) -> dict[str, int]:
    """Count the frames of their guests that guards have dropped, by macvtap."""
    found: dict[str, int] = {}
    for table in tables:
        if table.family == "netdev" and _is_ours(table):
            for chain in table.chains:
                if chain.hook and chain.hook.hook == "egress":
                    found[chain.hook.device] = packets(chain.rules)
    return found


def packets(rules: Iterable[str]) -> int:
    """Return how many packets the rules that count have met."""
    return sum(int(n) for rule in rules for n in _PACKETS.findall(rule))


def _is_ours(table: Table) -> bool:
    return is_named_as_ours(table.name) and is_marked(table)


def _is_dormant(lines: Iterable[str]) -> bool:
    return any(re.fullmatch(r"\tflags .*\bdormant\b.*", line) for line in lines)


def _chains(lines: Iterable[str]) -> Iterator[Chain]:
    name, rules = "", list[str]()
    for line in lines:
        if found := _CHAIN.fullmatch(line):
            name, rules = found[1], []
        elif line == "\t}" and name:
            yield _chain(name, rules)
            name = ""
        elif line.startswith("\t\t\t") and rules:
            rules[-1] += " " + line.strip()  # a long set goes on
        elif line.startswith("\t\t"):
            rules.append(line.strip())


def _chain(name: str, lines: list[str]) -> Chain:
    found = next((m for line in lines if (m := _HOOK.match(line))), None)
    rules = tuple(x for x in lines if not x.startswith(("type ", "comment ", "flags ")))
    if found is None:
        return Chain(name, None, rules)
    several = (found["several"] or "").replace('"', "").replace(" ", "")
    hook = Hook(
        found["type"],
        found["hook"],
        found["one"] or several,
        int(found["priority"]),
        found["policy"],
    )
    return Chain(name, hook, rules)


def _marks(plan: str, table: Table) -> Iterator[str]:
    if table.dormant:
        yield DORMANT
    for chain in table.chains:
        if chain.name == RECORD:
            continue
        yield chain_mark(plan, table.name, chain.name, chain.hook)
        for rule in chain.rules:
            found = _MARK.search(rule)
            yield found[1] if found else ""  # somebody else's


def _recorded(form: re.Pattern[str], table: Table) -> Iterator[re.Match[str]]:
    for chain in table.chains:
        if chain.name == RECORD:
            yield from (found for rule in chain.rules if (found := form.fullmatch(rule)))


def _how_it_drops(chain: Chain) -> str:
    if chain.hook is None or (chain.hook.type, chain.hook.hook) != ("filter", "forward"):
        return ""
    if chain.hook.policy == "drop":
        return "policy drop"
    if any(_ALL_DROPPED.fullmatch(rule) for rule in chain.rules):
        return "drops what nobody has accepted"
    return ""
