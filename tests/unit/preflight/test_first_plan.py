"""The plan that vmnet init writes for a host, from literals; each is a plan that holds."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network, ip_address, ip_interface, ip_network

import pytest

from provisioner.errors import VmnetError
from provisioner.network.facts import Facts, Link, Route
from provisioner.plan.load.loader import load
from provisioner.plan.model import Network
from provisioner.preflight.first_plan import HostNetworks, first_plan

LO = Link("lo", 1, "", "00:00:00:00:00:00", 65536, ethernet=False, up=True, carrier=True)
ENO1 = Link(
    name="eno1",
    index=2,
    kind="",
    mac="02:00:00:00:00:10",
    mtu=1500,
    ethernet=True,
    up=True,
    carrier=True,
    addresses=(ip_interface("192.168.1.5/24"),),
)
WIFI = replace(ENO1, name="wlan0", index=3, mac="02:00:00:00:00:11", wireless=True, addresses=())
OUT = Route(ip_network("0.0.0.0/0"), "eno1")
FIXED = HostNetworks(gateways={"eno1": ip_address("192.168.1.1")})


def network(text: str) -> Network:
    plan = load(text, "vmnet.yaml").plan
    assert [vm.name for vm in plan.vms] == ["vm1", "vm2"]
    return plan.networks[0]


def why(text: str) -> str:
    return " ".join(line.strip(" #") for line in text.splitlines() if line.lstrip().startswith("#"))


def test_the_nic_with_the_default_route_is_taken_whatever_stands_before_it() -> None:
    first = replace(ENO1, name="a0", index=9, mac="02:00:00:00:00:19")
    text = first_plan(Facts(links=(LO, first, ENO1), routes=(OUT,)), FIXED)
    assert (network(text).uplink, network(text).mode) == ("eno1", "bridge")
    assert 'Not passthru: "eno1" carries this host\'s default route' in why(text)


def test_where_the_host_has_a_fixed_address_guests_get_the_last_free_ones() -> None:
    met = [IPv4Address("192.168.1.250"), IPv4Address("192.168.1.230")]
    found = network(first_plan(Facts(links=(ENO1,), routes=(OUT,)), replace(FIXED, met=met)))
    assert found.subnet == (ip_network("192.168.1.0/24"),)
    assert found.gateway == (ip_address("192.168.1.1"),)
    assert found.pool == (ip_address("192.168.1.234"), ip_address("192.168.1.249"))
    assert found.host_access is not None  # vmnet ssh works at once


def test_where_the_host_has_a_lease_guests_ask_for_leases_too() -> None:
    text = first_plan(Facts(links=(ENO1,), routes=(OUT,)), replace(FIXED, leased={"eno1"}))
    found = network(text)
    assert (found.addressing, found.subnet, found.pool) == ("dhcp", (), None)
    assert found.host_access is None
    assert "there is a DHCP server; what it gives out only it knows" in why(text)


def test_where_no_address_is_left_guests_ask_for_leases() -> None:
    full = [*IPv4Network("192.168.1.0/24")]
    text = first_plan(Facts(links=(ENO1,), routes=(OUT,)), replace(FIXED, met=full))
    assert network(text).addressing == "dhcp"
    tiny = replace(ENO1, addresses=(ip_interface("192.168.1.5/30"),))
    assert network(first_plan(Facts(links=(tiny,), routes=(OUT,)), FIXED)).addressing == "dhcp"


def test_a_nic_without_addresses_gets_link_local_ones_and_may_be_given_away() -> None:
    text = first_plan(Facts(links=(LO, replace(ENO1, addresses=()))), HostNetworks())
    assert network(text).subnet == (ip_network("169.254.77.0/24"),)
    assert "The first NIC with carrier" in why(text)
    assert "passthru would do, too" in why(text)


def test_a_wifi_card_is_left_out_and_told_of() -> None:
    facts = Facts(links=(WIFI, ENO1), routes=(replace(OUT, device="wlan0"),))
    text = first_plan(facts, FIXED)
    assert network(text).uplink == "eno1"
    assert 'Not wlan0: "wlan0" is a Wi-Fi card' in why(text)


def test_the_bridge_is_taken_for_its_port() -> None:
    bridge = replace(ENO1, name="br0", index=7, kind="bridge")
    port = replace(ENO1, master=7, addresses=())
    text = first_plan(Facts(links=(port, bridge), routes=(OUT,)), FIXED)
    assert network(text).uplink == "br0"
    assert 'Not eno1: "eno1" is a port of "br0"' in why(text)


def test_where_no_nic_can_carry_guests_a_switch_does_on_a_free_subnet() -> None:
    other = Route(ip_network("10.77.0.0/23"), "lo")
    text = first_plan(Facts(links=(LO, WIFI), routes=(other,)), HostNetworks())
    found = network(text)
    assert found.uplink is None
    assert found.does_nat
    assert found.subnet == (ip_network("10.77.2.0/24"),)
    assert "Not wlan0" in why(text)


def test_a_nic_of_a_cloud_is_told_of() -> None:
    around = replace(FIXED, drivers={"eno1": "ena"}, dmi=("Amazon EC2",))
    assert "It is one of Amazon EC2" in why(first_plan(Facts(links=(ENO1,), routes=(OUT,)), around))


def test_a_name_that_yaml_would_read_otherwise_is_quoted() -> None:
    for name in ("1", "eth0.7", "on"):
        odd = replace(ENO1, name=name)
        facts = Facts(links=(odd,), routes=(replace(OUT, device=name),))
        assert network(first_plan(facts, HostNetworks())).uplink == name


def test_the_nic_that_is_named_is_taken_instead_of_the_one_that_leads_out() -> None:
    other = replace(
        ENO1, name="eno2", index=9, carrier=False, addresses=(ip_interface("10.9.0.5/24"),)
    )
    text = first_plan(Facts(links=(LO, ENO1, other), routes=(OUT,)), FIXED, "eno2")
    assert network(text).uplink == "eno2"
    assert network(text).subnet == (ip_network("10.9.0.0/24"),)
    assert "The NIC that vmnet init was told to take. It is down, or has no carrier" in why(text)
    assert "eno1" not in text


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("eno7", 'there is no network device "eno7" on this host'),
        ("lo", '"lo" is a loopback device'),
        ("wlan0", '"wlan0" is a Wi-Fi card'),
    ],
)
def test_a_nic_that_is_named_and_cannot_carry_guests_is_refused(name: str, what: str) -> None:
    with pytest.raises(VmnetError) as raised:
        first_plan(Facts(links=(LO, ENO1, WIFI), routes=(OUT,)), FIXED, name)
    assert raised.value.what.startswith(what)
    assert raised.value.fix
