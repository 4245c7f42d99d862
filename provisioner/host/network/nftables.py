"""nftables on this host: vmnet's own tables, and what others' do to forwarded packets."""

from dataclasses import replace
from functools import cache
from pathlib import Path
from socket import if_nametoindex
from typing import Final

from provisioner.errors import VmnetError
from provisioner.host.network import forwarding, nft_transaction
from provisioner.host.system import programs
from provisioner.network import nft_ruleset, nftables
from provisioner.network.facts import Firewall
from provisioner.network.nft_ruleset import DropChain, Listing, Table
from provisioner.network.resources import Guard, Nat
from provisioner.reconcile.resources import Look

_PATIENCE_S: Final = 30
_MISSING: Final = "nft is not installed: apt-get install nftables"
_LIST: Final = ("nft", "--terse", "--numeric-priority", "list", "ruleset")
_CAN_GUARD: Final = """\
table netdev vmnet_probe {
  chain egress {
    type filter hook egress device "lo" priority 0; policy accept;
    ether saddr != 02:00:00:00:00:01 counter drop comment "vmnet"
  }
}
"""
_CAN_NAT: Final = """\
table inet vmnet_probe {
  chain leaving {
    type nat hook postrouting priority 100; policy accept;
    ip saddr { 192.0.2.0/24 } oifname != "lo" ct state new masquerade comment "vmnet"
  }
}
"""
_CAN_FILTER: Final = """\
table inet vmnet_probe {
  chain passing {
    type filter hook forward priority 0; policy accept;
    iifname "lo" counter drop comment "vmnet"
  }
}
"""
_LEGACY: Final = {"iptables-legacy": "ip_tables_names", "ip6tables-legacy": "ip6_tables_names"}


def listing() -> Listing:
    """List all tables: one process, none where nft is missing."""
    if not programs.is_installed("nft"):
        return Listing(trouble=_MISSING)
    done = programs.run(_LIST, timeout_s=_PATIENCE_S, check=False)
    if done.returncode:
        return Listing(trouble=f"nft cannot list its rules: {programs.last_lines(done.stderr)}")
    return Listing(nft_ruleset.parse(done.stdout))


def observe(look: Look) -> list[Guard | Nat]:
    """List a plan's tables as they are.

    A guard whose device has gone has the device "": kernels differ in what they do to its chain.
    A NAT has those IP versions that are really forwarded now.
    """
    found: list[Guard | Nat] = []
    for rules in nft_ruleset.own(look.plan, look.tables.tables):
        match rules:
            case Nat():
                now = tuple(v for v in rules.forwards if forwarding.value(v))
                found.append(replace(rules, forwards=now))
            case Guard():
                there = rules.device if _exists(rules.device) else ""
                found.append(replace(rules, device=there))
    return found


def firewall(known: Listing | None = None) -> Firewall:
    """Return what nftables can do here, and which chains of others drop forwarded packets.

    One more process at most in the life of this one: nothing is changed by the test.
    """
    known = known or listing()
    if known.trouble:
        return Firewall(known.trouble, known.trouble, no_filter=known.trouble)
    no_guard, no_nat, no_filter = _abilities()
    if not no_nat and not forwarding.value(4) and not forwarding.is_writable(4):
        no_nat = "this host does not forward packets, and /proc/sys/net cannot be written"
    drops = (*nft_ruleset.drops(known.tables), *_legacy_drops())
    now = {version: forwarding.value(version) for version in (4, 6)}
    was = nft_ruleset.forwarded_before(known.tables, forwarding.remembered(), now)
    forwards = tuple(version for version, on in was.items() if on)
    names = nft_ruleset.namesakes(known.tables)
    return Firewall(no_guard, no_nat, drops, no_filter, forwards, names)


def dropped() -> dict[str, int]:
    """Count the frames that guards have dropped, by macvtap, for all plans."""
    return nft_ruleset.dropped(listing().tables)


def drop_chains() -> tuple[DropChain, ...]:
    """List the chains that drop frames at a device, but for what vmnet's own rules drop."""
    return nft_ruleset.drop_chains(listing().tables)


def create(rules: Guard | Nat) -> None:
    """Make a table, in one transaction.

    Raises VmnetError when the kernel refuses, and with status 3 when somebody has a table of that
    name, or when forwarding IPv6 would cost the host its default route.
    """
    # The comment is set when a table is made, and never later (nf_tables_newtable, Linux 6.18);
    # of a block behind `create`, nft 1.0.6 forgets the chains.
    mark = nftables.table_comment(rules.family, rules.name)
    _put(rules, f'create table {rules.family} {rules.name} {{ comment "{mark}"; }}\n')


def update(rules: Guard | Nat) -> None:
    """Make a table of vmnet's what it should be, in one transaction: no frame sees a gap.

    Raises VmnetError as `create` does; somebody may have put a table of that name in its place.
    """
    if (rules.family, rules.name) in nft_ruleset.namesakes(listing().tables):
        raise nft_ruleset.taken(rules.family, rules.name, "rename the plan")
    _put(rules, nftables.deletion(rules.family, rules.name))


def delete(rules: Guard | Nat) -> None:
    """Delete a table of vmnet's; one that has gone already is fine.

    With the last NAT that needs it, forwarding becomes what it was before the first one.
    """
    if not programs.is_installed("nft"):
        return  # it was uninstalled meanwhile, and only nft could delete it
    match rules:
        case Nat(name=name, translates=True):
            with forwarding.alone():
                tables = _tables()
                _restore(tables, name, ())
                _remember(tables, name, {})
                _change(rules, nftables.deletion(rules.family, rules.name))
        case _:
            _change(rules, nftables.deletion(rules.family, rules.name))


def _put(rules: Guard | Nat, before: str) -> None:
    match rules:
        case Guard():
            _change(rules, before + rules.text)
        case Nat(translates=False) if before.startswith("create"):
            _change(rules, before + rules.text + nft_ruleset.record(rules, {}))
        case Nat():
            _put_nat(rules, before)


def _put_nat(nat: Nat, first: str) -> None:
    """Write the table with its record first: a kill before the switch leaves what to restore."""
    with forwarding.alone():
        tables = _tables()
        forwarding.prove_possible(nat.forwards)
        now = {v: forwarding.value(v) for v in nat.forwards}
        was = nft_ruleset.forwarded_before(tables, forwarding.remembered(), now)
        _restore(tables, nat.name, nat.forwards)
        _remember(tables, nat.name, was)
        _change(nat, first + nat.text + nft_ruleset.record(nat, was))
        for version in nat.forwards:
            forwarding.put(version, 1)


def put_back(plan: str) -> tuple[int, ...]:
    """Restore what forwarding was before a plan that is gone, when its tables went without vmnet.

    Return the IP versions that were. Raises VmnetError when that is not allowed.
    """
    if not forwarding.is_noted(plan):
        return ()
    with forwarding.alone():
        remembered = forwarding.remembered(plan)
        left = nft_ruleset.left_on(plan, listing().tables, remembered)
        changed = tuple(v for v, was in left.items() if forwarding.value(v) != was)
        for version, was in left.items():
            forwarding.put(version, was)
        if left or not remembered:
            forwarding.remember(plan, {})
    return changed


def _remember(tables: tuple[Table, ...], name: str, was: dict[int, int]) -> None:
    """Note it a second time for the plan of a table, with what its other tables note."""
    plan = nftables.plan_of(name)
    own = (t for t in tables if t.name != name and nftables.plan_of(t.name) == plan)
    forwarding.remember(plan, was | nft_ruleset.before(own))


def _restore(tables: tuple[Table, ...], name: str, keeps: tuple[int, ...]) -> None:
    """Put forwarding back before its record goes: after a kill in between it is done again."""
    remembered = forwarding.remembered(nftables.plan_of(name))
    for version, was in nft_ruleset.given_up(tables, name, keeps, remembered).items():
        forwarding.put(version, was)


def _tables() -> tuple[Table, ...]:
    found = listing()
    if found.trouble:
        raise VmnetError(found.trouble, fix="run vmnet as root, with nft installed")
    return found.tables


def _change(rules: Guard | Nat, script: str) -> None:
    """Have nft execute a script, all of it or nothing."""
    about = f"the {rules.label}"
    if not programs.is_installed("nft"):
        raise VmnetError(
            f"cannot set up {about}: nft is not installed", fix="apt-get install nftables"
        )
    said = nft_transaction.executed(script)
    if not said:
        return
    if script.startswith("create") and "File exists" in said:
        raise nft_ruleset.taken(rules.family, rules.name, "rename the plan")
    raise VmnetError(
        f"cannot set up {about}: {_complaint(said)}",
        fix="run vmnet as root on a kernel with nf_tables; see what is there: nft list ruleset",
    )


def _complaint(stderr: str) -> str:
    """Return what nft complains of, without its quotations of the script."""
    lines = [line for line in stderr.splitlines() if "rror" in line]
    return programs.last_lines(lines[0] if lines else stderr)


@cache
def _abilities() -> tuple[str, str, str]:
    """Ask the kernel whether it would take a guard, a NAT and an isolation; it commits none."""
    if not _refusal(_CAN_GUARD + _CAN_NAT + _CAN_FILTER):
        return "", "", ""
    no_guard, no_nat, no_filter = map(_refusal, (_CAN_GUARD, _CAN_NAT, _CAN_FILTER))
    return (
        f"the kernel cannot filter what a device sends (Linux 5.16 can): {no_guard}"
        if no_guard
        else "",
        f"nftables cannot translate addresses here: {no_nat}" if no_nat else "",
        f"nftables cannot filter what this host forwards: {no_filter}" if no_filter else "",
    )


def _refusal(script: str) -> str:
    done = programs.run(
        ["nft", "--check", "-f", "-"], timeout_s=_PATIENCE_S, input=script, check=False
    )
    return _complaint(done.stderr) if done.returncode else ""


def _legacy_drops() -> tuple[str, ...]:
    """Ask the older iptables too, where it has a filter at all: nft does not list its rules."""
    found: tuple[str, ...] = ()
    for program, tables in _LEGACY.items():
        try:
            used = Path("/proc/thread-self/net", tables).read_text(encoding="ascii").split()
        except OSError:
            continue  # a kernel without it, or not for us to read
        if "filter" in used and programs.is_installed(program):
            done = programs.run([program, "-S", "FORWARD"], timeout_s=_PATIENCE_S, check=False)
            found += nft_ruleset.legacy_drops(program, done.stdout)
    return found


def _exists(device: str) -> bool:
    try:
        return if_nametoindex(device) > 0
    except OSError:
        return False
