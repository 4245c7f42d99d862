"""What the plan decides is compared with it: sizes, names, firmware, cards, disks."""

import pytest

from provisioner.guest.xml import check, render
from tests.builders.domain import WEB
from tests.builders.domain_xml import DISK, NIC, complaints_of, line_of, put

CHANGED = {
    # in vmnet's own XML: what is written instead, and what is said of it
    "type": ('type="kvm" xmlns', 'type="qemu" xmlns', 'domain@type is "qemu", the plan says "kvm"'),
    "name": ("<name>lab-web", "<name>lab-db", 'name is "lab-db", the plan says "lab-web"'),
    "blanks": ("<name>lab-web", "<name> lab-web", 'name is " lab-web", the plan says "lab-web"'),
    "name twice": ("<name>", "<name>x</name><name>", "name stands here for the second time"),
    "comment in name": (
        "<name>lab-",
        "<name>lab-<!-- -->",
        "the text of name is cut by a comment, a CDATA section or an element",
    ),
    "uuid": ("5f3c1c1e", "00000000", "uuid is"),
    "memory": (">512<", ">51200<", 'memory is "51200", the plan says 512 MiB'),
    "memory's unit": ('unit="MiB"', 'unit="GiB"', 'memory is "512", the plan says 512 MiB'),
    "memory in words": (">512<", ">5e2<", 'memory is "5e2", the plan says 512 MiB'),
    "other digits": (">512<", ">٥١٢<", 'memory is "٥١٢"'),
    "dump": ('dumpCore="off"', 'dumpCore="on"', 'memory@dumpCore is "on"'),
    "less memory": (
        "  <vcpu ",
        "<currentMemory>1</currentMemory><vcpu ",
        'currentMemory is "1", the plan says 512 MiB',
    ),
    "cpus": ('<vcpu current="2">2', "<vcpu>64", 'vcpu is "64", the plan says "2"'),
    "cpus that run": ('<vcpu current="2"', '<vcpu current="1"', 'vcpu@current is "1"'),
    "room for cpus": ('<vcpu current="2">2', '<vcpu current="2">64', 'vcpu is "64"'),
    "kernel": ("/vmlinux", "/other", "os/kernel is"),
    "initrd": ("/initrd<", "/other<", "os/initrd is"),
    "cmdline": ("quiet vmnet", "vmnet", "os/cmdline is"),
    "emulator": ("/usr/bin/qemu-system", "/opt/qemu-system", "devices/emulator is"),
    "log": ("console/web.log", "console/../../shadow", "devices/serial/log@file is"),
    "mark": ("&#34;plan&#34;", "&#34;plam&#34;", "metadata/vmnet:domain is"),
    "two marks": (
        "  </metadata>",
        '<m:domain xmlns:m="urn:vmnet:domain:1">x</m:domain></metadata>',
        "metadata/vmnet:domain is",
    ),
    "a mark before the mark": (
        "<metadata>",
        '<metadata><m:other xmlns:m="urn:vmnet:domain:1"/>',
        "metadata/vmnet:other is not on the list",
    ),
    "loader": (
        "    <kernel>",
        '<loader type="rom">/etc/shadow</loader><kernel>',
        'os/loader is "/etc/shadow", which the plan has not',
    ),
    "nvram": (
        "    <kernel>",
        '<nvram template="/etc/shadow">/x</nvram><kernel>',
        'os/nvram is "/x", which the plan has not',
    ),
    "fw_cfg file": (
        "  <os>",
        '<sysinfo type="fwcfg"><entry name="opt/x" file="/etc/shadow"/></sysinfo><os>',
        'sysinfo/entry@file is "/etc/shadow", which the plan has not',
    ),
    "fw_cfg's own names": (
        "  <os>",
        '<sysinfo type="fwcfg"><entry name="etc/x">x</entry></sysinfo><os>',
        'sysinfo/entry@name is "etc/x"',
    ),
    "firmware": ("<os>", '<os firmware="efi">', "os@firmware has libvirt choose the firmware"),
    "acpi table": (
        "<kernel>",
        '<acpi><table type="slic">/x</table></acpi><kernel>',
        "os/acpi is not",
    ),
    "machine": ('machine="q35"', 'machine="/x"', 'os/type@machine is "/x"'),
    "crash": ("<on_crash>destroy", "<on_crash>coredump-destroy", 'on_crash is "coredump-destroy"'),
    "seclabel": ("  <os>", '<seclabel type="none"/><os>', "seclabel changes what confines"),
    "launch security": ("  <os>", '<launchSecurity type="sev"/><os>', "launchSecurity is not"),
    "memory file": (
        "  <os>",
        '<memoryBacking><source type="file"/></memoryBacking><os>',
        'memoryBacking/source@type is "file"',
    ),
    "locked": (
        "  <os>",
        "<memoryBacking><locked/></memoryBacking><os>",
        "memoryBacking/locked takes",
    ),
    "numa": (
        'mode="host-passthrough"/>',
        'mode="host-passthrough"><numa><cell cpus="0" memory="1"/></numa></cpu>',
        "cpu/numa is not",
    ),
    "resource": ("  <os>", "<resource><partition>/x</partition></resource><os>", "resource is not"),
    "bootloader": ("  <os>", "<bootloader>/bin/sh</bootloader><os>", "bootloader is not"),
    "real time": (
        "  <os>",
        '<cputune><vcpusched vcpus="0" scheduler="fifo" priority="1"/></cputune><os>',
        "cputune/vcpusched is not",
    ),
    "text in between": ("  <os>", "hello<os>", 'the text "hello" stands in domain, which has none'),
    "capability": (
        "cpu-unavailable-features",
        "netdev.vhost",
        'qemu:capabilities/qemu:del@capability is "netdev.vhost"',
    ),
    "no capability": ("<qemu:del", "<qemu:add", "qemu:capabilities/qemu:add is not"),
    "no agent": (
        "org.qemu.guest_agent.0",
        "org.qemu.guest_agent.1",
        "devices/channel to the guest agent",
    ),
    "second serial": (
        "  </devices>",
        '<serial type="pty"/></devices>',
        "devices/serial stands here for the second",
    ),
    "serial to a file": (
        '<serial type="pty"',
        '<serial type="file"',
        'devices/serial@type is "file"',
    ),
    "serial's source": (
        '<log file="/var',
        '<source path="/etc/x"/><log file="/var',
        "devices/serial/source is not",
    ),
}


# What is missing altogether is told where it should stand, and stray text where its element begins.
ELSEWHERE = {"no agent": line_of("  <devices>"), "text in between": 1}


@pytest.mark.parametrize("case", CHANGED)
def test_what_the_plan_decides_and_what_reaches_out_is_told_at_its_line(case: str) -> None:
    old, new, said = CHANGED[case]
    lines = complaints_of(put(old, new))
    places = [int(line.split()[0]) for line in lines if line.partition(" ")[2].startswith(said)]
    assert places
    line = put(old, "\0").partition("\0")[0].count("\n") + 1
    assert set(places) == {ELSEWHERE.get(case, line)}


CARDS = {
    "direct": ('type="ethernet"', 'type="direct"', 'devices/interface@type is "direct"'),
    "bridge": ('type="ethernet"', 'type="bridge"', 'devices/interface@type is "bridge"'),
    "user": ('type="ethernet"', 'type="user"', 'devices/interface@type is "user"'),
    "managed": ('managed="no"', 'managed="yes"', 'devices/interface/target@managed is "yes"'),
    "managed by default": (' managed="no"', "", 'devices/interface: its target managed is ""'),
    "device of kernel's naming": (
        "mvt9ec10a7b78",
        "mv%d",
        'devices/interface is a NIC on "mv%d", which the plan has not',
    ),
    "device of a path": ("mvt9ec10a7b78", "../x", 'devices/interface is a NIC on "../x"'),
    "device of 20 letters": (
        "mvt9ec10a7b78",
        "a" * 20,
        'devices/interface is a NIC on "aaa',
    ),
    "device of another": (
        "mvt9ec10a7b78",
        "mvtdeb06583bd",
        'devices/interface is a NIC on "mvtdeb06583bd" for the second time',
    ),
    "mac": ("02:9e:c1", "02:9e:c2", "devices/interface: its mac address is"),
    "model": (
        '<model type="virtio"/>',
        '<model type="e1000"/>',
        'devices/interface/model@type is "e1000"',
    ),
    "no model": ('<model type="virtio"/>', "", 'devices/interface: its model type is ""'),
    "vhost": (
        'name="qemu"/>\n      <rom',
        'name="vhost"/>\n      <rom',
        "devices/interface: its driver name",
    ),
    "queues": (
        'name="qemu"/>\n      <rom',
        'name="qemu" queues="8"/>\n      <rom',
        "devices/interface: its driver queues",
    ),
    "mtu": ("<rom", '<mtu size="9000"/><rom', "devices/interface: its mtu size is"),
    "rom": (
        '<rom enabled="no"/>',
        '<rom file="/etc/shadow"/>',
        "devices/interface/rom@file is not",
    ),
    "rx filters": (
        'type="ethernet"',
        'type="ethernet" trustGuestRxFilters="yes"',
        'devices/interface@trustGuestRxFilters is "yes": it lets the guest change its MAC',
    ),
    "filterref": (
        "<rom",
        '<filterref filter="clean-traffic"/><rom',
        "devices/interface/filterref does nothing",
    ),
    "script": (
        "<rom",
        '<script path="/bin/sh"/><rom',
        "devices/interface/script is a program that",
    ),
    "backend": ("<rom", '<backend tap="/dev/x"/><rom', "devices/interface/backend is not"),
    "bandwidth": ("<rom", "<bandwidth/><rom", "devices/interface/bandwidth is for devices"),
    "source twice": (
        "<mac",
        '<mac address="02:00:00:00:00:01"/><mac',
        "devices/interface/mac stands here for",
    ),
    "one less": (NIC, "", 'devices/interface is missing: a NIC on "mvt9ec10a7b78"'),
    "one more": (
        NIC,
        NIC + NIC.replace("mvt9ec10a7b78", "eth0"),
        'devices/interface is a NIC on "eth0", which the plan has not',
    ),
}


@pytest.mark.parametrize("case", CARDS)
def test_the_network_cards_are_the_plan_s(case: str) -> None:
    old, new, said = CARDS[case]
    lines = complaints_of(put(old, new))
    assert [line for line in lines if line.partition(" ")[2].startswith(said)]


SEED = "/var/lib/vmnet/lab/seed/web-0123456789ab.iso"
DISKS = {
    "another file": (SEED, "/etc/shadow", 'devices/disk is a disk on "/etc/shadow"'),
    "a device": (
        '<disk type="file"',
        '<disk type="block"',
        'devices/disk: its source type is "block"',
    ),
    "network": ('<disk type="file"', '<disk type="network"', 'devices/disk@type is "network"'),
    "volume": ('<disk type="file"', '<disk type="volume"', 'devices/disk@type is "volume"'),
    "folder": ('<disk type="file"', '<disk type="dir"', 'devices/disk@type is "dir"'),
    "lun": ('device="disk"', 'device="lun"', 'devices/disk@device is "lun"'),
    "no format": (' type="raw"/>\n', "/>\n", 'devices/disk: its driver type is ""'),
    "other format": ('type="raw"', 'type="qcow2"', "devices/disk: its driver type is"),
    "format that nobody checks": (
        'type="raw"',
        'type="vmdk"',
        'devices/disk/driver@type is "vmdk"',
    ),
    "writable": ("<readonly/>", "", 'devices/disk: its readonly is "no", the plan says "yes"'),
    "shared": ("<readonly/>", "<readonly/><shareable/>", "devices/disk/shareable is not"),
    "backing store": (
        "<readonly/>",
        '<backingStore type="file"><format type="raw"/><source file="/etc/shadow"/></backingStore>',
        'devices/disk: its backingStore is "raw /etc/shadow", the plan says ""',
    ),
    "source's host": (
        f'<source file="{SEED}"/>',
        f'<source file="{SEED}"><host name="x"/></source>',
        "devices/disk/source/host is not",
    ),
    "second source": (
        f'<source file="{SEED}"/>',
        f'<source file="{SEED}"/><source file="/etc/shadow"/>',
        "devices/disk/source stands here for the second time",
    ),
    "source in disguise": (
        f'<source file="{SEED}"/>',
        f'<source file="{SEED}" x:file="/etc/shadow" xmlns:x="x"/>',
        "devices/disk/source@{x}file is not",
    ),
    "element in disguise": (
        f'<source file="{SEED}"/>',
        f'<source file="{SEED}"/><x:source file="/etc/shadow" xmlns:x="x"/>',
        "devices/disk/{x}source is not",
    ),
    "bus": ('bus="virtio"', 'bus="sata"', "devices/disk: its target bus is"),
    "one less": (DISK, "", f'devices/disk is missing: a disk on "{SEED}"'),
    "one more": (DISK, DISK + DISK.replace(SEED, "/x"), 'devices/disk is a disk on "/x", which'),
    "twice": (DISK, DISK + DISK, f'devices/disk is a disk on "{SEED}" for the second time'),
}


@pytest.mark.parametrize("case", DISKS)
def test_the_disks_are_the_plan_s(case: str) -> None:
    old, new, said = DISKS[case]
    lines = complaints_of(put(old, new))
    assert [line for line in lines if line.partition(" ")[2].startswith(said)]


@pytest.mark.parametrize(
    ("write", "complaint"),
    [
        ('<vcpu current="1">2<', ""),  # what vmnet's own template writes for an emulated guest
        ("<vcpu>1<", ""),
        ('<vcpu current="1">1<', ""),
        ('<vcpu current="2">2<', 'vcpu@current is "2", the plan says "1"'),
        ("<vcpu>2<", 'vcpu is "2", the plan says "1"'),
        ('<vcpu current="1">3<', 'vcpu is "3", the plan says "1"'),
    ],
)
def test_an_emulated_machine_may_have_room_for_a_second_vcpu(write: str, complaint: str) -> None:
    xml = render.domain_xml(WEB).replace('<vcpu current="1">2<', write)
    found = [error.what for error in check.complaints(xml, WEB, ())]
    assert found == [complaint] if complaint else not found
