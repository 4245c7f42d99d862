"""Plans whose parts do not fit together, each answered with the whole message."""

import pytest
from plans import cases, told

PLANS = r"""
# sections without a value
name:
networks:
vms:
-> 2:6 there is no value here
-> fix: write one, or remove the key
-> 3:1 networks is not made of names and what they name
-> fix: write lan: {switch: true, subnet: 10.77.0.0/24}
-> 4:1 vms is not made of names and what they name
-> fix: write web: {nics: [lan]}

# missing sections
accel: kvm
-> 2:1 the plan has no name
-> fix: add name: lab
-> 2:1 the plan has no networks
-> fix: add networks: {lan: {switch: true, subnet: 10.77.0.0/24}}
-> 2:1 the plan has no vms
-> fix: add vms: {web: {nics: [lan]}}

# networks as a list
name: lab
networks: [a]
vms: {web: {nics: [lan]}}
-> 3:1 networks is not made of names and what they name
-> fix: write lan: {switch: true, subnet: 10.77.0.0/24}

# VMs as a list
name: lab
networks: {lan: {uplink: eno1}}
vms: [web]
-> 4:1 vms is not made of names and what they name
-> fix: write web: {nics: [lan]}

# no VMs
name: lab
networks: {lan: {uplink: eno1}}
vms: {}
-> 4:1 the plan has no VMs
-> fix: add one, as in web: {nics: [lan]}

# no networks
name: lab
networks: {}
vms: {web: {nics: [lan]}}
-> 3:1 the plan has no networks
-> fix: add one, as in lan: {uplink: eno1}

# an empty network
name: lab
networks: {lan: }
vms: {web: {nics: [lan]}}
-> 3:17 nothing stands where keys belong
-> fix: write {uplink: eno1} or {switch: true, subnet: 10.77.0.0/24}

# a network that is a word
name: lab
networks: {lan: eno1}
vms: {web: {nics: [lan]}}
-> 3:17 "eno1" stands where keys belong
-> fix: write {uplink: eno1} or {switch: true, subnet: 10.77.0.0/24}

# a VM that is a word
name: lab
networks: {lan: {uplink: eno1}}
vms: {web: lan}
-> 4:12 "lan" stands where keys belong
-> fix: write {nics: [lan]}

# a VM that is a list
name: lab
networks: {lan: {uplink: eno1}}
vms: {web: [lan]}
-> 4:7 a list stands where keys belong
-> fix: write {nics: [lan]}

# NICs as keys
name: lab
networks: {lan: {uplink: eno1}}
vms: {web: {nics: {lan: }}}
-> 4:13 NIC 0 of VM "web" has no network
-> fix: add network: lan
-> 4:20 unknown key "lan"
-> fix: known keys: network, mode, mac, address, mtu

# NICs without a value
name: lab
networks: {lan: {uplink: eno1}}
vms: {web: {nics: }}
-> 4:19 there is no value here
-> fix: write one, or remove the key

# no NICs
name: lab
networks: {lan: {uplink: eno1}}
vms: {web: {nics: []}}
-> 4:13 VM web has no NICs
-> fix: add one, as in nics: [lan]

# a NIC that is a list
name: lab
networks: {lan: {uplink: eno1}}
vms: {web: {nics: [[lan]]}}
-> 4:20 a list stands where keys belong
-> fix: write the name of a network, or {network: lan}

# names of VMs
name: lab
networks: {lan: {uplink: eno1}}
vms:
  ..: {nics: [lan]}
  -x: {nics: [lan]}
  vm:1: {nics: [lan]}
  ' lead': {nics: [lan]}
  W: {count: 3, nics: [lan]}
  aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa: {nics: [lan]}
  bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb: {count: 2, nics: [lan]}
-> 5:3 ".." cannot name a VM
-> fix: use a-z, 0-9 and -, a letter first, no - at the end, at most 40 characters (this has 2)
-> 6:3 "-x" cannot name a VM
-> fix: use a-z, 0-9 and -, a letter first, no - at the end, at most 40 characters (this has 2)
-> 7:3 "vm:1" cannot name a VM
-> fix: use a-z, 0-9 and -, a letter first, no - at the end, at most 40 characters (this has 4)
-> 8:3 " lead" cannot name a VM
-> fix: use a-z, 0-9 and -, a letter first, no - at the end, at most 40 characters (this has 5)
-> 9:3 "W" cannot name a VM
-> fix: use a-z, 0-9 and -, a letter first, no - at the end, at most 40 characters (this has 1)
-> 10:3 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" cannot name a VM
-> fix: use a-z, 0-9 and -, a letter first, no - at the end, at most 40 characters (this has 41)
-> 11:53 "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb2" cannot name a VM
-> fix: use a-z, 0-9 and -, a letter first, no - at the end, at most 40 characters (this has 41)

# names of networks
name: lab
networks: {Lan: {uplink: a}, 1: {uplink: b}, a.b: {uplink: c}, ok_-1: {uplink: d}}
vms: {web: {nics: [Lan, ok_-1]}}
-> 3:12 "Lan" cannot name a network
-> fix: use a-z, 0-9, _ and -, a letter first, at most 32 characters (this has 3)
-> 3:30 "1" cannot name a network
-> fix: use a-z, 0-9, _ and -, a letter first, at most 32 characters (this has 1)
-> 3:46 "a.b" cannot name a network
-> fix: use a-z, 0-9, _ and -, a letter first, at most 32 characters (this has 3)
-> 4:20 "Lan" cannot name a network
-> fix: use a-z, 0-9, _ and -, a letter first, at most 32 characters (this has 3)

# defaults as a list
name: lab
networks: {lan: {uplink: eno1}}
vms: {web: {nics: [lan]}}
defaults: [a]
-> 5:1 defaults is not made of keys
-> fix: write defaults: {memory: 256M}

# defaults that nobody uses
name: lab
networks: {lan: {uplink: eno1}}
defaults: {memory: 1, accel: kvmm, image: x, cpu: 3, connection: 'lxc:///', ssh_keys: [x]}
accel: tcg
connection: qemu:///system
vms: {web: {memory: 128, ssh_keys: [], count: 2, image: micro, nics: [lan]}}
-> 4:20 "1" is too little memory
-> fix: give at least 96M: less does not boot
-> 4:30 "kvmm" is not an accelerator
-> fix: use one of auto, kvm, tcg
-> 4:43 there is no image "x"
-> fix: known images: micro
-> 4:46 unknown key "cpu"
-> fix: did you mean "cpus"? known keys: image, memory, cpus, ssh_keys, accel, connection
-> 4:66 "lxc:///" is not a libvirt connection to QEMU
-> fix: use auto, qemu:///system, qemu:///session or qemu+ssh://host/system
-> 4:88 "x" is not a public key of OpenSSH
-> fix: paste the one line of a .pub file, as in: ssh-ed25519 AAAA… me@home

# accelerator and connection
name: lab
networks: {lan: {uplink: eno1}}
vms: {web: {nics: [lan]}}
accel: kvmm
connection: foo
-> 5:8 "kvmm" is not an accelerator
-> fix: use one of auto, kvm, tcg
-> 6:13 "foo" is not a libvirt connection to QEMU
-> fix: use auto, qemu:///system, qemu:///session or qemu+ssh://host/system

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
-> fix: use at least 1280 (RFC 8200), or drop the IPv6 subnet

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
    assert told(text) == complaints
