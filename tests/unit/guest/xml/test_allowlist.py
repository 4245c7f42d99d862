"""What a template may add, what it may not, and what the plan lets through."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provisioner.errors import Exit
from provisioner.guest.domain import Domain, DomainDisk, DomainNic
from provisioner.guest.xml import allowlist, check, render
from provisioner.guest.xml.allowlist import REASONS
from provisioner.text import hides
from tests.builders.domain import SEEDED_KVM
from tests.builders.domain_xml import XML, complaints_of, in_devices, line_of, put

SHOWN = st.characters(exclude_categories=("Cc", "Cf", "Cs", "Cn", "Zl", "Zp"))
TEXT = st.text(SHOWN.filter(lambda c: not hides(c)), max_size=12)
NAMED = TEXT.filter(lambda text: text.strip() != "")
NICS = st.builds(
    DomainNic,
    link=NAMED,
    mac=NAMED,
    mtu=st.integers(68, 65535),
    queues=st.integers(1, 256),
    vhost=st.booleans(),
    granted=st.booleans(),
)
DISKS = st.builds(
    DomainDisk,
    path=NAMED,
    format=st.sampled_from(["qcow2", "raw"]),
    backing=st.just("") | NAMED,
    backing_format=st.sampled_from(["qcow2", "raw"]),
    cache=st.sampled_from(["", "none", "writeback", "unsafe"]),
    discard=st.booleans(),
    readonly=st.booleans(),
)
DOMAINS = st.builds(
    Domain,
    name=NAMED,
    uuid=NAMED,
    plan=TEXT,
    vm=TEXT,
    memory_mib=st.integers(1, 1 << 24),
    cpus=st.integers(1, 4096),
    accel=st.sampled_from(["kvm", "tcg"]),
    kernel=NAMED,
    initrd=TEXT,
    cmdline=TEXT,
    console=NAMED,
    nics=st.lists(NICS, max_size=3, unique_by=lambda nic: nic.link).map(tuple),
    network=TEXT,
    user=TEXT,
    seed=st.none() | NAMED,
    disks=st.lists(DISKS, max_size=3, unique_by=lambda disk: disk.path).map(tuple),
    machine=st.sampled_from(["q35", "pc"]),
    cpu_model=st.sampled_from(["", "host", "max", "qemu64"]),
    graphics=st.sampled_from(["none", "vnc"]),
    ignition=st.just("") | NAMED,
)


@settings(deadline=None)
@given(DOMAINS)
def test_what_vmnet_s_own_template_gives_is_never_refused(domain: Domain) -> None:
    assert check.complaints(render.domain_xml(domain), domain, ()) == []


@settings(deadline=None)
@given(DOMAINS, DOMAINS)
def test_the_xml_of_one_domain_is_never_taken_for_another(one: Domain, other: Domain) -> None:
    assert (check.complaints(render.domain_xml(one), other, ()) == []) == (one == other)


HARMLESS = {
    "watchdog": in_devices('<watchdog model="itco" action="reset"/>'),
    "rng": in_devices('<rng model="virtio"><backend model="random">/dev/urandom</backend></rng>'),
    "screen": in_devices('<graphics type="vnc" port="-1" autoport="yes" listen="127.0.0.1"/>'),
    "screen's listen": in_devices(
        '<graphics type="vnc"><listen type="address" address="127.0.0.1"/></graphics>'
    ),
    "keyboard and video": in_devices(
        '<input type="keyboard" bus="virtio"/><video><model type="virtio"/></video>'
    ),
    "title and description": put(
        "  <uuid>", "  <title>Web</title><description>é / ü\n</description><uuid>"
    ),
    "another tool's notes": put(
        "  </metadata>",
        '<o:os xmlns:o="http://libosinfo.org/x"><o:any at="/etc"/></o:os></metadata>',
    ),
    "memory in KiB": put('"MiB" dumpCore="off">512<', '"KiB" dumpCore="off">524288<'),
    "pinning": put("  <os>", '<cputune><vcpupin vcpu="0" cpuset="0-1"/></cputune><os>'),
    "an XML declaration": '<?xml version="1.0" encoding="utf-8"?>\n' + XML,
    "a comment": in_devices("<!-- for the sake of it -->"),
    "disk tuned": put('type="raw"/>', 'type="raw" cache="none" discard="unmap" io="native"/>'),
    "a place on the bus": put(
        '<rom enabled="no"/>',
        '<rom enabled="no"/><address type="pci" bus="0x01" slot="0x00" function="0x0"/>',
    ),
    "hyperv": put("<acpi/>", '<acpi/><hyperv mode="custom"><relaxed state="on"/></hyperv>'),
    "single quotes": XML.replace('"', "'").replace("&#34;", "&quot;"),
    "backing store's end": put("<readonly/>", "<readonly/><backingStore/>"),
}


@pytest.mark.parametrize("case", HARMLESS)
def test_a_template_may_add_what_concerns_the_guest_alone(case: str) -> None:
    assert complaints_of(HARMLESS[case]) == []


REFUSED = {
    # element or attribute, what is written, which path is named
    "hostdev": ('<hostdev mode="subsystem" type="pci"/>', "devices/hostdev"),
    "filesystem": ('<filesystem><source dir="/"/></filesystem>', "devices/filesystem"),
    "redirdev": ('<redirdev bus="usb" type="tcp"/>', "devices/redirdev"),
    "smartcard": ('<smartcard mode="host"/>', "devices/smartcard"),
    "shmem": ('<shmem name="x"/>', "devices/shmem"),
    "tpm": ('<tpm model="tpm-crb"/>', "devices/tpm"),
    "vsock": ('<vsock model="virtio"/>', "devices/vsock"),
    "lease": ("<lease/>", "devices/lease"),
    "parallel": (
        '<parallel type="file"><source path="/etc/shadow"/></parallel>',
        "devices/parallel",
    ),
    "memory device": ('<memory model="nvdimm"/>', "devices/memory"),
    "sound": ('<sound model="ich9"/>', "devices/sound"),
    "audio": ('<audio id="1" type="file" path="/etc/x"/>', "devices/audio"),
    "hub": ('<hub type="usb"/>', "devices/hub"),
    "spice": ('<graphics type="spice" listen="127.0.0.1"/>', "devices/graphics@type"),
    "open screen": ('<graphics type="vnc" listen="0.0.0.0"/>', "devices/graphics@listen"),
    "open screen by v6": ('<graphics type="vnc" listen="::"/>', "devices/graphics@listen"),
    "open websocket": (
        '<graphics type="vnc" listen="127.0.0.1" websocket="5700"/>',
        "devices/graphics@websocket",
    ),
    "screen on a socket": (
        '<graphics type="vnc" listen="127.0.0.1" socket="/run/x"/>',
        "devices/graphics@socket",
    ),
    "evdev": (
        '<input type="evdev"><source dev="/dev/input/event0"/></input>',
        "devices/input@type",
    ),
    "rng from a file": (
        '<rng model="virtio"><backend model="random">/etc/shadow</backend></rng>',
        "devices/rng/backend",
    ),
    "rng from the net": (
        '<rng model="virtio"><backend model="egd" type="udp"/></rng>',
        "devices/rng/backend@model",
    ),
    "watchdog that dumps": ('<watchdog model="itco" action="dump"/>', "devices/watchdog@action"),
    "channel on a path": (
        '<channel type="unix"><source path="/run/x"/><target type="virtio" name="x"/></channel>',
        "devices/channel/source",
    ),
    "channel over tcp": (
        '<channel type="tcp"><target type="virtio" name="x"/></channel>',
        "devices/channel@type",
    ),
    "rendernode": (
        '<video><model type="virtio"/><driver name="vhostuser"/></video>',
        "devices/video/driver@name",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_device_that_reaches_beyond_the_guest_is_refused_by_name(case: str) -> None:
    element, path = REFUSED[case]
    lines = complaints_of(in_devices(element))
    assert lines
    assert lines[0].startswith(f"{line_of('  </devices>')} {path} ")


def test_what_the_plan_lets_through_is_let_through_and_nothing_else() -> None:
    xml = in_devices('<hostdev mode="subsystem"><source><address bus="0x06"/></source></hostdev>')
    xml = xml.replace(
        "</domain>", "<qemu:commandline><qemu:arg value='-S'/></qemu:commandline></domain>"
    )
    line = line_of("<hostdev", xml)
    last = xml.count("\n")
    hostdev = f"{line} devices/hostdev hands a device of this host to the guest"
    qemu = f"{last} qemu:commandline gives QEMU options that libvirt does not look at"
    assert complaints_of(xml) == [hostdev, qemu]
    assert complaints_of(xml, "devices/hostdev") == [qemu]
    assert complaints_of(xml, "devices/hostdev", "qemu:commandline") == []
    assert complaints_of(xml, "commandline", "devices", "hostdev", "devices/*", "*", "") == [
        hostdev,
        qemu,
    ]


def test_an_attribute_is_let_through_by_its_name_and_never_with_a_value_that_the_list_forbids() -> (
    None
):
    xml = in_devices('<watchdog model="itco" action="dump" later="x"/>')
    unknown, dump = complaints_of(xml)[1], complaints_of(xml)[0]
    said = "which is not on the list of what a template may say there"
    assert dump.endswith(f'devices/watchdog@action is "dump", {said}')
    assert unknown.endswith(
        "devices/watchdog@later is not on the list of what a template may contain"
    )
    assert complaints_of(xml, "devices/watchdog@later", "devices/watchdog@action") == [dump]


def test_a_complaint_tells_the_word_that_would_let_it_through() -> None:
    (found,) = check.complaints(in_devices("<tpm/>"), SEEDED_KVM, ())
    assert found.fix == "take it out, or let it through in the plan: allow_xml: [devices/tpm]"
    (found,) = check.complaints(in_devices('<graphics type="vnc"/>'), SEEDED_KVM, ())
    assert found.fix == 'write listen="127.0.0.1"'
    found = check.complaints(put("<rom", '<filterref filter="x"/><rom'), SEEDED_KVM, ())[0]
    assert "spoof_guard: strict" in str(found.fix)


def test_a_file_of_a_thousand_faults_is_told_in_twenty_lines() -> None:
    assert len(complaints_of(in_devices("<tpm/>" * 1000))) == 20


@pytest.mark.parametrize(
    ("word", "fault"),
    [
        *(
            ("domain", "not an element"),
            ("DOCTYPE", "not an element"),
            ("devices/*", "not an element"),
        ),
        *(
            ("", "not an element"),
            ("a b", "not an element"),
            ("qemu:", "not an element"),
            ("\x1b[2J", "not an element"),
        ),
        *(("devices", "let through already"), ("devices/disk", "let through already")),
        *(("metadata", "let through already"), ("devices/disk@type", "let through already")),
        *(("name", "let through already"), ("features/kvm/hidden", "let through already")),
    ],
)
def test_a_word_that_can_let_nothing_through_is_told(word: str, fault: str) -> None:
    (found,) = check.unusable([word])
    assert fault in found.what
    assert found.what.isprintable()
    assert found.status is Exit.BAD_INPUT


def test_words_that_can_be_used_are_not_complained_about() -> None:
    words = ["qemu:commandline", "devices/hostdev", "seclabel", "devices/disk@sgio", "cpu/numa"]
    assert check.unusable(words) == []


def test_a_reason_is_given_for_nothing_that_is_let_through() -> None:
    for path in REASONS:
        element, _, attribute = path.partition("@")
        rule = allowlist.rule(element)
        assert rule is None or attribute
        if attribute in getattr(rule, "attributes", {}):
            assert rule
            assert not rule.attributes[attribute].fullmatch("anything")


def test_what_may_name_a_file_is_compared_with_the_plan() -> None:
    free = {}
    for path in allowlist.paths():
        rule = allowlist.rule(path)
        assert rule
        texts = {"": rule.text} if rule.text else {}
        for name, pattern in {**rule.attributes, **texts}.items():
            if pattern.fullmatch("/etc/shadow"):
                free[f"{path}@{name}".rstrip("@")] = pattern.pattern
    texts_for_people = {
        *("title", "description", "sysinfo/bios/entry", "sysinfo/system/entry", "sysinfo/entry"),
        *("sysinfo/baseBoard/entry", "sysinfo/chassis/entry", "sysinfo/oemStrings/entry"),
    }
    compared = {
        *("name", "uuid", "metadata/vmnet:domain", "os/loader", "os/nvram", "os/nvram@template"),
        *("os/kernel", "os/initrd", "os/cmdline", "sysinfo/entry@file", "devices/emulator"),
        *("devices/disk/source@file", "devices/disk/backingStore/source@file"),
        *("devices/interface/mac@address", "devices/interface/target@dev"),
        "devices/serial/log@file",
    }
    assert set(free) == texts_for_people | compared


def test_what_libvirt_s_schema_calls_an_element_is_what_the_list_calls_it() -> None:
    schema = "".join(
        (Path("/usr/share/libvirt/schemas") / name).read_text()
        for name in (
            "domaincommon.rng",
            "basictypes.rng",
            "storagecommon.rng",
            "cputypes.rng",
            "domainoverrides.rng",
        )
    )
    known = set(allowlist.paths())
    names = {step for path in known for step in path.split("/")} - {"", "*", "vmnet:domain"}
    missing = {name for name in names if f'name="{name.removeprefix("qemu:")}"' not in schema}
    assert missing == set()
