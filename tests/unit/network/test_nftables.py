"""The tables that vmnet writes, as a whole: guards, NAT, isolation; and their marks."""

import re
from collections.abc import Callable
from ipaddress import ip_address, ip_interface, ip_network
from pathlib import Path

import pytest

from provisioner.network import nftables
from provisioner.network.addressing import NicConfig
from provisioner.network.nftables import Hook
from provisioner.network.resources import Guard, Nat
from provisioner.network.spoofing.wire import KnownWire
from provisioner.plan.choices import SpoofGuard
from provisioner.plan.mac import Mac

GOLDEN = Path(__file__).parent / "golden"
ADDRESSES = ("10.0.0.5/24", "fd00::5/64", "fe80::5/64", "10.0.0.5/32")


def config(*addresses: str, dhcp: bool = False, ra: bool = False) -> NicConfig:
    mac = Mac("02:00:00:00:00:01")
    return NicConfig(mac, tuple(map(ip_interface, addresses)), (), (), None, dhcp, ra)


def guard(level: SpoofGuard, nic: NicConfig, wire: KnownWire = KnownWire()) -> Guard:  # noqa: B008
    return nftables.guard("lab", "mvt0123456789", nic, level, wire)


OTHERS = tuple(map(ip_address, ("10.0.0.1", "10.0.0.6", "fd00::1", "fe80::1")))


def nat(device: str, *subnets: str) -> Nat:
    return nftables.nat("lab", "lan", device, map(ip_network, subnets))


# Built anew by each test.
TABLES: dict[str, Callable[[], Guard | Nat]] = {
    "guard_mac": lambda: guard(SpoofGuard.MAC, config(*ADDRESSES)),
    "guard_isolated": lambda: guard(
        SpoofGuard.MAC,
        config(*ADDRESSES),
        KnownWire(isolated=("02:00:00:00:00:02", "02:00:00:00:00:03")),
    ),
    "guard_static": lambda: guard(SpoofGuard.STRICT, config(*ADDRESSES)),
    "guard_lease": lambda: guard(SpoofGuard.STRICT, config("10.0.0.5/24", dhcp=True)),
    "guard_dhcp": lambda: guard(SpoofGuard.STRICT, config(dhcp=True, ra=True)),
    "guard_without_address": lambda: guard(SpoofGuard.STRICT, config()),
    "guard_known_image": lambda: guard(
        SpoofGuard.STRICT, config(*ADDRESSES), KnownWire(OTHERS, eui64=True)
    ),
    "guard_beside_others": lambda: guard(SpoofGuard.STRICT, config(*ADDRESSES), KnownWire(OTHERS)),
    "guard_dhcp_beside_others": lambda: guard(
        SpoofGuard.STRICT, config(dhcp=True, ra=True), KnownWire(OTHERS, eui64=True)
    ),
    "guard_advertised": lambda: guard(
        SpoofGuard.STRICT,
        config("10.0.0.5/24", "fd00::5/64", dhcp=True, ra=True),
        KnownWire(OTHERS, eui64=True, advertised=True, ether_types=("0x0000-0x05dc", "0x88cc")),
    ),
    "nat_reflecting": lambda: nat("mvb0", "fd01::/64", "10.1.0.0/24", "10.2.0.0/24", "10.1.0.0/24"),
    "nat_ipv4": lambda: nat("mvh0", "10.1.0.0/24"),
    "nat_alone": lambda: nftables.nat(
        "lab", "lan", "mvh0", [ip_network("10.1.0.0/24"), ip_network("fd01::/64")], (6,), ("dns",)
    ),
    "isolation_closed": lambda: nftables.isolation("lab", "lan", "mvh0", ("dhcp", "dns")),
    "isolation": lambda: nftables.isolation("lab", "lan", "mvh0"),
    "isolation_reflecting": lambda: nftables.isolation("lab", "lan", "mvb0"),
}


@pytest.mark.parametrize("case", TABLES)
def test_a_table_is_written_as_the_golden_one(case: str) -> None:
    assert TABLES[case]().text == (GOLDEN / f"{case}.nft").read_text()


def test_a_table_is_known_by_its_name_family_and_device() -> None:
    made = {case: make() for case, make in TABLES.items()}
    assert {case: (x.name, x.family, x.device) for case, x in made.items()} == {
        case: ("vmnet_lab_mvt0123456789", "netdev", "mvt0123456789")
        if case.startswith("guard")
        else ("vmnet_lab_lan", "inet", "mvb0" if case.endswith("reflecting") else "mvh0")
        for case in TABLES
    }


@pytest.mark.parametrize("case", TABLES)
def test_each_rule_bears_its_mark_behind_that_of_its_chain(case: str) -> None:
    table = TABLES[case]()
    expected, chain = list[str](), ""
    for line in table.text.splitlines()[2:]:
        if name := re.fullmatch(r"  chain (\S+) \{", line):
            chain = name[1]
        elif hook := re.fullmatch(
            r'    type (\S+) hook (\S+)(?: device "(\S+)")? priority (\S+); policy (\S+);', line
        ):
            kind, where, device, priority, policy = hook.groups()
            declared = Hook(kind, where, device or "", int(priority), policy)
            expected.append(nftables.chain_mark("lab", table.name, chain, declared))
        elif mark := re.search(r'comment "vmnet:([0-9a-f]{10})"', line):
            expected.append(mark[1])
    assert list(table.marks) == expected


def test_rules_of_other_tables_and_chains_have_other_marks() -> None:
    here = guard(SpoofGuard.MAC, config())
    there = nftables.guard("lab", "mvt1", config(), SpoofGuard.MAC)
    other = nftables.guard("lob", "mvt0123456789", config(), SpoofGuard.MAC)
    assert len({here.marks[1], there.marks[1], other.marks[1]}) == 3


def test_a_chain_without_a_hook_has_a_mark_of_its_name() -> None:
    marks = {nftables.chain_mark("lab", "t", chain, None) for chain in ("a", "b")}
    assert len(marks) == 2


def test_nat_says_for_which_ip_versions_the_host_must_forward() -> None:
    made = [make() for make in TABLES.values()]
    assert [(x.forwards, x.translates) for x in made if isinstance(x, Nat)] == [
        ((4, 6), True),
        ((4,), True),
        ((4, 6), True),
        ((), False),
        ((), False),
        ((), False),
    ]


def test_the_names_of_vmnets_tables_begin_alike() -> None:
    assert nftables.prefix("lab") == "vmnet_lab_"
    assert nftables.is_named_as_ours("vmnet_lab_lan")
    assert not nftables.is_named_as_ours("vmnetlink_mvt0")


@pytest.mark.parametrize("word", ["", "a b", "x;y", 'x"', "-x", "x\n"])
def test_what_is_not_a_name_gets_into_no_script(word: str) -> None:
    with pytest.raises(ValueError, match=rf"\A{re.escape(word)}\Z"):
        nftables.table_name(word, "lan")
    with pytest.raises(ValueError, match=rf"\A{re.escape(word)}\Z"):
        nftables.table_name("lab", word)
    for made in (
        lambda: nftables.guard("lab", word, config(), SpoofGuard.MAC),
        lambda: nftables.nat("lab", "lan", word, ()),
        lambda: nftables.isolation("lab", "lan", word),
    ):
        with pytest.raises(ValueError, match=rf"\A{re.escape(word)}\Z"):
            made()


def test_a_table_is_deleted_whether_it_is_there_or_not() -> None:
    assert nftables.deletion("inet", "x") == "table inet x\ndelete table inet x\n"
