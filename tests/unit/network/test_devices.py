"""What a network needs on the host, from a plan and the facts: whole values."""

from dataclasses import replace

import pytest

from provisioner import naming
from provisioner.network import devices, dnsmasq, nftables
from provisioner.network.addressing import assign, met_at
from provisioner.network.facts import Facts, Firewall, Link
from provisioner.network.resources import HostAccess, Switch, Vlan
from provisioner.plan.load.loader import load
from provisioner.plan.model import Plan
from provisioner.plan.nic_id import NicId
from provisioner.resource import Resource
from tests.builders.addresses import interfaces, networks

NIC = Link("nic0", 2, "", "02:00:00:00:00:10", 9000, ethernet=True, up=True, carrier=True)
FACTS = Facts(links=(NIC,), home="/state/lab")
LOWER, PEER = naming.switch_ends("lab", "lan")
VLAN = naming.vlan("lab", "nic0", 42)
SIBLING = naming.sibling("lab", "lan")
GROUP = naming.group("lab")


def plan_with(lan: str, nics: str = "[lan]") -> Plan:
    text = f"name: lab\nnetworks:\n  lan: {{{lan}}}\nvms:\n  web: {{nics: {nics}}}\n"
    return load(text, "p").plan


def needed(plan: Plan, facts: Facts = FACTS) -> list[Resource]:
    return list(devices.of_network(plan, plan.network("lan"), assign(plan), facts))


def test_a_network_on_a_nic_needs_nothing_but_the_nic() -> None:
    plan = plan_with("uplink: nic0")
    assert needed(plan) == []
    assert devices.uplink_of("lab", plan.network("lan")) == "nic0"
    assert devices.host_device(plan, plan.network("lan")) == "nic0"
    assert devices.host_mac(plan, plan.network("lan"), FACTS) == NIC.mac
    assert devices.host_mac(plan, plan.network("lan")) == ""


def test_a_vlan_is_as_large_as_the_nic_below() -> None:
    plan = plan_with("uplink: nic0, vlan: 42, mtu: 1400")
    vlan = Vlan(VLAN, "nic0", 42, 9000, GROUP, "vmnet:lab/vlan42")
    assert needed(plan) == [vlan]
    assert needed(plan, Facts()) == [replace(vlan, mtu=1500)]
    assert devices.uplink_of("lab", plan.network("lan")) == VLAN
    tagged = replace(NIC, name=VLAN, mac="02:00:00:00:00:42")
    assert devices.uplink_mac(plan, plan.network("lan"), FACTS) == NIC.mac
    assert devices.uplink_mac(plan, plan.network("lan"), Facts((NIC, tagged))) == tagged.mac


def test_a_network_of_granted_devices_stands_on_them() -> None:
    plan = plan_with("granted: mine")
    assert needed(plan) == []
    assert devices.uplink_of("lab", plan.network("lan")) == "mine"


SUBNETS = 'subnet: ["fd77::/64", 10.77.0.0/24]'
SWITCH = Switch(
    LOWER,
    PEER,
    interfaces("10.77.0.1/24", "fd77::1/64"),
    1500,
    GROUP,
    "vmnet:lab/lan",
    mac=naming.switch_mac("lab", "lan"),
    host_mac=naming.host_mac("lab", "lan"),
)


def test_a_switch_is_kept_apart() -> None:
    plan = plan_with(f"switch: true, {SUBNETS}")
    network = plan.network("lan")
    assert needed(plan) == [SWITCH, nftables.isolation("lab", "lan", PEER)]
    assert devices.uplink_of("lab", network) == LOWER
    assert devices.host_device(plan, network) == PEER
    assert devices.host_mac(plan, network) == SWITCH.host_mac
    assert devices.uplink_mac(plan, network, Facts()) == SWITCH.mac


def test_a_switch_is_made_all_the_same_where_nothing_can_be_filtered() -> None:
    unfiltered = replace(FACTS, firewall=Firewall(no_filter="nft is not installed"))
    assert needed(plan_with(f"switch: true, {SUBNETS}"), unfiltered) == [SWITCH]


def test_a_switch_with_everything_has_a_bridge_nat_and_a_server() -> None:
    plan = plan_with(f"switch: {{hairpin: true, nat: true, dhcp: true}}, {SUBNETS}, mtu: 1400")
    network, bridge = plan.network("lan"), naming.bridge("lab", "lan")
    assert needed(plan) == [
        replace(SWITCH, bridge=bridge, mtu=1400),
        nftables.nat("lab", "lan", bridge, network.subnet, routed=()),
        dnsmasq.served(plan, network, bridge, assign(plan), "/state/lab"),
    ]
    assert devices.host_device(plan, network) == bridge


@pytest.mark.parametrize(("facts", "mtu"), [(FACTS, 9000), (Facts(), 1500)])
def test_host_access_has_a_route_to_each_guest(facts: Facts, mtu: int) -> None:
    plan = plan_with(
        'uplink: nic0, host_access: ["fd77::9", 10.77.0.9], subnet: [10.77.0.0/24, "fd77::/64"]',
        '[{network: lan, address: [10.77.0.7, "fd77::7"]}, {network: lan, address: 10.77.0.5}]',
    )
    network = plan.network("lan")
    others = {f"{x.ip}/{x.max_prefixlen}" for x in assign(plan)[NicId("web", 1)].addresses}
    assert needed(plan, facts) == [
        HostAccess(
            SIBLING,
            "nic0",
            naming.sibling_mac("lab", "lan"),
            interfaces("10.77.0.9/32", "fd77::9/128"),
            networks(*sorted({"10.77.0.7/32", "fd77::7/128"} | others)),
            mtu,
            GROUP,
            "vmnet:lab/lan",
        )
    ]
    assert "10.77.0.5/32" in others
    assert devices.host_device(plan, network) == SIBLING
    assert devices.host_mac(plan, network) == naming.sibling_mac("lab", "lan")


def test_host_access_on_a_vlan_comes_behind_it_with_the_networks_mtu() -> None:
    plan = plan_with(
        "uplink: nic0, vlan: 42, host_access: true, subnet: 10.77.0.0/24, mtu: 1400",
    )
    vlan, access = needed(plan)
    (address,) = met_at(plan)["lan"]
    assert isinstance(vlan, Vlan)
    assert isinstance(access, HostAccess)
    assert (access.uplink, access.mtu) == (VLAN, 1400)
    assert access.addresses == interfaces(f"{address}/32")
