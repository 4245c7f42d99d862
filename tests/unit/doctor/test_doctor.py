"""vmnet doctor judges what was found on a host: all of it values, nothing asked here."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from provisioner import naming
from provisioner.doctor import ci, findings, host, kernel, network
from provisioner.doctor.findings import Item, Severity
from provisioner.doctor.host import FreeSpace, Libvirt
from provisioner.doctor.kernel import NEEDS, Kernel, Kvm, Nodes
from provisioner.doctor.network import UNMANAGED, Others, SysfsNic
from provisioner.errors import Exit
from provisioner.network.facts import Facts, Firewall, Link
from tests.builders.addresses import route

ALL = {need.name: True for need in NEEDS}
KERNEL = Kernel("6.12.5", answers=ALL, vhost=True)
NIC = Link("eno1", 2, "", "52:54:00:00:00:01", 1500, ethernet=True, up=True, carrier=True)


def _one(items: list[Item], word: str) -> Item:
    fitting = [i for i in items if i.what.startswith(word)]
    (found,) = fitting or [i for i in items if word in i.what]
    return found


def _kernel(**changed: object) -> list[Item]:
    return list(kernel.kernel(replace(KERNEL, **changed)))  # type: ignore[arg-type]


def test_a_kernel_that_has_everything_is_found_good() -> None:
    assert {i.state for i in _kernel()} == {Severity.GOOD}


@pytest.mark.parametrize("need", NEEDS, ids=lambda need: need.name)
def test_a_missing_driver_is_told_with_who_goes_without_and_how_to_load_it(
    need: kernel.Need,
) -> None:
    found = _one(_kernel(answers=ALL | {need.name: False}, loadable={need.module}), need.name + ":")
    assert need.without in found.what
    assert found.fix == f"modprobe {need.module}"
    assert (found.state is Severity.BAD) == (need.name in {"macvlan", "macvtap"})


def test_in_a_container_the_module_is_to_be_loaded_on_its_host() -> None:
    found = _one(_kernel(answers=ALL | {"macvtap": False}, container="docker"), "macvtap:")
    assert found.fix.startswith("on the host of this container: modprobe macvtap")


def test_a_driver_that_was_never_built_is_not_to_be_loaded() -> None:
    found = _one(
        _kernel(answers=ALL | {"vlan": False}, options={"VLAN_8021Q": "n"}, container="docker"),
        "vlan:",
    )
    assert "built without CONFIG_VLAN_8021Q" in found.fix
    assert "modprobe" not in found.fix


def test_a_kernel_that_answers_root_only_is_unknown_not_bad() -> None:
    found = _one(_kernel(answers=dict.fromkeys(ALL)), "root only")
    assert found.state is Severity.UNKNOWN
    assert findings.status(_kernel(answers=dict.fromkeys(ALL))) is Exit.DONE


def test_missing_filters_say_which_keys_of_a_plan_do_nothing() -> None:
    assert "spoof_guard" in _one(_kernel(no_guard="too old"), "too old").what
    assert "nat: true" in _one(_kernel(no_nat="no module"), "no module").what
    assert _one(_kernel(no_loss="no numgen"), "no numgen").state is Severity.NOTE


@pytest.mark.parametrize(
    ("release", "version", "suspected"),
    [
        ("6.1.101", "", True),
        ("6.1.102", "", False),
        ("6.8.0-45-generic", "", True),
        ("6.11.0", "", False),
        ("6.1.0-28-amd64", "#1 SMP Debian 6.1.119-1 (2024-11-22)", False),
        ("6.1.0-20-amd64", "#1 SMP Debian 6.1.85-1 (2024-04-11)", True),
        ("not a version", "", True),
    ],
)
def test_vhost_net_is_suspected_where_a_guest_may_crash_its_host(
    release: str, version: str, *, suspected: bool
) -> None:
    found = _one(_kernel(release=release, version=version), "vhost-net")
    assert ("CVE-2024-41090" in found.what) == suspected


def test_kvm_is_judged_by_a_boot_not_by_its_device() -> None:
    assert kernel.kvm(Kvm(exists=True)).state is Severity.GOOD
    hanging = kernel.kvm(Kvm(exists=True, trouble="a kernel booted under it hangs"))
    assert hanging.state is Severity.NOTE
    assert "hangs" in hanging.what
    assert "accel: tcg" in hanging.fix
    closed = kernel.kvm(Kvm(exists=True, trouble="Permission denied"))
    assert "udev rule" in closed.fix
    assert kernel.kvm(Kvm(exists=True, untested="no image")).state is Severity.UNKNOWN
    assert "firmware" in kernel.kvm(Kvm(exists=False)).fix
    assert "--device /dev/kvm" in kernel.kvm(Kvm(exists=False), "docker").fix


def test_a_container_that_may_not_open_taps_gets_the_flags_it_wants() -> None:
    items = list(kernel.nodes(Nodes(246, open="the container's rules forbid it"), "docker"))
    bad = _one(items, "forbid")
    assert bad.state is Severity.BAD
    assert "--device-cgroup-rule 'c 246:* rwm'" in bad.fix
    assert "--cap-add MKNOD" in bad.fix
    assert findings.status(items) is Exit.HOST_CANNOT


def test_without_devtmpfs_nodes_that_can_be_made_will_do() -> None:
    (found,) = kernel.nodes(Nodes(246, devtmpfs=False))
    assert found.state is Severity.GOOD
    (cannot,) = kernel.nodes(Nodes(246, devtmpfs=False, mknod="cannot be made"))
    assert cannot.state is Severity.BAD


def test_what_could_not_be_tried_is_not_called_good() -> None:
    (number,) = kernel.nodes(Nodes(0))
    (closed,) = kernel.nodes(Nodes(246, mknod="cannot be made"))
    assert (number.state, closed.state) == (Severity.UNKNOWN, Severity.UNKNOWN)


def test_missing_capabilities_name_what_each_is_for() -> None:
    found = host.rights([("CAP_NET_ADMIN", "to make macvtap devices")], "joe")
    assert found.state is Severity.BAD
    assert "as joe" in found.what
    assert "to make macvtap devices" in found.what


def test_libvirt_that_cannot_be_opened_says_what_it_said() -> None:
    missing = host.libvirt(Libvirt(trouble="no module"))
    closed = host.libvirt(Libvirt(9_000_000, "qemu:///embed (none)", trouble="no driver"))
    good = host.libvirt(Libvirt(11_002_003, "qemu:///system (it answers)", "QEMU 9.0.0"))
    assert (missing.state, closed.state, good.state) == (Severity.BAD, Severity.BAD, Severity.GOOD)
    assert "libvirt 11.2.3" in good.what
    assert "no driver" in closed.what


@pytest.mark.parametrize(
    ("free", "inodes", "trouble", "state", "why"),
    [
        (500, 9, "", Severity.GOOD, "for disks"),
        (100, 9, "", Severity.GOOD, "for disks"),
        (99, 9, "", Severity.NOTE, "a few guests fill it"),
        (10, 9, "", Severity.NOTE, "a few guests fill it"),
        (9, 9, "", Severity.BAD, "that is too little"),
        (500, 0, "", Severity.BAD, "no inode is free there"),
        (500, -1, "", Severity.GOOD, "for disks"),
        (500, 9, "read-only", Severity.BAD, "read-only"),
    ],
)
def test_free_space_is_judged_by_bytes_and_by_inodes(
    free: int, inodes: int, trouble: str, state: Severity, why: str
) -> None:
    found = host.free_space(FreeSpace("/pool", "disks", free, inodes, 10, 100, trouble))
    assert found.state is state
    assert found.what.endswith(why)


@pytest.mark.parametrize(
    ("mib", "state"), [(256, Severity.GOOD), (255, Severity.NOTE), (0, Severity.NOTE)]
)
def test_memory_for_a_few_guests_is_enough(mib: int, state: Severity) -> None:
    assert host.memory(mib << 20).state is state


def test_a_driver_is_a_module_where_the_kernel_has_loaded_one() -> None:
    found = _kernel(loaded=frozenset({"veth", "8021q"}))
    assert _one(found, "veth").what == "veth: works (a module, loaded)"
    assert _one(found, "vlan").what == "vlan: works (a module, loaded)"
    assert _one(found, "macvtap").what == "macvtap: works (built in)"


@pytest.mark.parametrize(("mtu", "small"), [(1279, True), (1280, False)])
def test_an_mtu_below_that_of_ipv6_is_too_small(mtu: int, *, small: bool) -> None:
    whats = [item.what for item in _uplinks(replace(NIC, mtu=mtu))]
    assert ("too small for IPv6" in whats[-1]) == small


@pytest.mark.parametrize(("count", "shown"), [(3, "tap0, tap1, tap2"), (4, "tap0, tap1, tap2 …")])
def test_three_macvtaps_of_a_nic_are_named(count: int, shown: str) -> None:
    taps = [
        replace(NIC, name=f"tap{i}", index=9 + i, kind="macvtap", lower=2, alias="vmnet:x")
        for i in range(count)
    ]
    assert f"carries {shown})" in _one(_uplinks(NIC, *taps), "eno1").what


def _uplinks(*links: Link, wanted: str = "", **about: object) -> list[Item]:
    routes = about.pop("routes", ())
    facts = Facts(links=links, routes=routes)  # type: ignore[arg-type]
    cards = {"eno1": SysfsNic(str(about.pop("driver", "")), 1000)}
    dmi = about.pop("dmi", ())
    assert isinstance(dmi, tuple)
    return list(network.uplinks(facts, cards, dmi, wanted))


def test_a_card_is_told_with_speed_mtu_and_what_it_carries() -> None:
    tap = replace(NIC, name="macvtap0", index=9, kind="macvtap", lower=2)
    items = _uplinks(NIC, tap, routes=(route("default", "eno1"),), driver="igb")
    (found,) = items
    assert found.state is Severity.GOOD
    for word in ("igb", "1000 Mbit/s", "MTU 1500", "default route", "carries macvtap0"):
        assert word in found.what


@pytest.mark.parametrize("master", ["bond", "team", "openvswitch", "bridge"])
def test_a_port_of_something_says_what_to_use_in_its_place(master: str) -> None:
    above = replace(NIC, name="up0", index=5, kind=master, mac="52:54:00:00:00:02")
    found = _one(_uplinks(replace(NIC, master=5), above), '"eno1" is a port')
    assert found.state is Severity.LACKS
    assert "up0" in found.fix or "ovs-vsctl" in found.fix


def test_wifi_down_and_dead_cards_are_told_and_one_that_must_do_is_bad() -> None:
    wifi = replace(NIC, wireless=True)
    assert _one(_uplinks(wifi), "Wi-Fi").state is Severity.LACKS
    assert _one(_uplinks(wifi, wanted="eno1"), "Wi-Fi").state is Severity.BAD
    assert "ip link set dev eno1 up" in _one(_uplinks(replace(NIC, up=False)), "is down").fix
    assert _one(_uplinks(replace(NIC, carrier=False)), "no carrier").state is Severity.NOTE
    assert _one(_uplinks(replace(NIC, mtu=1200)), "too small for IPv6").fix
    assert _one(_uplinks(NIC, wanted="eth7"), 'no NIC "eth7"').state is Severity.BAD
    assert _one(_uplinks(), "no NIC that guests").fix


@pytest.mark.parametrize(
    ("driver", "dmi", "name"),
    [
        ("ena", ("Amazon EC2", "c5.large"), "Amazon EC2"),
        ("ena", (), "Amazon EC2"),
        ("gve", ("Google",), "Google Cloud"),
        ("virtio_net", ("Google", "Google Compute Engine"), "Google Cloud"),
        ("hv_netvsc", ("Microsoft Corporation", "7783-7084-3265-9085-8269-3286-77"), "Azure"),
        ("hv_netvsc", ("Microsoft Corporation", "Virtual Machine"), "Hyper-V"),
        ("vmxnet3", ("VMware, Inc.",), "VMware"),
        ("e1000", ("innotek GmbH", "VirtualBox"), "VirtualBox"),
        ("virtio_net", ("DigitalOcean", "Droplet"), "DigitalOcean"),
        ("virtio_net", ("Hetzner", "vServer"), "Hetzner Cloud"),
        ("virtio_net", ("OpenStack Foundation", "OpenStack Nova"), "OpenStack"),
        ("virtio_net", ("QEMU", "Standard PC"), "KVM"),
        ("virtio_net", (), "KVM"),
    ],
)
def test_a_cloud_is_known_by_its_words_or_its_driver(
    driver: str, dmi: tuple[str, ...], name: str
) -> None:
    found = _one(_uplinks(NIC, driver=driver, dmi=dmi), "is a NIC of")
    assert f"a NIC of {name}," in found.what
    assert "vmnet doctor --uplink eno1" in found.fix


def test_real_hardware_is_no_cloud() -> None:
    assert network.platform("igb", ("Dell Inc.", "PowerEdge R640")) is None
    assert len(_uplinks(NIC, driver="", dmi=("Google",))) == 1  # a bridge has no driver


def test_an_outer_firewall_is_named_with_its_mend() -> None:
    facts = Facts(firewall=Firewall(drops=("ip filter FORWARD",)))
    items = list(network.firewall(facts, bridge_filter=True))
    assert "DOCKER-USER" in _one(items, "ip filter FORWARD drops").fix
    assert "bridge-nf-call-iptables=0" in _one(items, "br_netfilter").fix
    assert not list(network.firewall(Facts(), bridge_filter=True))


def test_leftovers_are_told_apart_by_their_marks_and_their_holders() -> None:
    tap = replace(NIC, name="macvtap0", index=9, kind="macvtap", lower=2)
    ours = replace(tap, name="mvt1", alias="vmnet:lab/web/0")
    lent = replace(tap, name="mvn0", alias="vmnet-net:eno1/1000/")
    items = list(network.leftovers(Facts(links=(NIC, tap, ours, lent)), set()))
    assert _one(items, "macvtap0 on eno1").fix == "ip link del dev macvtap0"
    assert "vmnet down --name lab" in _one(items, "plan lab has 1").fix
    assert len(items) == 2
    assert not list(network.leftovers(Facts(links=(NIC, tap, ours)), {"macvtap0", "mvt1"}))


@pytest.mark.parametrize(
    ("match", "taken"),
    [
        ({"Name": "*"}, True),
        ({"Name": "en* mv*"}, True),
        ({"Name": "!lo"}, True),
        ({"Name": "en*"}, False),
        ({"Type": "ether"}, True),
        ({"Type": "ether", "Kind": "!*"}, False),
        ({"Type": "bridge"}, True),
        ({"Type": "bridge", "Name": "mvt*"}, False),
        ({"Type": "wlan"}, False),
        ({"Kind": "macvtap"}, True),
        ({"MACAddress": "52:54:00:00:00:01"}, False),
        ({"Name": "*", "Driver": "igb"}, False),
        ({"Name": "mv*", UNMANAGED: "yes"}, False),
    ],
)
def test_networkd_is_told_of_when_one_of_its_files_takes_our_links(
    match: dict[str, str], *, taken: bool
) -> None:
    running = Others(frozenset({"systemd-network"}), {"/etc/systemd/network/x.network": match})
    items = list(network.managers(running))
    assert bool(items) == taken
    if taken:
        assert "Unmanaged=yes" in items[0].fix
    assert not list(network.managers(replace(running, running=frozenset())))


@pytest.mark.parametrize(("prefix", "kind"), naming.KINDS.items())
def test_networkd_takes_each_kind_of_our_links_by_its_name_or_its_kind(
    prefix: str, kind: str
) -> None:
    def findings_with(match: dict[str, str], *before: dict[str, str]) -> int:
        files = {f"/x/{at}.network": each for at, each in enumerate((*before, match))}
        return len(list(network.managers(Others(frozenset({"systemd-network"}), files))))

    assert findings_with({"Name": f"{prefix}*"}) == findings_with({"Kind": kind}) == 1
    assert findings_with({"Name": f"{prefix}*", "Kind": kind}) == 1
    assert findings_with({"Name": f"{prefix}*", "Kind": f"!{kind}"}) == 0
    assert findings_with({"Name": f"{prefix}*"}, {"Name": f"{prefix}0*", UNMANAGED: "yes"}) == 0


@pytest.mark.parametrize("left_out", naming.KINDS)
def test_a_manager_leaves_our_links_alone_once_every_kind_of_them_is_named(left_out: str) -> None:
    some = ";".join(f"interface-name:{x}*" for x in naming.KINDS if x != left_out)
    running = frozenset({"NetworkManager"})
    assert list(network.managers(Others(running, unmanaged=some)))
    every = f"{some};interface-name:{left_out}*"
    assert not list(network.managers(Others(running, unmanaged=every)))


def test_the_page_about_the_doctor_lists_every_kind_of_our_links() -> None:
    page = (Path(__file__).parents[3] / "docs" / "reference" / "doctor.md").read_text()
    rows = re.findall(r"^\| ((?:`mv\w`(?:, )?)+) \| (\w+) \|", page, re.MULTILINE)
    listed = {prefix: kind for cell, kind in rows for prefix in re.findall(r"mv\w", cell)}
    assert listed == naming.KINDS


def test_the_first_file_that_matches_decides_for_networkd() -> None:
    files = {"/a/00.network": {"Name": "mv*", UNMANAGED: "yes"}, "/a/99.network": {"Name": "*"}}
    assert not list(network.managers(Others(frozenset({"systemd-network"}), files)))


def test_other_managers_are_quiet_once_they_leave_our_links_alone() -> None:
    both = frozenset({"NetworkManager", "dhcpcd", "connmand"})
    items = list(network.managers(Others(both)))
    assert "unmanaged-devices=interface-name:mv*" in _one(items, "NetworkManager").fix
    assert "denyinterfaces mv*" in _one(items, "dhcpcd").fix
    told = Others(both, unmanaged="mac:00:11;interface-name:mv*", dhcpcd="mv* docker0")
    assert [i.what.split()[0] for i in network.managers(told)] == ["ConnMan"]


def test_findings_are_shown_by_area_and_hostile_names_steer_nothing() -> None:
    items = [
        Item("kernel", "fine"),
        Item("others", "\x1b[31mred\n::error::x", Severity.LACKS, "do \x9bthis"),
        Item("kernel", "none", Severity.BAD, "boot another"),
    ]
    text = "\n".join(findings.lines(items))
    assert not {"\x1b", "\x9b"} & set(text)
    assert not any(line.startswith("::") for line in text.splitlines())
    assert text.index("none") < text.index("red")
    summary = "doctor: 3 checks, 1 lacking, 1 broken; no plan can be brought up"
    assert text.endswith(f"\n{summary}")
    assert findings.summary(items[:1]) == ("doctor: 1 check; nothing keeps vmnet up from working")
    notes = [Item("kernel", "slow", Severity.NOTE)] * 2
    assert findings.summary(notes[:1]).startswith("doctor: 1 check, 1 note; ")
    assert findings.summary(notes).startswith("doctor: 2 checks, 2 notes; ")
    told = json.loads(findings.as_json(items))
    assert told["status"] == 4
    assert [f["state"] for f in told["findings"]] == ["ok", "lacking", "broken"]
    assert told["findings"][0]["fix"] is None


def test_the_lines_for_ci_name_this_hosts_device_number_and_are_yaml() -> None:
    import yaml

    text = ci.text(246)
    assert 'device_cgroup_rules = ["c 246:* rwm"]' in text
    assert 'KERNEL=="kvm"' in text
    github = text[text.index("jobs:") : text.index("# .gitlab-ci.yml")]
    gitlab = text[text.index("vms:\n  image") : text.index("# /etc/gitlab-runner")]
    assert yaml.safe_load(github)["jobs"]["vms"]["steps"][-1]["if"] == "always()"
    assert yaml.safe_load(gitlab)["vms"]["artifacts"]["reports"] == {"junit": "vms.xml"}
    assert "c MAJOR:* rwm" in ci.text(0)


def test_programs_that_only_some_plans_need_are_told_with_their_packages() -> None:
    every = {"qemu-img", "ssh-keygen", "openssl", "gpgv", "mmdebstrap"}
    (fine,) = host.tools(every.__contains__, uefi=True)
    assert fine.state is findings.Severity.GOOD
    few = list(host.tools((every - {"qemu-img", "gpgv"}).__contains__, uefi=False))
    assert [(item.what, str(item.state), item.fix) for item in few] == [
        (
            "qemu-img, which makes guests' disks, is missing",
            "lacking",
            "apt-get install qemu-utils",
        ),
        (
            "gpgv, which verifies the vendors' lists of digests, is missing",
            "note",
            "apt-get install gpgv",
        ),
        ("OVMF is missing: no `boot: uefi`", "lacking", "apt-get install ovmf"),
    ]
