"""What nft lists, read back: which tables are vmnet's, and what others drop."""

from dataclasses import replace

import pytest

from provisioner.errors import Exit, Where
from provisioner.network import nft_ruleset, nftables
from provisioner.network.nft_ruleset import Table
from provisioner.network.nftables import Chain, Hook
from provisioner.network.resources import Guard, Nat
from tests.unit.network.test_nftables import TABLES

GUARD, NAT, ISOLATION = (TABLES[x]() for x in ("guard_static", "nat_reflecting", "isolation"))


def listed(script: str) -> str:
    """Return what nft lists after a script: indented by tabs, with counters."""
    lines = script.replace("counter drop", "counter packets 2 bytes 120 drop").splitlines()
    return "\n".join("\t" * ((len(x) - len(x.lstrip())) // 2) + x.lstrip() for x in lines)


def with_record(nat: Nat, was: dict[int, int]) -> str:
    """Return what nft lists of a NAT that was made when forwarding was so."""
    record = nft_ruleset.record(nat, was).splitlines()
    rules = [line.partition(f" {nftables.RECORD} ")[2] for line in record[1:]]
    assert record[0] == f"add chain inet {nat.name} record"
    body = ["\tchain record {", *(f"\t\t{rule}" for rule in rules), "\t}", "}"]
    return "\n".join([*listed(nat.text).splitlines()[:-1], *body])


def parsed(*listings: str) -> tuple[Table, ...]:
    return nft_ruleset.parse("\n".join(listings))


def test_a_table_is_read_with_its_chains_hooks_and_rules() -> None:
    listing = """\
table ip filter {
	comment "theirs"
	flags dormant

	set known {
		type ipv4_addr
		elements = { 10.0.0.1 }
	}

	chain FORWARD {
		comment "what passes"
		type filter hook forward priority -5; policy drop;
		ip saddr { 10.0.0.1, 10.0.0.2,
			10.0.0.3 } accept
		counter packets 0 bytes 0
	}

	chain helper {
		accept
	}
}
table netdev t {
	chain one {
		type filter hook egress device "eth0" priority 0; policy accept;
	}
	chain several {
		type filter hook egress devices = { "eth0", eth1 } priority 0; policy accept;
		flags x
	}
	chain bare {
		type filter hook ingress device eth0 priority 0; policy accept;
	}
}"""
    egress = Hook("filter", "egress", "eth0", 0, "accept")
    assert parsed(listing) == (
        Table(
            "ip",
            "filter",
            dormant=True,
            chains=(
                Chain(
                    "FORWARD",
                    Hook("filter", "forward", "", -5, "drop"),
                    (
                        "ip saddr { 10.0.0.1, 10.0.0.2, 10.0.0.3 } accept",
                        "counter packets 0 bytes 0",
                    ),
                ),
                Chain("helper", None, ("accept",)),
            ),
            comment="theirs",
        ),
        Table(
            "netdev",
            "t",
            dormant=False,
            chains=(
                Chain("one", egress, ()),
                Chain("several", replace(egress, device="eth0,eth1"), ()),
                Chain("bare", replace(egress, hook="ingress"), ()),
            ),
        ),
    )


def test_nothing_is_read_from_an_empty_listing() -> None:
    assert parsed("") == ()
    assert parsed("}") == ()


def test_the_tables_of_a_plan_are_read_back_as_they_were_written() -> None:
    assert isinstance(NAT, Nat)
    assert isinstance(ISOLATION, Nat)
    found = parsed(listed(GUARD.text), with_record(NAT, {4: 0, 6: 1}), "table inet theirs {", "}")
    assert nft_ruleset.own("lab", found) == [GUARD, NAT]
    assert nft_ruleset.own("lab", parsed(with_record(ISOLATION, {}))) == [ISOLATION]
    assert nft_ruleset.own("other", found) == []


def test_a_table_without_a_hook_or_a_record_is_about_no_device() -> None:
    tables = [
        Table(family, name, False, (), nftables.table_comment(family, name))  # noqa: FBT003
        for family, name in (("netdev", GUARD.name), ("inet", NAT.name), ("ip", NAT.name))
    ]
    assert nft_ruleset.own("lab", tables) == [
        Guard(GUARD.name, "netdev", "", ()),
        Nat(NAT.name, "inet", "", (), forwards=(), translates=False),
    ]


def test_a_table_that_somebody_has_switched_off_is_another_one() -> None:
    (table,) = parsed(listed(GUARD.text))
    (found,) = nft_ruleset.own("lab", [replace(table, dormant=True)])
    assert found.marks == ("dormant", *GUARD.marks)


def test_a_rule_of_somebody_else_among_vmnets_has_no_mark() -> None:
    (table,) = parsed(listed(GUARD.text).replace(f' comment "vmnet:{GUARD.marks[2]}"', ""))
    (found,) = nft_ruleset.own("lab", [table])
    assert found.marks == (*GUARD.marks[:2], "", *GUARD.marks[3:])


def test_a_table_is_vmnets_by_its_comment_or_by_the_marks_of_its_rules() -> None:
    (whole,) = parsed(listed(GUARD.text))
    bare = replace(whole, chains=())
    old = replace(whole, comment="")
    link = replace(old, chains=(Chain("c", None, ('drop comment "vmnet link: loss 5%"',)),))
    theirs = replace(old, chains=(Chain("c", None, ('drop comment "vmnet"',)),))
    tables = [whole, bare, old, link, theirs]
    assert [nft_ruleset.is_marked(x) for x in tables] == [True, True, True, True, False]


def test_the_comment_of_another_table_proves_nothing() -> None:
    (table,) = parsed(listed(GUARD.text))
    assert not nft_ruleset.is_marked(replace(table, name="vmnet_lab_x", chains=()))
    assert not nft_ruleset.is_marked(replace(table, family="inet", chains=()))


def test_tables_with_vmnets_names_that_vmnet_did_not_make_are_listed() -> None:
    theirs = "table inet vmnet_lab_lan {\n}\ntable inet theirs {\n}"
    assert nft_ruleset.namesakes(parsed(listed(GUARD.text), theirs)) == (("inet", "vmnet_lab_lan"),)


def test_a_name_that_is_taken_is_a_conflict_with_two_ways_out() -> None:
    error = nft_ruleset.taken("inet", "vmnet_lab_lan", "rename the plan", Where("p", 1, 2))
    assert str(error.what) == (
        "the nftables table inet vmnet_lab_lan has a name of vmnet's, but vmnet did not make it"
    )
    assert error.fix == (
        "rename the plan, or take that table away: nft delete table inet vmnet_lab_lan"
    )
    assert (error.status, error.where) == (Exit.CONFLICT, Where("p", 1, 2))


def test_what_forwarding_was_before_is_the_most_that_any_table_has_recorded() -> None:
    assert isinstance(NAT, Nat)
    other = nftables.nat("lab", "dmz", "mvh1", ())
    tables = parsed(with_record(NAT, {4: 1, 6: 0}), with_record(other, {4: 0, 6: 0}))
    assert nft_ruleset.before(tables) == {4: 1, 6: 0}
    assert nft_ruleset.before(parsed(listed(GUARD.text))) == {}


@pytest.mark.parametrize(
    "forged",
    [
        "table inet theirs",
        "table ip vmnet_lab_lan",
    ],
)
def test_a_record_in_the_table_of_somebody_else_counts_for_nothing(forged: str) -> None:
    assert isinstance(NAT, Nat)
    text = with_record(NAT, {4: 1}).replace("table inet vmnet_lab_lan", forged)
    assert nft_ruleset.before(parsed(text)) == {}


def test_a_note_in_another_chain_is_no_record() -> None:
    assert isinstance(NAT, Nat)
    text = with_record(NAT, {4: 1}).replace("chain record", "chain records")
    assert nft_ruleset.before(parsed(text)) == {}


def test_what_another_table_needs_is_not_restored() -> None:
    assert isinstance(NAT, Nat)
    other = nftables.nat("lab", "dmz", "mvh1", ())
    both = parsed(with_record(NAT, {4: 1, 6: 0}), with_record(other, {6: 0}))
    assert nft_ruleset.given_up(both, NAT.name, ()) == {4: 1}
    assert nft_ruleset.given_up(iter(both), NAT.name, (4,)) == {}
    assert nft_ruleset.given_up(both[:1], NAT.name, (4,)) == {6: 0}
    assert nft_ruleset.given_up(both, "vmnet_lab_other", ()) == {}


def forwarding(*rules: str, policy: str = "accept", family: str = "inet", table: str = "t") -> str:
    hook = f"\t\ttype filter hook forward priority 0; policy {policy};"
    body = [f"\t\t{rule}" for rule in rules]
    return "\n".join([f"table {family} {table} {{", "\tchain F {", hook, *body, "\t}", "}"])


@pytest.mark.parametrize(
    ("listing", "how"),
    [
        (forwarding(policy="drop"), "table inet t, chain F (policy drop)"),
        (forwarding(policy="drop", family="ip"), "table ip t, chain F (policy drop)"),
        (forwarding("drop"), "table inet t, chain F (drops what nobody has accepted)"),
        (
            forwarding(
                'counter packets 1 bytes 2 log prefix "x y" level warn reject with tcp reset'
            ),
            "table inet t, chain F (drops what nobody has accepted)",
        ),
        (
            forwarding('reject comment "x"'),
            "table inet t, chain F (drops what nobody has accepted)",
        ),
        (forwarding("accept", "ip saddr 10.0.0.1 drop"), ""),
        (forwarding(policy="drop", family="bridge"), ""),
        (forwarding(policy="drop").replace("hook forward", "hook input"), ""),
        (forwarding(policy="drop").replace("type filter", "type nat"), ""),
        (forwarding(policy="drop").replace("\tchain F", "\tflags dormant\n\tchain F"), ""),
        ("table inet t {\n\tchain F {\n\t\tdrop\n\t}\n}", ""),
        (listed(ISOLATION.text), ""),
        (
            forwarding(policy="drop", table="vmnet_theirs"),
            "table inet vmnet_theirs, chain F (policy drop)",
        ),
    ],
)
def test_chains_of_others_that_drop_what_is_forwarded_are_named(listing: str, how: str) -> None:
    assert nft_ruleset.drops(parsed(listing)) == tuple(filter(None, [how]))


@pytest.mark.parametrize(
    ("listing", "how"),
    [
        ("-P FORWARD DROP\n", "policy drop"),
        ("-P FORWARD ACCEPT\n-A FORWARD -j DROP\n", "drops what nobody has accepted"),
        (
            "-P FORWARD ACCEPT\n-A FORWARD -j REJECT --reject-with icmp-port-unreachable",
            "drops what nobody has accepted",
        ),
        ("-P FORWARD ACCEPT\n-A FORWARD -s 10.0.0.1/32 -j DROP\n", ""),
        ("", ""),
    ],
)
def test_the_older_iptables_drops_too(listing: str, how: str) -> None:
    named = (f"iptables-legacy, chain FORWARD ({how})",) if how else ()
    assert nft_ruleset.legacy_drops("iptables-legacy", listing) == named


def test_dropped_frames_are_counted_by_the_device_of_the_guard() -> None:
    drops = GUARD.text.count("counter drop")
    theirs = listed(GUARD.text).replace(GUARD.name, "theirs")
    found = parsed(listed(GUARD.text), listed(ISOLATION.text), theirs)
    assert nft_ruleset.dropped(found) == {"mvt0123456789": 2 * drops}


def test_what_a_guard_keeps_from_its_guest_is_not_counted_as_what_the_guest_has_forged() -> None:
    made = TABLES["guard_isolated"]()
    (table,) = parsed(listed(made.text))
    assert nft_ruleset.dropped([table]) == {"mvt0123456789": 2}
    assert nft_ruleset.own("lab", [table]) == [made]


def test_a_guard_whose_chain_is_gone_has_dropped_nothing() -> None:
    (table,) = parsed(listed(GUARD.text))
    unhooked = Chain("c", None, ("counter packets 3 bytes 3 drop",))
    assert nft_ruleset.dropped([replace(table, chains=(unhooked,))]) == {}


def test_of_vmnet_s_own_guard_only_a_rule_of_somebody_else_s_counts() -> None:
    assert isinstance(GUARD, Guard)
    text = listed(GUARD.text)
    assert nft_ruleset.drop_chains(parsed(text)) == ()
    hook = next(line for line in text.splitlines() if "hook" in line)
    (found,) = nft_ruleset.drop_chains(parsed(text.replace(hook, f"{hook}\n\t\tip saddr 1 drop")))
    assert (found.rule, found.is_guard) == ("ip saddr 1 drop", True)
