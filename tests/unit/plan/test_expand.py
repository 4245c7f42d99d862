"""Plans of the wrong shape, each answered with the whole message."""

import pytest

from tests.builders.plan import cases, complaints_of

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

# a name of the model's own in place of a key
name: lab
networks: {lan: {uplink: eno1}}
vms: {web: {image: debian-12, memory_mib: 512M, nics: [lan]}}
-> 4:31 unknown key "memory_mib"
-> fix: did you mean "memory"? known keys: KEYS OF A VM

# keys as other tools call them
name: lab
networks: {lan: {bridge: br0}}
vms: {web: {ram: 1G, vcpus: 2, nics: [{network: lan, ip: 10.0.0.7, mac_address: x}]}}
-> 3:18 unknown key "bridge"
-> fix: did you mean "uplink"? known keys: KEYS OF A NETWORK
-> 4:13 unknown key "ram"
-> fix: did you mean "memory"? known keys: KEYS OF A VM
-> 4:22 unknown key "vcpus"
-> fix: did you mean "cpus"? known keys: KEYS OF A VM
-> 4:54 unknown key "ip"
-> fix: did you mean "address"? known keys: KEYS OF A NIC
-> 4:68 unknown key "mac_address"
-> fix: did you mean "mac"? known keys: KEYS OF A NIC

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
-> fix: known keys: KEYS OF A NIC

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

# broken parts inside parts that are broken themselves
name: lab
networks: {Lan: {switch: {hst: 1}}, lan: {uplink: eno1}}
vms:
  a_b: {nics: [lan, {network: [x], mac: 1}, {network: lan, netwrk: x}], cpus: 0}
-> 3:12 "Lan" cannot name a network
-> fix: use a-z, 0-9, _ and -, a letter first, at most 32 characters (this has 3)
-> 3:27 unknown key "hst"
-> fix: did you mean "host"? known keys: host, hairpin, nat, dhcp, host_services, rebind_domains
-> 5:3 "a_b" cannot name a VM
-> fix: use a-z, 0-9 and -, a letter first, no - at the end, at most 40 characters (this has 3)
-> 5:22 one value is wanted here, not a list
-> fix: write a single value
-> 5:41 "1" is not a MAC
-> fix: a MAC looks like 02:00:00:00:00:01
-> 5:60 unknown key "netwrk"
-> fix: did you mean "network"? known keys: KEYS OF A NIC
-> 5:79 "0" is not a number of CPUs
-> fix: write a whole number from 1 to 64

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
-> 4:46 unknown key "cpu"
-> fix: did you mean "cpus"? known keys: KEYS OF DEFAULTS
-> 4:66 "lxc:///" is not a libvirt connection to QEMU
-> fix: use auto, qemu:///system or qemu:///session
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
-> fix: use auto, qemu:///system or qemu:///session
"""


@pytest.mark.parametrize(("text", "complaints"), cases(PLANS))
def test_a_plan_of_the_wrong_shape_is_refused(text: str, complaints: list[str]) -> None:
    assert complaints_of(text) == complaints
