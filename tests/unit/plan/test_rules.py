"""Plans whose parts do not fit together, each answered with the whole message."""

import pytest

from tests.builders.plan import cases, complaints_of

PLANS = r"""
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
"""


@pytest.mark.parametrize(("text", "complaints"), cases(PLANS))
def test_a_plan_whose_parts_do_not_fit_is_refused(text: str, complaints: list[str]) -> None:
    assert complaints_of(text) == complaints
