"""A plan from libvirt's XML: what a plan can say is in it, all else is told, nothing is run."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner.inventory import adopted, adopted_plan
from provisioner.inventory.adopted import AdoptedNic, AdoptedVm
from provisioner.network.facts import Link
from provisioner.plan.choices import Mode
from provisioner.plan.load import loader
from provisioner.plan.model import Plan
from provisioner.text import hides

UPLINK = Link("eno1", 2, "", "02:00:00:00:00:01", 1500, ethernet=True, up=True, carrier=True)
MACVTAP = replace(UPLINK, name="mv0", index=9, kind="macvtap", lower=2, mode="private")
LINKS = {
    "eno1": UPLINK,
    "mv0": MACVTAP,
    "mv1": replace(MACVTAP, name="mv1", index=10, mode="source", sources=("02:00:00:00:00:09",)),
    "tap0": replace(UPLINK, name="tap0", index=11, kind="tun"),
}
DIRECT = """
<interface type='direct'>
  <mac address='52:54:00:00:00:01'/>
  <source dev='eno1' mode='bridge'/>
  <target dev='macvtap7'/>
  <model type='virtio'/>
  <driver name='vhost' queues='2'/>
  <mtu size='1400'/>
</interface>"""
ETHERNET = """
<interface type='ethernet'>
  <mac address='52:54:00:00:00:02'/>
  <target dev='mv0' managed='no'/>
  <model type='virtio'/>
  <link state='down'/>
</interface>"""


def xml(*devices: str, name: str = "web", more: str = "") -> str:
    return f"""<domain type='kvm' id='3'>
  <name>{name}</name>
  <uuid>6c1f5bf8-8d2f-4b0e-a1a6-6b1bd7c0a001</uuid>
  <memory unit='KiB'>2097152</memory>
  <vcpu placement='static' current='2'>4</vcpu>
  <os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type>{more}</os>
  <devices>
    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2' cache='none'/>
      <source file='/srv/vm/web.qcow2' index='2'/>
      <target dev='vda' bus='virtio'/>
    </disk>
    {"".join(devices)}
  </devices>
</domain>"""


def plan_of(*vms: AdoptedVm, name: str = "adopted") -> tuple[str, Plan]:
    text = adopted_plan.plan_text(name, vms)
    return text, loader.load(text, "x").plan


def test_a_domain_on_macvtaps_becomes_a_plan() -> None:
    vm = adopted.read("web", xml(DIRECT, ETHERNET), LINKS)
    text, plan = plan_of(vm)
    assert (
        text
        == """\
name: "adopted"
# written by vmnet adopt; the domains have not been touched
# addresses are not in libvirt: write subnet: and address: where they are static
# image: file: is copied by vmnet up: shut the domain down first
# vmnet up needs these files to be allowed:
#   --allow-file /srv/vm/web.qcow2
networks:
  eno1-bridge: {uplink: "eno1", mode: bridge, addressing: dhcp, spoof_guard: off}
  eno1-private: {uplink: "eno1", mode: private, addressing: dhcp, spoof_guard: off}
vms:
  web:
    image: "file:/srv/vm/web.qcow2"
    boot: bios
    memory: 2048M
    cpus: 2
    ready: started
    nics:
      - {network: eno1-bridge, mac: "52:54:00:00:00:01", mtu: 1400, queues: 2, vhost: "on"}
      - {network: eno1-private, mac: "52:54:00:00:00:02", link: down}
"""
    )
    assert [nic.network for nic in plan.vms[0].nics] == ["eno1-bridge", "eno1-private"]


EXTRA = """
<disk type='block' device='disk'><driver type='raw'/><source dev='/dev/vg/data'/>
  <target dev='vdb'/><readonly/></disk>
<disk type='file' device='disk'><driver type='raw'/><source file='/srv/b.img'/>
  <target dev='vdc'/></disk>
<disk type='file' device='cdrom'><source file='/srv/x.iso'/><target dev='sda'/></disk>
<disk type='file' device='disk'><source file='/srv/y'/><target dev='vdd'/></disk>
<disk type='network' device='disk'><driver type='raw'/><target dev='vde'/></disk>
<interface type='network'><mac address='52:54:00:00:00:03'/></interface>
<interface type='ethernet'><mac address='52:54:00:00:00:04'/><target dev='tap0'/></interface>
<interface type='direct'><mac address='52:54:00:00:00:05'/><target dev='mv1'/>
  <source dev='eno1' mode='vepa'/><model type='e1000'/><bandwidth/></interface>
<hostdev mode='subsystem' type='pci'/><hostdev mode='subsystem' type='usb'/>
<graphics type='spice'/><tpm model='tpm-crb'/>
"""


def test_what_a_plan_cannot_say_is_told() -> None:
    vm = adopted.read("web", xml(DIRECT, EXTRA), LINKS)
    text, plan = plan_of(vm)
    assert vm.notes == (
        "its NIC 52:54:00:00:00:03 of type network, which is on no macvtap of this host",
        "its NIC 52:54:00:00:00:04 of type ethernet, which is on no macvtap of this host",
        "what <bandwidth> says of its NIC 52:54:00:00:00:05",
        "the model e1000 of its NIC 52:54:00:00:00:05: it becomes virtio",
        "its disk sda: a cdrom",
        "its disk vdd: its format is not said, and never guessed",
        "its disk vde: of type network",
        "its graphics of type spice",
        "its hostdev (2 of them)",
        "its tpm",
    )
    assert all(f"  # not in the plan: {note}\n" in text for note in vm.notes)
    assert [(d.path, d.device, d.readonly) for d in plan.vms[0].disks] == [
        (None, "/dev/vg/data", True),
        ("/srv/b.img", None, False),
    ]
    # The kernel says in which mode a device is, not libvirt.
    assert plan.network("eno1-source").mode is Mode.SOURCE
    assert plan.vms[0].nics[1].allow == ("02:00:00:00:00:09",)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (xml(), "it has no NIC on a macvtap"),
        (xml(DIRECT).replace("x86_64", "aarch64"), "vmnet's guests are x86_64 machines"),
        ("<!DOCTYPE x [<!ENTITY a 'b'>]><domain/>", "its XML is not read: "),
        (xml(DIRECT, name="a\u202eb"), "its XML is not read: the invisible character"),
        (
            xml(DIRECT).replace(
                "<devices>",
                "<metadata><v:domain xmlns:v='urn:vmnet:domain:1'/></metadata><devices>",
            ),
            "a plan of vmnet's has it already",
        ),
    ],
)
def test_a_domain_that_cannot_be_adopted_is_left_out_with_why(text: str, why: str) -> None:
    vm = adopted.read("web", text, LINKS)
    assert vm.refusal.startswith(why)
    written = adopted_plan.plan_text("adopted", [vm])
    assert f"# left out: the domain web: {why}" in written
    assert "vms:" not in written


def test_uefi_a_kernel_and_passthru_are_taken_over() -> None:
    uefi = adopted.read("a", xml(DIRECT, more="<loader type='pflash'>/x.fd</loader>"), LINKS)
    kernel = '<kernel>/srv/k</kernel><initrd>/srv/i</initrd><cmdline>quiet "x"</cmdline>'
    passthru = DIRECT.replace("eno1", "eno2").replace("mode='bridge'", "mode='passthrough'")
    direct = adopted.read("b", xml(passthru, more=kernel), LINKS)
    _, plan = plan_of(uefi, direct)
    assert plan.vm("a").boot == "uefi"
    assert (plan.vm("b").kernel, plan.vm("b").cmdline) == ("/srv/k", 'quiet "x"')
    assert plan.vm("b").nics[0].mac is None
    assert plan.network("eno2-passthru").mode is Mode.PASSTHRU
    assert [disk.path for disk in plan.vm("b").disks] == ["/srv/vm/web.qcow2"]


def test_vms_that_a_plan_refuses_are_left_out_alone() -> None:
    good = adopted.read("web", xml(DIRECT), LINKS)
    tiny = replace(good, domain="tiny", memory_mib=8)
    diskless = replace(good, domain="diskless", disks=())
    text, plan = plan_of(good, tiny, diskless)
    assert [vm.name for vm in plan.vms] == ["web"]
    assert '# left out: the domain tiny: "8M" is too little memory\n' in text
    assert "# left out: the domain diskless: image: none leaves nothing to boot\n" in text


NICS = (AdoptedNic("eno1", Mode.BRIDGE, "52:54:00:00:00:01"),)


@given(st.lists(st.text(), min_size=1, max_size=4), st.text(), st.lists(st.text(), max_size=2))
def test_whatever_domains_are_called_the_plan_is_one(
    names: list[str], path: str, notes: list[str]
) -> None:
    disk = adopted.AdoptedDisk(f"/srv/{path}", "raw")
    vms = [
        AdoptedVm(name, (replace(NICS[0], mac=f"52:54:00:00:00:0{at}"),), 512, disks=(disk,))
        for at, name in enumerate(names)
    ]
    noted = [replace(vm, notes=tuple(notes)) for vm in vms]
    text = adopted_plan.plan_text("adopted", noted)
    assert not any(hides(character) for character in text.replace("\n", ""))
    if "vms:\n" in text:
        assert loader.load(text, "x").plan.name == "adopted"
