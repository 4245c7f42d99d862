import json
from ipaddress import IPv4Network, ip_address, ip_interface, ip_network

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from provisioner import naming
from provisioner.guest.network_config import network_config
from provisioner.network.addressing import NicConfig, assign, met_at, source_macs, with_macs
from provisioner.plan.load.loader import load
from provisioner.plan.mac import Mac
from provisioner.plan.model import Network, Nic, Plan, Switch, Vm
from provisioner.plan.nic_id import NicId

PATIENT = settings(deadline=None)  # the first plan also compiles the models
POOL = "10.0.0.10-10.0.0.29"


def lan(**more: object) -> Network:
    written = {"name": "lan", "uplink": "eno1", "subnet": "10.0.0.0/24", "gateway": "10.0.0.1"}
    return Network.model_validate(written | more)


def of_vms(vms: list[str], network: Network) -> Plan:
    made = tuple(Vm(name=name, nics=(Nic(network=network.name),)) for name in vms)
    return Plan(name="lab", networks=(network,), vms=made)


def first_address(plan: Plan) -> dict[str, str]:
    return {vm: str(config.addresses[0]) for (vm, _), config in assign(plan).items()}


NAMES = st.lists(st.from_regex(r"[a-z][a-z0-9]{0,5}", fullmatch=True), unique=True, max_size=20)
SOME_NAMES = NAMES.filter(bool)


@PATIENT
@given(SOME_NAMES)
def test_addresses_are_unique_inside_the_pool_and_nobody_elses(vms: list[str]) -> None:
    plan = of_vms(vms, lan(pool=POOL, gateway="10.0.0.15") if len(vms) < 20 else lan(pool=POOL))
    found = [config.addresses[0].ip for config in assign(plan).values()]
    assert len(set(found)) == len(vms)
    assert all(10 <= int(one) - int(ip_address("10.0.0.0")) <= 29 for one in found)
    assert not set(found) & set(plan.networks[0].gateway)


@PATIENT
@given(SOME_NAMES.flatmap(lambda vms: st.tuples(st.just(vms), st.permutations(vms))))
def test_the_order_of_the_file_changes_nothing(orders: tuple[list[str], list[str]]) -> None:
    one, other = (assign(of_vms(vms, lan(pool=POOL))) for vms in orders)
    assert one == other


@PATIENT
@given(SOME_NAMES, st.integers(0, 19))
def test_a_vm_that_goes_moves_nobody_in_a_roomy_network(vms: list[str], gone: int) -> None:
    roomy = lan(subnet="10.0.0.0/8", pool=None, gateway="10.0.0.1")
    before = first_address(of_vms(vms, roomy))
    fewer = [vm for at, vm in enumerate(vms) if at != gone % len(vms)]
    if fewer:
        after = first_address(of_vms(fewer, roomy))
        assert after == {vm: before[vm] for vm in fewer}


def test_a_full_pool_is_used_to_its_last_address() -> None:
    plan = of_vms([f"vm{at}" for at in range(6)], lan(subnet="10.0.0.0/29", gateway=[]))
    assert {config.addresses[0] for config in assign(plan).values()} == {
        ip_interface(f"{one}/29") for one in IPv4Network("10.0.0.0/29").hosts()
    }


def test_only_vms_that_collide_move_when_another_comes() -> None:
    small = lan(subnet="10.0.0.0/27", gateway=[])
    before = first_address(of_vms([f"vm{at}" for at in range(8)], small))
    after = first_address(of_vms([f"vm{at}" for at in range(9)], small))
    moved = {vm for vm, address in before.items() if after[vm] != address}
    assert moved <= {vm for vm, address in before.items() if address in after.values()}
    assert len(moved) <= 1


def test_each_subnet_gives_an_address_of_its_family() -> None:
    plan = of_vms(
        ["a"],
        Network(
            name="lan",
            switch=Switch(),
            subnet=(ip_network("10.77.0.0/24"), ip_network("fd77::/64")),
        ),
    )
    four, six = assign(plan)[NicId("a", 0)].addresses
    assert (four.version, six.version) == (4, 6)
    assert four.network == ip_network("10.77.0.0/24")
    assert six.network == ip_network("fd77::/64")


def test_a_subnet_of_small_ipv6_numbers_stays_ipv6() -> None:
    plan = of_vms(["a"], lan(subnet="::8000:0/112", gateway=[]))
    assert assign(plan)[NicId("a", 0)].addresses[0].network == ip_network("::8000:0/112")


HOMELAB = """\
name: lab
networks:
  lan:
    {uplink: eno1, subnet: [10.0.0.0/24, "fd00::/64"], gateway: [10.0.0.1, "fd00::1"],
     dns: 9.9.9.9, mtu: 1400}
  guests: {uplink: eno2}
  quiet: {switch: true, addressing: none}
  lab: {switch: true, subnet: 10.77.0.0/24}
vms:
  a:
    nics:
      - {network: lan, mac: "02:00:00:00:00:0A", address: [10.0.0.7, "fd00::7"], mtu: 1300}
      - {network: lan, address: [10.0.0.8, "fd00::8"]}
      - guests
      - {network: guests, address: 10.9.0.1/24}
      - quiet
      - {network: lab, address: 10.77.0.7}
"""


def config(nic: int, **told: object) -> NicConfig:
    written: dict[str, object] = {
        "mac": naming.mac("lab", "a", nic),
        "addresses": (),
        "gateways": (),
        "dns": (),
        "mtu": None,
        "dhcp": False,
    }
    return NicConfig(**(written | told))  # type: ignore[arg-type]


def test_a_guest_is_told_what_the_plan_says() -> None:
    dns = (ip_address("9.9.9.9"),)
    assert assign(load(HOMELAB, "p").plan) == {
        ("a", 0): config(
            0,
            mac="02:00:00:00:00:0a",
            addresses=(ip_interface("10.0.0.7/24"), ip_interface("fd00::7/64")),
            gateways=(ip_address("10.0.0.1"), ip_address("fd00::1")),
            dns=dns,
            mtu=1300,
        ),
        ("a", 1): config(
            1,
            addresses=(ip_interface("10.0.0.8/24"), ip_interface("fd00::8/64")),
            dns=dns,
            mtu=1400,
        ),
        ("a", 2): config(2, dhcp=True, ra=True),
        ("a", 3): config(3, addresses=(ip_interface("10.9.0.1/24"),)),
        ("a", 4): config(4),
        ("a", 5): config(5, addresses=(ip_interface("10.77.0.7/24"),)),
    }


STATIC = NicConfig(
    mac=Mac("02:00:00:00:00:0a"),
    addresses=(ip_interface("10.0.0.7/24"), ip_interface("fd00::7/64")),
    gateways=(ip_address("10.0.0.1"), ip_address("fd00::1")),
    dns=(ip_address("9.9.9.9"),),
    mtu=1400,
    dhcp=False,
)
DYNAMIC = NicConfig(Mac("02:00:00:00:00:0b"), (), (), (), None, dhcp=True, ra=True)


def test_the_guests_network_config_is_one_line_of_json_and_yaml() -> None:
    text = network_config([STATIC, DYNAMIC])
    assert text == (
        '{"ethernets":{"nic0":{"accept-ra":false,"addresses":["10.0.0.7/24","fd00::7/64"],'
        '"dhcp4":false,"match":{"macaddress":"02:00:00:00:00:0a"},"mtu":1400,'
        '"nameservers":{"addresses":["9.9.9.9"]},'
        '"routes":[{"to":"0.0.0.0/0","via":"10.0.0.1"},{"to":"::/0","via":"fd00::1"}]},'
        '"nic1":{"accept-ra":true,"dhcp4":true,"match":{"macaddress":"02:00:00:00:00:0b"}}},'
        '"version":2}'
    )
    assert yaml.safe_load(text) == json.loads(text)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_every_nic_is_told_apart_by_its_mac(count: int) -> None:
    told = json.loads(network_config([DYNAMIC] * count))
    assert list(told["ethernets"]) == [f"nic{at}" for at in range(count)]


# What other machines have, and where the host is met.

MEETING = """\
name: lab
networks:
  lan: {uplink: eno1, host_access: true, subnet: [10.0.0.0/29, "fd00::/64"]}
  own: {uplink: eno2, host_access: 10.9.0.9, subnet: 10.9.0.0/24}
  far: {uplink: eno3, subnet: 10.8.0.0/24}
  nat: {switch: {nat: true, dhcp: true}, subnet: [10.77.0.0/24, "fd77::/64"]}
  plain: {switch: true, subnet: 10.78.0.0/24}
vms:
  a: {nics: [lan, own, far, nat, plain]}
  b: {nics: [lan]}
"""


def test_the_host_is_met_at_an_address_that_no_guest_has() -> None:
    plan = load(MEETING, "p").plan
    met = met_at(plan)
    assert list(met) == ["lan", "own"]
    assert met["own"] == (ip_address("10.9.0.9"),)
    four, six = met["lan"]
    guests = {one.ip for config in assign(plan).values() for one in config.addresses}
    assert {four, six} & guests == set()
    assert (four in ip_network("10.0.0.0/29"), six in ip_network("fd00::/64")) == (True, True)
    assert (str(four), str(six)) == ("10.0.0.2", "fd00::5d33")


def test_a_guest_on_a_translating_switch_has_the_host_as_router_and_name_server() -> None:
    found = assign(load(MEETING, "p").plan)
    host = (ip_address("10.77.0.1"), ip_address("fd77::1"))
    nat, plain = found[NicId("a", 3)], found[NicId("a", 4)]
    assert (nat.gateways, nat.dns, nat.dhcp) == (host[:1], host, True)
    assert (plain.gateways, plain.dns, plain.dhcp) == ((), (), False)


def test_a_lease_is_not_known_before_the_guest_has_asked() -> None:
    found = assign(load(MEETING, "p").plan)
    assert found[NicId("a", 3)].static == ()
    assert found[NicId("a", 1)].static == tuple(one.ip for one in found[NicId("a", 1)].addresses)


PASSTHRU = """\
name: lab
networks:
  lan: {uplink: eno1}
  wan: {uplink: eno2, mode: passthru}
  own: {uplink: eno3}
vms: {a: {nics: [lan, wan, {network: own, mode: passthru}]}}
"""


def test_a_passthru_nic_has_the_mac_of_its_uplink() -> None:
    plan = load(PASSTHRU, "p").plan
    before = assign(plan)
    macs = {"lan": "02:00:00:00:00:09", "wan": "02:00:00:00:00:0b", "own": "02:00:00:00:00:0a"}
    after = with_macs(plan, before, macs)
    assert [nic.mac for nic in after.values()] == [
        before[NicId("a", 0)].mac,
        "02:00:00:00:00:0b",
        "02:00:00:00:00:0a",
    ]
    assert with_macs(plan, before, {"wan": ""}) == before
    assert with_macs(plan, before, {}) == before


def test_a_source_list_means_macs_vms_and_the_host() -> None:
    found = assign(load(MEETING, "p").plan)
    a = tuple(sorted(config.mac for (vm, _), config in found.items() if vm == "a"))
    assert source_macs((), found, "02:00:00:00:00:99") == ()
    assert source_macs(("vm:a",), found, "02:00:00:00:00:99") == a
    assert source_macs(("vm:none",), found, "02:00:00:00:00:99") == ()
    listed = ("host", "02:ff:00:00:00:01", "vm:b", "02:ff:00:00:00:01")
    assert source_macs(listed, found, "02:ff:00:00:00:99") == tuple(
        sorted({"02:ff:00:00:00:01", "02:ff:00:00:00:99", found[NicId("b", 0)].mac})
    )


def test_routers_of_a_version_are_for_the_first_nic_that_reaches_one() -> None:
    text = """\
name: lab
networks:
  a: {uplink: eno1, subnet: 10.0.0.0/24, gateway: 10.0.0.1}
  b: {uplink: eno2, subnet: [10.1.0.0/24, "fd01::/64"], gateway: [10.1.0.1, "fd01::1"]}
  c: {uplink: eno3, addressing: none, subnet: 10.2.0.0/24, gateway: 10.2.0.1}
vms: {one: {nics: [c, a, b]}, two: {nics: [b, a]}}
"""
    found = assign(load(text, "p").plan)
    assert {key: [str(x) for x in config.gateways] for key, config in found.items()} == {
        ("one", 0): [],
        ("one", 1): ["10.0.0.1"],
        ("one", 2): ["fd01::1"],
        ("two", 0): ["10.1.0.1", "fd01::1"],
        ("two", 1): [],
    }
