"""Plans whose parts do not fit together, each answered with the whole message."""

import pytest

from tests.builders.plan import cases, complaints_of

PLANS = r"""
# checks of nobody's
name: lab
networks: {lan: {uplink: eno1}, dmz: {uplink: eno2}}
hosts: {nas: {address: 10.0.0.9, ssh: nas}}
vms: {web: {nics: [lan]}}
checks:
  - host -> gateway
  - nas -> host
  - nas -> web tcp/22
  - web -> 10.0.0.9 on den
-> 7:5 a check needs two different ends
-> fix: name a VM as the source
-> 8:5 nas can only check VMs
-> fix: name a VM as the target
-> 9:5 tcp/22 is asked from a guest only: nas can ping, no more
-> fix: leave it out, or name a VM as the source
-> 10:5 there is no network den
-> fix: networks: dmz, lan

# addresses in neither subnet, and the host's
name: lab
networks:
  lan: {switch: {host: 10.0.0.9}, subnet: [10.0.0.0/24, "fd77::/64"]}
vms: {web: {nics: [{network: lan, address: [10.9.9.9, 10.0.0.9]}]}}
-> 5:45 address 10.9.9.9 is not inside subnet 10.0.0.0/24 or fd77::/64
-> fix: choose one inside the subnet
-> 5:55 address 10.0.0.9 is the switch host's: see 4:24
-> fix: choose another address

# DHCP that nobody can answer
name: lab
networks:
  lan: {switch: {dhcp: true}, subnet: "fd77::/64", addressing: dhcp}
vms: {web: {nics: [lan]}}
-> 4:64 DHCP gives IPv4 addresses, and network lan has no IPv4 subnet
-> fix: use addressing: slaac or static, or add one, as in subnet: 10.77.0.0/24

# two VMs of one name
name: lab
networks: {lan: {uplink: eno1}}
vms: {web: {count: 2, nics: [lan]}, web1: {nics: [lan]}}
-> 4:37 two VMs are named "web1", the first at 4:7
-> fix: rename one: count numbers its VMs from 1

# too many VMs
name: lab
networks: {lan: {uplink: eno1}}
vms: {a: {count: 600, nics: [lan]}, b: {count: 600, nics: [lan]}}
-> 4:48 the plan has more than 1000 VMs
-> fix: split it into several plans

# unknown networks
name: lab
networks: {lan: {uplink: eno1}}
vms: {web: {nics: [lna, {network: dmz}]}}
-> 4:20 there is no network "lna"
-> fix: did you mean "lan"? networks of this plan: lan
-> 4:35 there is no network "dmz"
-> fix: networks of this plan: lan

# a MAC twice
name: lab
networks: {lan: {uplink: eno1}}
vms:
  a: {nics: [{network: lan, mac: 02:00:00:00:00:01}]}
  b: {nics: [{network: lan, mac: 02:00:00:00:00:01}]}
-> 6:34 MAC 02:00:00:00:00:01 is given twice: see 5:34
-> fix: leave one out: vmnet derives it

# a MAC and a count
name: lab
networks: {lan: {uplink: eno1}}
vms:
  a: {count: 3, nics: [{network: lan, mac: 02:00:00:00:00:01}]}
-> 5:44 MAC 02:00:00:00:00:01 is given twice: by each VM that count makes
-> fix: leave one out: vmnet derives it

# addresses that are taken
name: lab
networks:
  lan: {uplink: e, subnet: 10.0.0.0/24, gateway: 10.0.0.1}
vms:
  a: {nics: [{network: lan, address: 10.0.0.5}]}
  b: {nics: [{network: lan, address: [10.0.0.5/24]}]}
  c: {nics: [{network: lan, address: 10.0.0.1}]}
-> 7:39 address 10.0.0.5 is given twice: see 6:38
-> fix: choose another address
-> 8:38 address 10.0.0.1 is the gateway's: see 4:50
-> fix: choose another address

# an address without a prefix
name: lab
networks: {lan: {uplink: eno1}}
vms: {web: {nics: [{network: lan, address: 10.0.0.5}]}}
-> 4:44 address 10.0.0.5 has no prefix, and its network no subnet
-> fix: write the prefix, as in 10.77.0.5/24, or give the network a subnet

# MTUs that do not fit
name: lab
networks: {lan: {uplink: e, mtu: 1400, subnet: 'fd00::/64'}}
vms: {web: {nics: [{network: lan, mtu: 1500}, {network: lan, mtu: 1000}]}}
-> 4:40 an MTU of 1500 is above the 1400 of lan: see 3:34
-> fix: use at most 1400
-> 4:67 an MTU of 1000 is too small for the network's IPv6 subnet
-> fix: use at least 1280 (RFC 8200), or do without IPv6

# an MTU above a switch's
name: lab
networks:
  lan: {switch: true, subnet: 10.0.0.0/24}
  big: {switch: true, subnet: 10.1.0.0/24, mtu: 9000}
vms: {web: {nics: [{network: lan, mtu: 1501}, {network: big, mtu: 9000}]}}
-> 6:40 an MTU of 1501 is above the 1500 of a switch that says nothing else: see 4:17
-> fix: use at most 1500, or write mtu: 1501 at network lan

# passthru beside the host
name: lab
networks:
  lan: {uplink: eno1, subnet: 10.0.0.0/24, host_access: true}
  all: {uplink: eno1, mode: passthru}
vms: {web: {nics: [all]}}
-> 4:57 mode passthru takes eno1 for one NIC alone: the host has no access beside it: see 6:20
-> fix: leave host_access out, or use a mode other than passthru

# subnets that overlap
name: lab
networks:
  a: {uplink: e, subnet: 10.0.0.0/16}
  b: {uplink: f, subnet: 10.0.1.0/24}
  c: {uplink: g, subnet: 10.0.2.0/24}
  d: {uplink: g, subnet: 10.1.0.0/24}
vms: {web: {nics: [a]}}
-> 5:26 subnet 10.0.1.0/24 overlaps 10.0.0.0/16 of network a: see 4:26
-> fix: give each network a subnet of its own
-> 6:26 subnet 10.0.2.0/24 overlaps 10.0.0.0/16 of network a: see 4:26
-> fix: give each network a subnet of its own

# more NICs than addresses
name: lab
networks: {a: {switch: true, subnet: 10.0.0.0/29}}
vms: {web: {count: 6, nics: [a]}}
-> 3:38 network a has 5 free addresses, its NICs want 6
-> fix: widen the pool or the subnet, or use fewer VMs

# the pool of one IP version is full
name: lab
networks:
  one: {switch: true, subnet: [10.0.0.0/29, 'fd77::/64'], pool: 10.0.0.2-10.0.0.2}
vms: {web: {count: 2, nics: [one]}}
-> 4:65 network one has 1 free addresses, its NICs want 2
-> fix: widen the pool or the subnet, or use fewer VMs

# an address that host access has
name: lab
networks: {lan: {uplink: eno1, subnet: 10.0.0.0/24, host_access: 10.0.0.9}}
vms: {web: {nics: [{network: lan, address: 10.0.0.9}]}}
-> 4:44 address 10.0.0.9 is the host's own: host_access: see 3:66
-> fix: choose another address

# host access at the gateway's address
name: lab
networks: {lan: {uplink: eno1, subnet: 10.0.0.0/24, host_access: 10.0.0.9, gateway: 10.0.0.9}}
vms: {web: {nics: [lan]}}
-> 3:66 address 10.0.0.9 is the gateway's: see 3:85
-> fix: choose another address, or write host_access: true

# DHCP without an IPv4 subnet
name: lab
networks:
  a: {switch: {dhcp: true}, subnet: fd77::/56}
  b: {switch: {dhcp: true}, subnet: fd78::/64}
vms: {web: {nics: [a, b]}}
-> 4:22 dhcp needs an IPv4 subnet, or an IPv6 one of /64: see 4:37
-> fix: add one, as in subnet: 10.77.0.0/24
-> 5:22 DHCP gives IPv4 addresses, and network b has no IPv4 subnet
-> fix: use addressing: slaac or static, or add one, as in subnet: 10.77.0.0/24

# the least MTU of IPv6
name: lab
networks:
  a: {switch: true, mtu: 1279, subnet: 'fd77::/64'}
  b: {switch: true, mtu: 1280, subnet: 'fd78::/64'}
  c: {uplink: eno1, addressing: slaac, mtu: 1279}
  d: {uplink: eno2, addressing: dhcp, mtu: 1279}
vms: {v: {nics: [a, b, c, d]}}
-> 4:26 an MTU of 1279 is too small for the network's IPv6 subnet
-> fix: use at least 1280 (RFC 8200), or do without IPv6
-> 6:45 an MTU of 1279 is too small for the network's router advertisements (IPv6)
-> fix: use at least 1280 (RFC 8200), or do without IPv6

# prefixes of addresses
name: lab
networks: {lan: {uplink: eno1, subnet: 10.0.0.0/24}, bare: {uplink: eno2, addressing: none}}
vms:
  a: {nics: [{network: lan, address: 10.0.0.5/25}, {network: bare, address: 10.9.0.5}]}
  b: {nics: [{network: lan, address: 10.0.0.6/24}, {network: bare, address: 10.9.0.6/24}]}
  c: {nics: [{network: bare, address: 10.9.0.0/24}, {network: bare, address: 10.9.0.255/24}]}
  d: {nics: [{network: lan, address: 10.0.0.0/24}, {network: lan, address: 10.0.0.255/24}]}
  e: {nics: [{network: lan, address: 10.0.1.5}, {network: lan, address: 'fd77::5/64'}]}
-> 5:38 address 10.0.0.5/25 does not have the prefix of subnet 10.0.0.0/24
-> fix: write 10.0.0.5/24, or leave the prefix out
-> 5:77 address 10.9.0.5 has no prefix, and its network no subnet
-> fix: write the prefix, as in 10.77.0.5/24, or give the network a subnet
-> 7:39 address 10.9.0.0 is the network address of 10.9.0.0/24
-> fix: choose one between the first and the last address
-> 7:78 address 10.9.0.255 is the broadcast address of 10.9.0.0/24
-> fix: choose one between the first and the last address
-> 8:38 address 10.0.0.0 is the network address of 10.0.0.0/24
-> fix: choose one between the first and the last address
-> 8:76 address 10.0.0.255 is the broadcast address of 10.0.0.0/24
-> fix: choose one between the first and the last address
-> 9:38 address 10.0.1.5 is not inside subnet 10.0.0.0/24
-> fix: choose one inside the subnet
-> 9:73 address fd77::5 is not inside subnet 10.0.0.0/24
-> fix: choose one inside the subnet

# checks that name nobody, or the same end twice
name: lab
networks: {a: {switch: true, subnet: 10.1.0.0/24}, b: {switch: true, subnet: 10.2.0.0/24}}
vms: {v: {nics: [a]}, w: {nics: [b]}}
checks: [v -> w on a, v -> v, 'v* -> w on b', host -> v on b, v -> 10.0.0.1, v -> http://x/]
-> 5:10 w has no NIC on a
-> fix: name the network that both are on
-> 5:23 a check needs two different ends
-> fix: name two VMs
-> 5:31 v* has no NIC on b
-> fix: name the network that both are on
-> 5:47 v has no NIC on b
-> fix: name the network that both are on
"""


@pytest.mark.parametrize(("text", "complaints"), cases(PLANS))
def test_a_plan_whose_parts_do_not_fit_is_refused(text: str, complaints: list[str]) -> None:
    assert complaints_of(text) == complaints
