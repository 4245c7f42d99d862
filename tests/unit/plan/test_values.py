"""Values of NICs and VMs that cannot be, each answered with the whole message."""

import pytest

from tests.builders.plan import cases, complaints_of, with_nic, with_vm

NICS = r"""
mac: 41135085296
-> 4:36 "41135085296" is not a MAC
-> fix: a MAC looks like 02:00:00:00:00:01; did a YAML tool eat the colons?
mac: 00:00:00:00:00:00
-> 4:36 "00:00:00:00:00:00" is nobody's MAC
-> fix: leave mac out: vmnet derives one
mac: 01:00:5e:00:00:01
-> 4:36 "01:00:5e:00:00:01" is a multicast MAC
-> fix: make the first octet even, as in 02:00:00:00:00:01, or leave mac out
mac: ff:ff:ff:ff:ff:ff
-> 4:36 "ff:ff:ff:ff:ff:ff" is a multicast MAC
-> fix: make the first octet even, as in 02:00:00:00:00:01, or leave mac out
mac: 52:54:00:12:34:56:78
-> 4:36 "52:54:00:12:34:56:78" is not a MAC
-> fix: a MAC looks like 02:00:00:00:00:01
mac: zz
-> 4:36 "zz" is not a MAC
-> fix: a MAC looks like 02:00:00:00:00:01
mac: 52:54:00:12:34
-> 4:36 "52:54:00:12:34" is not a MAC
-> fix: a MAC looks like 02:00:00:00:00:01
mac: [a]
-> 4:31 one value is wanted here, not a list
-> fix: write a single value
address: 10.0.0.256/24
-> 4:40 "10.0.0.256/24" is not an address
-> fix: write it like 10.77.0.5/24 or fd77::5/64
address: 10.77.0.0/24
-> 4:40 address 10.77.0.0 is the network address of 10.77.0.0/24
-> fix: choose one between the first and the last address
address: 10.77.0.0
-> 4:40 address 10.77.0.0 is the network address of 10.77.0.0/24
-> fix: choose one between the first and the last address
address: 10.77.0.255
-> 4:40 address 10.77.0.255 is the broadcast address of 10.77.0.0/24
-> fix: choose one between the first and the last address
address: 010.77.0.1
-> 4:40 "010.77.0.1" is not an address
-> fix: write it like 10.77.0.5/24 or fd77::5/64
address: '::ffff:10.77.0.5'
-> 4:40 "::ffff:10.77.0.5" is an IPv4 address in IPv6 clothes
-> fix: use one of a private range, such as 10.77.0.5 or fd77::5
address: 'fe80::1'
-> 4:40 "fe80::1" is a link-local address: the guest makes its own
-> fix: use one of a private range, such as 10.77.0.5 or fd77::5
address: 'fe80::1%eth0'
-> 4:40 "fe80::1%eth0" is a link-local address: the guest makes its own
-> fix: use one of a private range, such as 10.77.0.5 or fd77::5
address: 10.78.0.5
-> 4:40 address 10.78.0.5 is not inside subnet 10.77.0.0/24
-> fix: choose one inside the subnet
address: 10.77.0.5/16
-> 4:40 address 10.77.0.5/16 does not have the prefix of subnet 10.77.0.0/24
-> fix: write 10.77.0.5/24, or leave the prefix out
address: 127.0.0.1
-> 4:40 "127.0.0.1" is a reserved address
-> fix: use one of a private range, such as 10.77.0.5 or fd77::5
address: 224.0.0.1
-> 4:40 "224.0.0.1" is a reserved address
-> fix: use one of a private range, such as 10.77.0.5 or fd77::5
address: 0.0.0.0
-> 4:40 "0.0.0.0" is a reserved address
-> fix: use one of a private range, such as 10.77.0.5 or fd77::5
address: 255.255.255.255
-> 4:40 "255.255.255.255" is a reserved address
-> fix: use one of a private range, such as 10.77.0.5 or fd77::5
address: 10.77.0.1
-> 4:40 address 10.77.0.1 is the switch host's: see 2:26
-> fix: choose another address
address: 'fd00::1/64'
-> 4:40 address fd00::1 is not inside subnet 10.77.0.0/24
-> fix: choose one inside the subnet
address: 10.77.0.5/255.255.255.0
-> 4:40 "10.77.0.5/255.255.255.0" is not an address
-> fix: write it like 10.77.0.5/24 or fd77::5/64
address: foo
-> 4:40 "foo" is not an address
-> fix: write it like 10.77.0.5/24 or fd77::5/64
mac: ''
-> 4:36 there is no value here
-> fix: write one, or remove the key
mode: bridg
-> 4:37 "bridg" is not a macvtap mode
-> fix: use one of private, vepa, bridge, passthru, source
mtu: 9000000
-> 4:36 "9000000" is not an MTU
-> fix: write a whole number from 68 to 65535
adress: 10.77.0.5
-> 4:31 unknown key "adress"
-> fix: did you mean "address"? known keys: KEYS OF A NIC
address: 'ff02::1'
-> 4:40 "ff02::1" is a reserved address
-> fix: use one of a private range, such as 10.77.0.5 or fd77::5
address: '::1'
-> 4:40 "::1" is a reserved address
-> fix: use one of a private range, such as 10.77.0.5 or fd77::5
address: '::'
-> 4:40 "::" is a reserved address
-> fix: use one of a private range, such as 10.77.0.5 or fd77::5
"""

VMS = r"""
memory: 4 TiB
-> 4:30 "4 TiB" is not an amount of memory
-> fix: write it like 128M, 512MiB or 1G; a number alone counts MiB
memory: -1
-> 4:30 "-1" is not an amount of memory
-> fix: write it like 128M, 512MiB or 1G; a number alone counts MiB
memory: 0
-> 4:30 "0" is too little memory
-> fix: give at least 96M: less does not boot
memory: 1e3
-> 4:30 "1e3" is not an amount of memory
-> fix: write it like 128M, 512MiB or 1G; a number alone counts MiB
memory: nan
-> 4:30 "nan" is not an amount of memory
-> fix: write it like 128M, 512MiB or 1G; a number alone counts MiB
memory: .inf
-> 4:30 ".inf" is not an amount of memory
-> fix: write it like 128M, 512MiB or 1G; a number alone counts MiB
memory: 95
-> 4:30 "95" is too little memory
-> fix: give at least 96M: less does not boot
memory: 512MB
-> 4:30 "512MB" is not an amount of memory
-> fix: write it like 128M, 512MiB or 1G; a number alone counts MiB
memory: 2000G
-> 4:30 "2000G" is too much memory
-> fix: give at most 1024G
cpus: 0
-> 4:28 "0" is not a number of CPUs
-> fix: write a whole number from 1 to 64
cpus: 100000
-> 4:28 "100000" is not a number of CPUs
-> fix: write a whole number from 1 to 64
cpus: 1.5
-> 4:28 "1.5" is not a number of CPUs
-> fix: write a whole number from 1 to 64
cpus: on
-> 4:28 "on" is not a number of CPUs
-> fix: write a whole number from 1 to 64
count: 1000000000
-> 4:29 "1000000000" is not a number of VMs
-> fix: write a whole number from 1 to 1000
count: 0
-> 4:29 "0" is not a number of VMs
-> fix: write a whole number from 1 to 1000
count: x
-> 4:29 "x" is not a number of VMs
-> fix: write a whole number from 1 to 1000
count: 1001
-> 4:29 "1001" is not a number of VMs
-> fix: write a whole number from 1 to 1000
image: Debian 12
-> 4:29 "Debian 12" is not an image
-> fix: write a name such as micro or debian-12 (vmnet image ls), file:PATH or https://…
image: ftp://x/y.img
-> 4:29 "ftp://x/y.img" is not an image
-> fix: write a name such as micro or debian-12 (vmnet image ls), file:PATH or https://…
image: none
-> 4:29 image: none leaves nothing to boot
-> fix: name a kernel: kernel: ./bzImage, or an image
digest: abc
-> 4:30 "abc" is not a SHA-256 or SHA-512 digest
-> fix: write its 64 or 128 hexadecimal digits, as sha256sum prints them
boot: grub
-> 4:28 "grub" is not a way to boot
-> fix: use one of bios, uefi
boot: uefi
-> 4:28 the micro image has no boot of its own: it boots from memory
-> fix: use disks: [10G] for a disk; image: none with a kernel of yours
files: [{path: /etc/a b, content: x}]
-> 4:37 the micro image writes no file named "/etc/a b"
-> fix: use letters, digits and _ . + @ % : , = - between the slashes
files: [{path: /etc/a, content: x, owner: www-data}]
-> 4:64 the micro image has no "www-data": root is alone there
-> fix: leave owner out
initrd: ./initrd
-> 4:30 initrd goes with a kernel
-> fix: write kernel: ./vmlinuz too
disks: [{path: a.img}]
-> 4:30 the format of a file is never guessed from its bytes: a guest may have written them
-> fix: write format: raw or format: qcow2
disks: [{size: 1G, path: a.img, format: raw}]
-> 4:30 a disk is one of three: size, path or device
-> fix: write 10G, {path: data.qcow2, format: qcow2} or {device: /dev/disk/by-id/…}
disks: [{device: /etc/shadow}]
-> 4:39 "/etc/shadow" is not a device
-> fix: name it by its id: ls -l /dev/disk/by-id
disks: [{device: /dev/../etc/shadow}]
-> 4:39 "/dev/../etc/shadow" is not a device
-> fix: name it by its id: ls -l /dev/disk/by-id
disks: [{device: /dev/sdb, format: qcow2}]
-> 4:57 a device is raw
-> fix: leave format out
disks: [{path: /x/y, format: raw, keep: true}]
-> 4:62 a file or a device of yours is never removed, whatever keep says
-> fix: leave keep out
disks: [{sice: 1G}]
-> 4:31 unknown key "sice"
-> fix: did you mean "size"? known keys: size, path, device, format, readonly, cache, discard, keep
password_hash: hunter2
-> 4:37 this is not a password's hash
-> fix: make one, and quote it: openssl passwd -6
files: [{path: etc/motd, content: x}]
-> 4:37 "etc/motd" is not a file's path in a guest
-> fix: begin it with /
files: [{path: /etc/motd}]
-> 4:30 a file has either content or source
-> fix: write content: TEXT, or source: ./FILE
files: [{path: /etc/motd, content: [x]}]
-> 4:48 one value is wanted here, not a list
-> fix: write a single value
ready: soon
-> 4:29 "soon" is not a sign that a guest is ready
-> fix: use agent, address, ssh, tcp/PORT, cloud-init, started, or: command PROGRAM ARGUMENT
tpm: true
-> 4:27 vmnet has no TPM
-> fix: leave tpm out: nothing here emulates one
secure_boot: yes
-> 4:35 vmnet has no secure boot
-> fix: leave secure_boot out; boot: uefi boots without it
user: -oProxyCommand=x
-> 4:28 "-oProxyCommand=x" cannot name a user
-> fix: use a-z, 0-9, _ and -, a letter or _ first, at most 32 characters
ssh_keys: [nope]
-> 4:33 "nope" is not a public key of OpenSSH
-> fix: paste the one line of a .pub file, as in: ssh-ed25519 AAAA… me@home
ssh_keys: ssh-ed25519 AAAA
-> 4:32 the ssh-ed25519 key is damaged: its body does not hold one
-> fix: paste the one line of a .pub file, as in: ssh-ed25519 AAAA… me@home
ssh_keys: ["ssh-ed25519 AAAA\nssh-rsa B"]
-> 4:33 "ssh-ed25519 AAAA\nssh-rsa B" is not a public key of OpenSSH
-> fix: paste the one line of a .pub file, as in: ssh-ed25519 AAAA… me@home
ssh_keys: '-----BEGIN OPENSSH PRIVATE KEY-----'
-> 4:32 this is a private key: whoever reads the plan could use it
-> fix: paste the one line of a .pub file, as in: ssh-ed25519 AAAA… me@home
ssh_keys: 'command="id" ssh-ed25519 AAAA'
-> 4:32 "command="id" ssh-ed25519 AAAA" is not a public key of OpenSSH
-> fix: paste the one line of a .pub file, as in: ssh-ed25519 AAAA… me@home
memory: [1]
-> 4:22 one value is wanted here, not a list
-> fix: write a single value
disk: 3
-> 4:28 "3" is not the size of a disk
-> fix: write it like 20G or 512M
name: x
-> 4:22 unknown key "name": "web" is the name
-> fix: remove it
memory: ''
-> 4:30 there is no value here
-> fix: write one, or remove the key
cpus: 1e1
-> 4:28 "1e1" is not a number of CPUs
-> fix: write a whole number from 1 to 64
cpus: 65
-> 4:28 "65" is not a number of CPUs
-> fix: write a whole number from 1 to 64
memory: ١٢٨
-> 4:30 "١٢٨" is not an amount of memory
-> fix: write it like 128M, 512MiB or 1G; a number alone counts MiB
image: [micro]
-> 4:22 one value is wanted here, not a list
-> fix: write a single value
connection: auto
-> 4:22 unknown key "connection"
-> fix: known keys: KEYS OF A VM
"""


@pytest.mark.parametrize(("value", "complaints"), cases(NICS))
def test_a_nic_refuses(value: str, complaints: list[str]) -> None:
    assert complaints_of(with_nic(value)) == complaints


@pytest.mark.parametrize(("value", "complaints"), cases(VMS))
def test_a_vm_refuses(value: str, complaints: list[str]) -> None:
    assert complaints_of(with_vm(value)) == complaints


CONNECTIONS = r"""
qemu:///embed?root=/tmp/x
-> 5:13 "qemu:///embed?root=/tmp/x": vmnet alone chooses the root of its embedded libvirt
-> fix: use auto, which takes the embedded libvirt where no daemon answers
qemu+ssh://host/system?keyfile=/root/.ssh/id_rsa
-> 5:13 "qemu+ssh://host/system?keyfile=/root/.ssh/id_rsa" leads to another host, and macvtaps are made on this one
-> fix: run vmnet on that host; here use auto, qemu:///system or qemu:///session
qemu+unix:///system?socket=/tmp/s
-> 5:13 a plan cannot choose the connection "qemu+unix:///system?socket=/tmp/s"
-> fix: use auto, qemu:///system or qemu:///session; another socket of this host is named on the command line: --connection
"""  # noqa: E501


@pytest.mark.parametrize(("value", "complaints"), cases(CONNECTIONS))
def test_a_plan_refuses_a_connection(value: str, complaints: list[str]) -> None:
    assert complaints_of(with_vm("cpus: 1") + f"connection: '{value}'") == complaints
