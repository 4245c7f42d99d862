"""Guards and NAT as nftables keeps them: read back, mended, gone; and forwarding put back."""

import subprocess
from collections.abc import Callable
from ipaddress import ip_interface, ip_network
from pathlib import Path

import pytest

from provisioner.errors import Exit, VmnetError
from provisioner.host.netlink.link_events import RuleEvents
from provisioner.host.network import forwarding, impairment
from provisioner.host.network import nftables as nft
from provisioner.network import nftables
from provisioner.network.addressing import NicConfig
from provisioner.network.impairment import Found, Impairment
from provisioner.network.resources import Guard, Nat
from provisioner.plan.choices import SpoofGuard
from provisioner.plan.mac import Mac
from provisioner.reconcile.resources import Look
from tests.host_tools.namespace import fresh_namespace, ip

GOLDEN = Path(__file__).parents[1] / "unit" / "network" / "golden"
pytestmark = pytest.mark.usefixtures("namespace")

TAP, MAC = "mvt0123456789", Mac("02:00:00:00:00:01")


@pytest.fixture(autouse=True)
def run_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("VMNET_RUN_DIR", str(tmp_path / "run"))
    return tmp_path / "run"


def told(*words: str) -> str:
    ran = subprocess.run(["nft", *words], capture_output=True, text=True, check=True)
    return ran.stdout


def observed(plan: str = "lab") -> list[Guard | Nat]:
    return nft.observe(Look(plan, tables=nft.listing()))


def guard(level: str) -> Guard:
    ip("link add low0 type veth peer name far0", f"link add link low0 name {TAP} type macvtap")
    addresses = ip_interface("10.0.0.5/24"), ip_interface("fd00::5/64")
    config = NicConfig(MAC, addresses, (), (), None, dhcp=False)
    return nftables.guard("lab", TAP, config, SpoofGuard(level))


def nat(network: str, number: int) -> Nat:
    device = f"mvh000000000{number}"
    ip(f"link add {device} type veth peer name p{number}")
    subnets = ip_network(f"10.{number}.0.0/24"), ip_network(f"fd0{number}::/64")
    return nftables.nat("lab", network, device, subnets)


@pytest.mark.parametrize("level", ["mac", "strict"])
def test_a_guard_is_read_back_as_it_was_made(level: str) -> None:
    made = guard(level)
    nft.create(made)
    assert observed() == [made]
    assert observed("another") == []
    nft.delete(made)
    assert told("list", "ruleset") == ""


def test_a_rule_that_somebody_takes_out_is_missed_and_put_back() -> None:
    made = guard("strict")
    nft.create(made)
    listed = told("-a", "list", "table", "netdev", made.name).splitlines()
    handle = next(line for line in listed if "arp" in line).rpartition(" ")[2]
    told("delete", "rule", "netdev", made.name, "egress", "handle", handle)
    (found,) = observed()
    assert found != made
    nft.update(made)
    assert observed() == [made]


def test_a_rule_that_somebody_puts_in_is_noticed() -> None:
    made = guard("mac")
    nft.create(made)
    told("add", "rule", "netdev", made.name, "egress", "counter", "accept")
    assert observed() != [made]


def test_a_guard_whose_device_has_gone_is_another_one() -> None:
    made = guard("mac")
    nft.create(made)
    ip(f"link del {TAP}")
    assert made not in observed()
    nft.delete(made)
    assert told("list", "ruleset") == ""


def test_tables_of_others_are_nobodys_business_but_theirs() -> None:
    told("add", "table", "inet", "theirs")
    made = guard("mac")
    nft.create(made)
    nft.delete(made)
    assert told("list", "ruleset").split() == ["table", "inet", "theirs", "{", "}"]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["first in first out", "last in first out"])
def test_forwarding_is_put_back_when_the_last_nat_goes(order: tuple[int, int]) -> None:
    made = (nat("one", 1), nat("two", 2))
    for each in made:
        nft.create(each)
    assert (forwarding.value(4), forwarding.value(6)) == (1, 1)
    assert set(observed()) == set(made)
    nft.delete(made[order[0]])
    assert (forwarding.value(4), forwarding.value(6)) == (1, 1)
    nft.delete(made[order[1]])
    assert (forwarding.value(4), forwarding.value(6)) == (0, 0)


def test_forwarding_that_was_on_before_stays_on() -> None:
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
    made = nat("one", 1)
    nft.create(made)
    nft.delete(made)
    assert (forwarding.value(4), forwarding.value(6)) == (1, 0)


def test_forwarding_is_put_back_though_all_rules_were_flushed(run_folder: Path) -> None:
    nft.create(nat("one", 1))
    told("flush", "ruleset")
    assert (forwarding.value(4), forwarding.value(6)) == (1, 1)
    assert nft.put_back("lab") == (4, 6)
    assert (forwarding.value(4), forwarding.value(6)) == (0, 0)
    assert nft.put_back("lab") == ()
    assert list(run_folder.iterdir()) == []


def test_what_stood_before_outlives_a_flush_and_another_up(run_folder: Path) -> None:
    made = nat("one", 1)
    nft.create(made)
    told("flush", "ruleset")
    nft.create(made)
    assert nft.put_back("lab") == ()  # it is needed
    nft.delete(made)
    assert (forwarding.value(4), forwarding.value(6)) == (0, 0)
    assert list(run_folder.iterdir()) == []


def test_an_emptied_table_is_no_reason_to_go_on_forwarding() -> None:
    made = nat("one", 1)
    nft.create(made)
    told("flush", "table", made.family, made.name)
    (found,) = observed()
    nft.delete(found)
    assert (forwarding.value(4), forwarding.value(6)) == (0, 0)


def test_a_flush_takes_no_other_plan_its_forwarding() -> None:
    mine, device = nat("one", 1), "mvh0000000009"
    ip(f"link add {device} type veth peer name p9")
    nft.create(mine)
    told("flush", "ruleset")
    nft.create(nftables.nat("other", "two", device, [ip_network("10.9.0.0/24")]))
    assert nft.put_back("lab") == (6,)
    assert (forwarding.value(4), forwarding.value(6)) == (1, 0)
    (theirs,) = observed("other")
    nft.delete(theirs)
    assert forwarding.value(4) == 0


@pytest.mark.parametrize("name", [".forwarding-lab.part", ".forwarding-lab.json"])
def test_what_a_killed_run_or_another_boot_has_left_of_a_record_goes(
    run_folder: Path, name: str
) -> None:
    run_folder.mkdir()
    (run_folder / name).write_text('{"here": "another", "was": {"4": 1}}')
    assert nft.put_back("lab") == ()
    assert list(run_folder.iterdir()) == []
    assert forwarding.value(4) == 0


def test_the_second_record_is_of_one_namespace() -> None:
    nft.create(nat("one", 1))
    assert forwarding.remembered() == {4: 0, 6: 0}
    with fresh_namespace():
        assert forwarding.remembered() == {}


def test_a_host_that_forwarded_before_is_known_as_one() -> None:
    assert nft.firewall().forwards == ()
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
    made = nat("one", 1)
    for _ in range(2):
        assert nft.firewall().forwards == (4,)
        nft.create(made)
        assert nft.firewall().forwards == (4,)
        told("flush", "ruleset")


def test_the_kernel_tells_of_a_flush() -> None:
    nft.create(guard("mac"))
    with RuleEvents() as events:
        nft.listing()
        assert not events.happened()
        told("flush", "ruleset")
        assert events.happened()
        assert not events.happened()


def test_a_nat_that_does_not_forward_is_another_one() -> None:
    made = nat("one", 1)
    nft.create(made)
    Path("/proc/sys/net/ipv4/ip_forward").write_text("0")
    (found,) = observed()
    assert isinstance(found, Nat)
    assert found.forwards == (6,)
    nft.delete(made)


def test_a_firewall_of_others_that_drops_what_is_forwarded_is_named() -> None:
    assert nft.firewall().drops == ()
    hook = "{ type filter hook forward priority 0; policy drop; }"
    told("add table ip filter; add chain ip filter FORWARD " + hook)
    (dropping,) = nft.firewall().drops
    assert "ip filter" in dropping
    assert "FORWARD" in dropping


def test_nothing_can_be_guarded_where_nft_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    found = nft.firewall()
    assert (
        found.no_guard
        == found.no_nat
        == found.no_filter
        == "nft is not installed: apt-get install nftables"
    )
    assert observed() == []


def isolation() -> Nat:
    return nftables.isolation("lab", "lan", "mvh0123456789")


MADE = pytest.mark.parametrize(
    "make",
    [lambda: guard("mac"), lambda: nat("one", 1), isolation],
    ids=["guard", "nat", "isolation"],
)


@MADE
def test_a_table_of_others_with_a_name_of_ours_is_left_alone(
    make: Callable[[], Guard | Nat],
) -> None:
    wanted = make()
    hook = "type filter hook forward priority 0;" if wanted.family == "inet" else ""
    told(
        f'table {wanted.family} {wanted.name} {{\nchain c {{ {hook} counter comment "keep"; }}\n}}'
    )
    before = told("list", "ruleset")
    assert observed() == []
    assert nft.firewall().namesakes == ((wanted.family, wanted.name),)
    with pytest.raises(VmnetError):
        nft.update(wanted)
    with pytest.raises(VmnetError) as caught:
        nft.create(wanted)
    assert caught.value.status == Exit.CONFLICT
    assert told("list", "ruleset") == before
    assert (forwarding.value(4), forwarding.value(6)) == (0, 0)
    way_out = (caught.value.fix or "").rpartition("nft ")[2]
    told(*way_out.split())
    nft.create(wanted)
    assert observed() == [wanted]
    nft.delete(wanted)


@MADE
def test_a_table_is_ours_when_all_in_it_is_gone(make: Callable[[], Guard | Nat]) -> None:
    made = make()
    nft.create(made)
    told("flush", "table", made.family, made.name)
    (found,) = observed()
    assert found.marks != made.marks
    nft.update(made)
    assert observed() == [made]
    nft.delete(made)


def test_the_table_of_an_older_vmnet_is_known_by_the_marks_of_its_rules() -> None:
    made = guard("mac")
    told("\n".join(line for line in made.text.splitlines() if not line.startswith("  comment")))
    assert "comment" not in told("list", "ruleset").splitlines()[1]
    assert observed() == [made]
    nft.delete(made)


def test_the_guard_of_an_older_vmnet_is_changed_in_place() -> None:
    wanted = guard("strict")
    told((GOLDEN / "guard_older.nft").read_text())
    (older,) = observed()
    assert older != wanted
    assert isinstance(older, Guard)
    assert {name for name, _ in older.differences(wanted)} <= wanted.LIVE
    nft.update(wanted)
    assert observed() == [wanted]
    nft.delete(wanted)


def test_a_link_is_not_made_worse_with_the_table_of_somebody_else() -> None:
    ip("link add low0 type veth peer name far0", f"link add link low0 name {TAP} type macvtap")
    told(f"table netdev vmnetlink_{TAP} {{\nchain c {{ }}\n}}")
    before = told("list", "ruleset")
    assert impairment.found_on([TAP]) == {}
    with pytest.raises(VmnetError) as caught:
        impairment.set_on(TAP, Impairment(loss=0.5))
    assert caught.value.status == Exit.CONFLICT
    impairment.clear(TAP)
    assert impairment.observe(Look("lab", tables=nft.listing())) == []
    assert told("list", "ruleset") == before


def test_a_link_that_was_made_worse_is_as_it_was_again() -> None:
    ip("link add low0 type veth peer name far0", f"link add link low0 name {TAP} type macvtap")
    impairment.set_on(TAP, Impairment(loss=0.5))
    assert impairment.found_on([TAP]) == {TAP: Found("loss 50%", 0)}
    impairment.clear(TAP)
    assert told("list", "ruleset") == ""


def test_one_plan_at_a_time_switches_forwarding_in_a_namespace(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("VMNET_RUN_DIR", str(tmp_path / "run"))
    monkeypatch.setattr(forwarding, "_PATIENCE_S", 0.2)
    with forwarding.alone():
        with pytest.raises(VmnetError), forwarding.alone():
            pass
        with fresh_namespace(), forwarding.alone():
            pass  # another one's forwarding is its own
    with forwarding.alone():
        pass
