"""Networks that cannot be, each answered with the whole message."""

import pytest
from plans import cases, told, with_network

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
uplink: eno1, switch: true
-> 3:31 network lan has an uplink and a switch: see 3:17
-> fix: keep one of the two
switch: true
-> 3:3 network lan has no subnet
-> fix: add one, as in subnet: 10.77.0.0/24
switch: true, addressing: dhcp
-> 3:35 nothing answers DHCP on a switch that vmnet makes
-> fix: use addressing: static with a subnet
switch: false, subnet: 10.0.0.0/24
-> 3:17 "false" is not a switch
-> fix: write switch: true, or switch: {host: 10.77.0.1/24}
switch: {hst: 10.77.0.1}, subnet: 10.77.0.0/24
-> 3:18 unknown key "hst"
-> fix: did you mean "host"? known keys: host, hairpin, nat, dhcp
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
-> fix: use at least 1280 (RFC 8200), or drop the IPv6 subnet
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


@pytest.mark.parametrize(("value", "complaints"), cases(NETWORKS))
def test_a_network_refuses(value: str, complaints: list[str]) -> None:
    assert told(with_network(value)) == complaints
