"""Networks that cannot be, each answered with the whole message."""

import pytest

from tests.builders.plan import cases, complaints_of, with_network

NETWORKS = r"""
uplink: eno1, mode: bridg
-> 3:29 "bridg" is not a macvtap mode
-> fix: use one of private, vepa, bridge, passthru, source
uplink: eno1, mode: Bridge
-> 3:29 "Bridge" is not a macvtap mode
-> fix: use one of private, vepa, bridge, passthru, source
uplink: eno1, mode: vlan
-> 3:29 "vlan" is not a macvtap mode
-> fix: use one of private, vepa, bridge, passthru, source
uplink: eno1, mode: [bridge]
-> 3:23 one value is wanted here, not a list
-> fix: write a single value
uplink: eno1, mtu: 67
-> 3:28 "67" is not an MTU
-> fix: write a whole number from 68 to 65535
uplink: eno1, mtu: -1
-> 3:28 "-1" is not an MTU
-> fix: write a whole number from 68 to 65535
uplink: eno1, mtu: 1e9
-> 3:28 "1e9" is not an MTU
-> fix: write a whole number from 68 to 65535
uplink: eno1, mtu: "1500 "
-> 3:28 "1500 " is not an MTU
-> fix: write a whole number from 68 to 65535
uplink: eno1, mtu: 65536
-> 3:28 "65536" is not an MTU
-> fix: write a whole number from 68 to 65535
uplink: eno1, mtu: 0x5dc
-> 3:28 "0x5dc" is not an MTU
-> fix: write a whole number from 68 to 65535
uplink: eno1, mtu: 1_500
-> 3:28 "1_500" is not an MTU
-> fix: write a whole number from 68 to 65535
uplink: eno1, max_loss: 0.02
-> 3:33 "0.02" is not a share
-> fix: write a percentage: 2%, 0.5% or 0%
uplink: eno1, max_loss: 101%
-> 3:33 "101%" is not a share
-> fix: write a percentage: 2%, 0.5% or 0%
uplink: eno1, switch: true
-> 3:31 network lan has an uplink and a switch: see 3:17
-> fix: keep one of the two
switch: true
-> 3:3 network lan has no subnet
-> fix: add one, as in subnet: 10.77.0.0/24
switch: true, addressing: dhcp
-> 3:35 nothing answers DHCP on this switch
-> fix: write switch: {dhcp: true}, or use addressing: static with a subnet
switch: false, subnet: 10.0.0.0/24
-> 3:17 "false" is not a switch
-> fix: write switch: true, or switch: {host: 10.77.0.1/24}
switch: {hst: 10.77.0.1}, subnet: 10.77.0.0/24
-> 3:18 unknown key "hst"
-> fix: did you mean "host"? known keys: host, hairpin, nat, dhcp, host_services, rebind_domains
switch: {host: 10.78.0.1}, subnet: 10.77.0.0/24
-> 3:24 switch host 10.78.0.1 is not inside subnet 10.77.0.0/24
-> fix: choose one inside the subnet
switch: {host: 10.77.0.255/24}, subnet: 10.77.0.0/24
-> 3:24 switch host 10.77.0.255 is the broadcast address of 10.77.0.0/24
-> fix: choose one between the first and the last address
uplink: eno1, addressing: static
-> 3:35 network lan has no subnet
-> fix: add one, as in subnet: 10.77.0.0/24
uplink: eno1, addressing: magic
-> 3:35 "magic" is not a way of addressing
-> fix: use one of static, dhcp, slaac, none
uplink: eno1, subnet: 10.77.0.1/24
-> 3:31 "10.77.0.1/24" is an address inside a subnet
-> fix: write 10.77.0.0/24
uplink: eno1, subnet: 10.77.0.0
-> 3:31 "10.77.0.0" is not a subnet
-> fix: write it like 10.77.0.0/24 or fd77::/64
uplink: eno1, subnet: 10.77.0.0/31
-> 3:31 "10.77.0.0/31" is not a size for a subnet
-> fix: use a prefix from /8 to /30
uplink: eno1, subnet: 0.0.0.0/0
-> 3:31 "0.0.0.0/0" is not a size for a subnet
-> fix: use a prefix from /8 to /30
uplink: eno1, subnet: 224.0.0.0/8
-> 3:31 "224.0.0.0/8" is a reserved address
-> fix: use one of a private range, such as 10.77.0.5 or fd77::5
uplink: eno1, subnet: lan
-> 3:31 "lan" is not a subnet
-> fix: write it like 10.77.0.0/24 or fd77::/64
uplink: eno1, subnet: [10.0.0.0/24, 10.1.0.0/24]
-> 3:45 10.1.0.0/24 is the second subnet of IPv4: see 3:32
-> fix: give at most one for IPv4 and one for IPv6
uplink: eno1, subnet: 'fe80::/64'
-> 3:31 "fe80::/64" is a link-local address: the guest makes its own
-> fix: use one of a private range, such as 10.77.0.5 or fd77::5
uplink: eno1, subnet: 10.0.0.0/24, gateway: 10.1.0.1
-> 3:53 gateway 10.1.0.1 is not inside subnet 10.0.0.0/24
-> fix: choose one inside the subnet
uplink: eno1, subnet: 10.0.0.0/24, gateway: 10.0.0.0
-> 3:53 gateway 10.0.0.0 is the network address of 10.0.0.0/24
-> fix: choose one between the first and the last address
uplink: eno1, subnet: 10.0.0.0/24, gateway: 10.0.0.1/24
-> 3:53 "10.0.0.1/24" is not an address
-> fix: write it like 10.77.0.1 or fd77::1
uplink: eno1, subnet: 10.0.0.0/24, gateway: [10.0.0.1, 10.0.0.2]
-> 3:64 10.0.0.2 is the second gateway of IPv4: see 3:54
-> fix: give at most one for IPv4 and one for IPv6
uplink: eno1, subnet: 10.0.0.0/24, gateway: 'fd00::1'
-> 3:53 gateway fd00::1 is not inside subnet 10.0.0.0/24
-> fix: choose one inside the subnet
uplink: eno1, subnet: 10.0.0.0/24, pool: 10.1.0.1-10.1.0.9
-> 3:50 pool 10.1.0.1-10.1.0.9 is not inside subnet 10.0.0.0/24
-> fix: choose both ends inside the subnet
uplink: eno1, subnet: 10.0.0.0/24, pool: 10.0.0.9-10.0.0.1
-> 3:50 "10.0.0.9-10.0.0.1" does not run from low to high
-> fix: write it like 10.77.0.10-10.77.0.20
uplink: eno1, subnet: 10.0.0.0/24, pool: 10.0.0.9
-> 3:50 "10.0.0.9" is not a range of addresses
-> fix: write it like 10.77.0.10-10.77.0.20
uplink: eno1, subnet: 10.0.0.0/24, pool: 10.0.0.9-x
-> 3:50 "x" is not an address
-> fix: write it like 10.77.0.1 or fd77::1
uplink: eno1, pool: 10.0.0.1-10.0.0.9
-> 3:29 network lan has a pool of IPv4 but no subnet
-> fix: add the subnet that the pool lies in
uplink: eno1, subnet: 10.0.0.0/24, gateway: 10.0.0.1, pool: 10.0.0.1-10.0.0.1
-> 3:69 network lan has 0 free addresses, its NICs want 1
-> fix: widen the pool or the subnet, or use fewer VMs
uplink: eno1, subnet: 'fd00::/64', mtu: 1000
-> 3:49 an MTU of 1000 is too small for the network's IPv6 subnet
-> fix: use at least 1280 (RFC 8200), or do without IPv6
uplink: eno1, dns: x
-> 3:28 "x" is not an address
-> fix: write it like 10.77.0.1 or fd77::1
uplink: eno1, dns: 127.0.0.53
-> 3:28 "127.0.0.53" is a reserved address
-> fix: use one of a private range, such as 10.77.0.5 or fd77::5
uplink: eno1, hostaccess: true
-> 3:23 unknown key "hostaccess"
-> fix: did you mean "host_access"? known keys: KEYS OF A NETWORK
"""

SERVICES = r"""
uplink: eno1, mode: passthru, promisc: maybe
-> 3:48 "maybe" is neither true nor false
-> fix: write true or false
uplink: eno1, promisc: false
-> 3:32 promisc: false means nothing in mode bridge
-> fix: use mode: passthru, or leave promisc out
uplink: eno1, take_over: true
-> 3:34 take_over means nothing in mode bridge
-> fix: use mode: passthru, or leave take_over out
uplink: eno1, allow: [02:00:00:00:00:01]
-> 3:23 a list of sources means nothing in mode bridge
-> fix: use mode: source, or leave allow out
switch: {host_services: [dhcp, ssh]}
-> 3:40 "ssh" is no service of the host's
-> fix: list dhcp and dns, or write [] for none
switch: {dhcp: true, host_services: [dns]}, subnet: 10.77.0.0/24
-> 3:30 dhcp: true has guests ask this host for addresses, and host_services closes that: see 3:24
-> fix: write host_services: [dhcp], or [dhcp, dns]
switch: {dhcp: true, rebind_domains: lan}, subnet: 10.77.0.0/24
-> 3:46 rebind_domains is about names that dnsmasq asks others for, which takes dhcp and nat
-> fix: add dhcp: true and nat: true, or leave rebind_domains out
switch: {dhcp: true, nat: true, rebind_domains: [Lan., a/b]}, subnet: 10.77.0.0/24
-> 3:58 "lan." is not a domain
-> fix: write it as home.example.org, one in other letters as xn--…; any for all
-> 3:64 "a/b" is not a domain
-> fix: write it as home.example.org, one in other letters as xn--…; any for all
uplink: eno1, ether_types: lldp
-> 3:36 ether_types opens nothing: spoof_guard: mac lets every EtherType through
-> fix: use spoof_guard: strict, or leave ether_types out
uplink: eno1, spoof_guard: strict, ether_types: [lldp, 0x88B5, ldp, 88cc, 0x0806, 0x0026]
-> 3:72 "ldp" is not an EtherType
-> fix: write one of ETHER TYPES, or a number as 0x88cc
-> 3:77 "88cc" is not an EtherType
-> fix: write one of ETHER TYPES, or a number as 0x88cc
-> 3:83 "0x0806" is open in any case, and held to the guest's addresses
-> fix: leave it out
-> 3:91 "0x0026" is a length, not an EtherType
-> fix: write llc for such frames
uplink: eno1, isolate: [plann, 'vm:web', 01:00:5e:00:00:01]
-> 3:33 "plann" is not a MAC
-> fix: write plan, or a MAC
-> 3:40 "vm:web" is not a MAC
-> fix: write plan, or a MAC
-> 3:50 "01:00:5e:00:00:01" is a multicast MAC
-> fix: make the first octet even, as in 02:00:00:00:00:01, or take it out
uplink: eno1, isolate: plan, spoof_guard: off
-> 3:51 NIC web.0 may take any MAC, and isolate knows guests by theirs: see 3:32
-> fix: use spoof_guard: mac, or leave isolate out
granted: desk, isolate: plan
-> 3:33 network lan is made of devices that root has made, and no user sets rules there: see 3:18
-> fix: leave isolate out, or use an uplink or a switch
uplink: eno1, mode: source, allow: [vm:wbe, vm:web, host, vm:db]
-> 3:45 there is no VM "wbe"
-> fix: did you mean "web"? VMs of this plan: web
-> 3:67 there is no VM "db"
-> fix: VMs of this plan: web
uplink: eno1, mode: source, allow: [01:00:5e:00:00:01, 00:00:00:00:00:00, web, 'vm:W']
-> 3:45 "01:00:5e:00:00:01" is a multicast MAC
-> fix: make the first octet even, as in 02:00:00:00:00:01, or take it out
-> 3:64 "00:00:00:00:00:00" is nobody's MAC
-> fix: take it out of the list
-> 3:83 "web" is not a MAC
-> fix: write a MAC, vm:NAME or host
-> 3:88 "vm:W" names no VM
-> fix: write it like vm:web1, or give a MAC
uplink: eno1, vlan: 0
-> 3:29 "0" is not a VLAN
-> fix: write a whole number from 1 to 4094
uplink: eno1, vlan: 4095
-> 3:29 "4095" is not a VLAN
-> fix: write a whole number from 1 to 4094
switch: true, subnet: 10.77.0.0/24, vlan: 42
-> 3:51 a VLAN is one of an uplink, and network lan has a switch: see 3:17
-> fix: leave vlan out: every switch is a wire of its own
switch: true, subnet: 10.77.0.0/24, host_access: true
-> 3:58 the host is on the switch of network lan already: see 3:17
-> fix: leave host_access out: it is for a NIC of the host; `host` of the switch says where
uplink: eno1, host_access: true
-> 3:36 host access needs a route to each guest: nobody knows the addresses of addressing: dhcp
-> fix: use addressing: static with a subnet, or leave host_access out
uplink: eno1, subnet: 10.0.0.0/24, host_access: 10.1.0.1
-> 3:57 host access 10.1.0.1 is not inside subnet 10.0.0.0/24
-> fix: choose one inside the subnet
uplink: eno1, subnet: 10.0.0.0/24, host_access: [10.0.0.1, 10.0.0.2]
-> 3:68 10.0.0.2 is the second host_access of IPv4: see 3:58
-> fix: give at most one for IPv4 and one for IPv6
uplink: eno1, subnet: 10.0.0.0/24, gateway: 10.0.0.1, host_access: 10.0.0.1
-> 3:76 address 10.0.0.1 is the gateway's: see 3:53
-> fix: choose another address, or write host_access: true
uplink: eno1, subnet: 10.0.0.0/24, mode: vepa, host_access: true
-> 3:50 HOST ACCESS AND vepa: see 3:69
-> fix: BRIDGE OR NO HOST ACCESS
uplink: eno1, subnet: 10.0.0.0/30, pool: 10.0.0.1-10.0.0.1, host_access: true
-> 3:50 network lan has 1 free addresses, its NICs and the host want 2
-> fix: widen the pool or the subnet, or use fewer VMs
switch: {nat: true}, addressing: none
-> 3:23 nat needs a subnet, and network lan has none
-> fix: add one, as in subnet: 10.77.0.0/24
switch: {dhcp: true}, addressing: none
-> 3:24 dhcp needs a subnet, and network lan has none
-> fix: add one, as in subnet: 10.77.0.0/24
switch: {dhcp: true, nat: true}
-> 3:3 network lan has no subnet
-> fix: add one, as in subnet: 10.77.0.0/24
switch: {dhcp: true}, addressing: dhcp
-> 3:43 network lan has no subnet
-> fix: add one, as in subnet: 10.77.0.0/24
switch: {dhcp: true}, subnet: 'fd77::/80'
-> 3:24 dhcp needs an IPv4 subnet, or an IPv6 one of /64: see 3:39
-> fix: add one, as in subnet: 10.77.0.0/24
switch: {dhcp: true}, subnet: 'fd77::/64'
-> 3:24 DHCP gives IPv4 addresses, and network lan has no IPv4 subnet
-> fix: use addressing: slaac or static, or add one, as in subnet: 10.77.0.0/24
switch: true, subnet: 'fd77::/64', addressing: slaac
-> 3:56 nothing sends router advertisements on this switch
-> fix: write switch: {dhcp: true}, or use addressing: static
switch: {dhcp: true}, subnet: 10.77.0.0/24, addressing: slaac
-> 3:65 router advertisements need an IPv6 subnet, and network lan has none
-> fix: add one, as in subnet: fd77::/64
uplink: eno1, subnet: 'fd77::/80', slaac: true
-> 3:51 guests make themselves addresses in a /64, and fd77::/80 is not one: see 3:31
-> fix: write a subnet of /64, as in fd77::/64
uplink: eno1, addressing: slaac, slaac: false
-> 3:49 slaac: false takes away the only addresses that addressing: slaac gives: see 3:35
-> fix: leave slaac out, or use addressing: none
uplink: eno1, addressing: slaac, mtu: 1000
-> 3:47 an MTU of 1000 is too small for the network's router advertisements (IPv6)
-> fix: use at least 1280 (RFC 8200), or do without IPv6
switch: {nat: true}, subnet: 10.77.0.0/24, gateway: 10.78.0.1
-> 3:61 gateway 10.78.0.1 is not inside subnet 10.77.0.0/24
-> fix: choose one inside the subnet
"""

WORKING = [
    "uplink: eno1, mode: passthrough, promisc: false, take_over: true",
    "uplink: eno1, spoof_guard: strict, ether_types: [lldp, llc, vlan, 0x88B5]",
    "uplink: eno1, mode: source, allow: [vm:web, host, 02-00-00-00-00-01]",
    "uplink: eno1, mode: source",
    "uplink: eno1, isolate: plan",
    "uplink: eno1, isolate: [plan, 02-00-00-00-00-01]",
    "uplink: eno1, isolate: [], spoof_guard: off",
    "uplink: eno1, vlan: 42, mode: vepa",
    "uplink: eno1, subnet: [10.0.0.0/24, 'fd77::/64'], host_access: [10.0.0.9, 'fd77::9']",
    "uplink: eno1, subnet: 10.0.0.0/24, gateway: 10.0.0.1, slaac: true",
    "uplink: eno1, addressing: dhcp, mtu: 1000",
    "uplink: eno1, addressing: slaac, mtu: 1280",
    "switch: {nat: true}, subnet: 10.77.0.0/24, gateway: 10.77.0.9",
    "switch: {nat: true, dhcp: true, hairpin: true}, subnet: 10.77.0.0/24",
    "switch: {dhcp: true}, subnet: 10.77.0.0/24, addressing: static",
    "switch: {dhcp: true}, subnet: [10.77.0.0/24, 'fd77::/64'], addressing: dhcp",
    "switch: {dhcp: true}, subnet: 'fd77::/64', addressing: slaac",
]


@pytest.mark.parametrize(("value", "complaints"), cases(SERVICES))
def test_a_network_refuses_services_and_settings(value: str, complaints: list[str]) -> None:
    assert complaints_of(with_network(value)) == complaints


@pytest.mark.parametrize("value", WORKING)
def test_a_network_takes(value: str) -> None:
    assert complaints_of(with_network(value)) == []


def test_a_list_of_sources_is_not_endless() -> None:
    macs = ", ".join(f"02:00:00:00:{at >> 8:02x}:{at & 255:02x}" for at in range(1025))
    assert complaints_of(with_network(f"uplink: eno1, mode: source, allow: [{macs}]")) == [
        "3:37 a list of 1025 sources is too long: each frame is looked up in it",
        "fix: list at most 1024, or use another mode",
    ]


@pytest.mark.parametrize(("value", "complaints"), cases(NETWORKS))
def test_a_network_refuses(value: str, complaints: list[str]) -> None:
    assert complaints_of(with_network(value)) == complaints
