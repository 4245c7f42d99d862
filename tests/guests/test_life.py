"""Guests shut down, stopped, started: what they have written and their devices stay."""

import json
import re
import sys
from pathlib import Path

from provisioner.guest.domain import Overlay
from provisioner.host.storage.disks import DiskDriver
from provisioner.host.system import paths, plan_folders
from tests.framework.cycles import cycles
from tests.framework.lab import Lab
from tests.framework.plan import brought_up
from tests.framework.wire import cabled_nic

PLAN = """\
networks: {lan: {switch: true, subnet: 10.77.0.0/24}}
defaults: {keep: true}
vms:
  a: {disks: [8M], nics: [lan]}
  b: {disks: [8M], nics: [lan]}
checks: []
"""
OWN = """\
networks: {{own: {{uplink: {}, mode: passthru, subnet: 10.77.0.0/24}}}}
vms: {{a: {{nics: [own]}}}}
checks: []
"""
DEAF = ": > /sbin/shutdown; : > /etc/acpi/PWRF/00000080"
"""Takes from a micro guest what its agent calls to shut down, and what its power button does."""


def test_down_lets_guests_with_disks_shut_down_and_waits_for_none_for_ever(lab: Lab) -> None:
    plan = brought_up(lab, PLAN)
    plan.inside("a", "echo written > /dev/vda")  # and not synced
    plan.inside("b", f"echo synced > /dev/vda; sync; {DEAF}")
    said = lab.vmnet("down", plan.path, "--grace", "6").stderr
    assert "warning: b has not shut down within 6 s, and was ended" in said
    assert "warning: a has" not in said
    assert said.index(f"delete domain {lab.name}-a") < said.index(f"delete domain {lab.name}-b")
    plan.up()
    for vm, text in (("a", "written"), ("b", "synced")):
        assert plan.inside(vm, "head -n 1 /dev/vda") == f"{text}\n"


def guards(lab: Lab) -> str:
    """Return the rules at macvtaps, without what they have counted."""
    return re.sub(r"packets \d+ bytes \d+", "", lab.run("nft", "list", "ruleset"))


def links(lab: Lab) -> dict[str, tuple[int, str]]:
    """Return the macvtaps: name to ifindex and MAC."""
    found = json.loads(lab.ip("-json", "link", "show", "type", "macvtap"))
    return {link["ifname"]: (link["ifindex"], link["address"]) for link in found}


def got_in(lab: Lab, mac: str) -> int:
    """Send 50 IPv4 packets to a MAC from the switch; return how many more the host has got."""
    far = next(name for name in re.findall(r"\d+: (mvh\w+)", lab.ip("link", "show")))
    before = received(lab)
    lab.run(sys.executable, "-c", SENDER, far, mac)
    return received(lab) - before


def received(lab: Lab) -> int:
    titles, numbers = (line.split() for line in snmp(lab) if line.startswith("Ip:"))
    return int(numbers[titles.index("InReceives")])


def snmp(lab: Lab) -> list[str]:
    return lab.run("cat", "/proc/net/snmp").splitlines()


SENDER = """
import socket, sys
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.bind((sys.argv[1], 0))
to = bytes.fromhex(sys.argv[2].replace(":", ""))
header = "45000014000000004011000" + "00a4d00070a4d0001"
for _ in range(50):
    s.send(to + b"\\x02\\0\\0\\0\\0\\x07" + b"\\x08\\0" + bytes.fromhex(header) + bytes(26))
"""


def test_a_stopped_guest_has_all_that_it_had_when_it_is_started_again(lab: Lab) -> None:
    plan = brought_up(lab, PLAN.replace("checks: []", "checks: [a -> b, b -> a]"))
    plan.inside("a", "echo written > /dev/vda")  # and not synced
    disk = (plan.home / "disk/a.1.qcow2").stat().st_ino
    devices, rules, other = links(lab), guards(lab), plan.qemus[f"{lab.name}-b"]
    stopped = plan.run("stop", "a", "--json").report
    assert stopped["done"] == [f"stop domain {lab.name}-a: vmnet stop"]
    assert {vm["name"]: vm["state"] for vm in stopped["vms"]} == {"a": "stopped", "b": "running"}
    assert (links(lab), guards(lab), lab.qemus()) == (devices, rules, {f"{lab.name}-b": other})
    assert plan.run("stop", "a", "--json").report["done"] == []
    status = lab.vmnet("status", plan.path, "--json").report
    assert [vm["state"] for vm in status["vms"]] == ["stopped", "running"]
    assert (plan.home / "console/a.log").stat().st_size
    refused = lab.vmnet("check", plan.path, status=5).stderr
    assert "vmnet start a" in refused
    for words in (("ssh", "a"), ("cp", "--way", "ssh", "a:/etc/inittab", "/dev/null")):
        refused = plan.run(*words, status=4).stderr
        assert refused == 'VM "a" is not up\n  fix: bring the plan up: vmnet up\n'

    tap = plan.tap("a")
    assert got_in(lab, devices[tap][1]) < 25
    lab.ip("link", "set", tap, "up")
    assert got_in(lab, devices[tap][1]) >= 50  # were it not down
    assert "macvtap" in plan.run("stop", "a").stderr  # a stop that was killed is finished
    assert got_in(lab, devices[tap][1]) < 25

    paused = plan.run("pause", "b", "--json").report
    assert {vm["name"]: vm["state"] for vm in paused["vms"]} == {"a": "stopped", "b": "paused"}
    assert plan.run("pause", "--json").report["done"] == []
    plan.run("resume")

    started = plan.run("start", "a", "--json").report
    assert {vm["name"]: vm["state"] for vm in started["vms"]} == {"a": "running", "b": "running"}
    assert len(started["results"]) == 2
    assert (links(lab), guards(lab)) == (devices, rules)
    assert lab.qemus()[f"{lab.name}-b"] == other
    assert plan.inside("a", "head -n 1 /dev/vda") == "written\n"
    assert (plan.home / "disk/a.1.qcow2").stat().st_ino == disk

    again = plan.run("restart", "b", "--json").report
    assert again["done"][0] == f"stop domain {lab.name}-b: vmnet restart"
    assert links(lab) == devices
    assert lab.qemus()[f"{lab.name}-b"] != other
    plan.run("stop", "a", "--now")
    gone = lab.vmnet("down", plan.path, "--json").report
    assert [vm["state"] for vm in gone["vms"]] == ["not there", "not there"]


def test_a_disk_with_a_guests_data_is_never_made_anew_unasked(lab: Lab, tmp_path: Path) -> None:
    path = lab.plan(PLAN)
    home = paths.home(path.stem)
    plan_folders.make(home, path.stem)
    image = tmp_path / "image"
    image.write_bytes(bytes(1 << 20))
    disk = Overlay(f"{home}/disk/a.1.qcow2", 8 << 20, str(image), "raw", image="debian-12")
    DiskDriver().create(disk)
    assert "create disk a.1.qcow2" in lab.vmnet("plan", path).stdout
    lab.run("qemu-io", "-f", "qcow2", "-c", "write 0 4k", disk.path)
    for words in (("plan", path), ("up", path, "--recreate")):
        refused = lab.vmnet(*words, status=3).stderr
        assert "disk a.1.qcow2 would have to be made anew (it lies over another image" in refused
        assert "vmnet down a --disks" in refused
    assert lab.vmnet("down", path, "--disks", status=2).stderr.count("a.1.qcow2") == 2
    lab.vmnet("down", path, "b", "--disks", "--yes")
    assert Path(disk.path).exists()
    lab.vmnet("down", path, "a", "--disks", "--yes")
    assert not home.exists()


TWO = """\
networks:
  lan: {switch: {nat: true, dhcp: true}, subnet: 10.77.0.0/24}
  dmz: {switch: true, subnet: 10.78.0.0/24}
vms:
  a: {nics: [lan]}
  b: {nics: [dmz]}
  c: {nics: [dmz, lan]}
checks: []
"""


def test_some_vms_come_and_go_with_what_they_need_and_the_others_are_not_touched(lab: Lab) -> None:
    path = lab.plan(TWO)
    lab.vmnet("up", path, "--only", "b", "--json")
    only = links(lab)
    assert (len(only), set(lab.qemus())) == (1, {f"{lab.name}-b"})
    assert f"{lab.name}_lan" not in lab.run("nft", "list", "tables")
    pid = lab.qemus()[f"{lab.name}-b"]
    assert lab.vmnet("start", "-f", path, "a", "--json").report["vms"][0]["state"] == "running"
    assert len(links(lab)) == 2
    down = lab.vmnet("down", path, "a", "--json").report
    assert (links(lab), lab.qemus()) == (only, {f"{lab.name}-b": pid})
    assert down["to_do"] == []
    assert not list(Path("/var/lib/vmnet", path.stem, "console").glob("*a.log*"))
    refused = lab.vmnet("up", path, "--only", "x", status=2).stderr
    assert "its VMs: a, b, c" in refused
    lab.vmnet("down", path, "b")
    assert not Path("/var/lib/vmnet", path.stem).exists()


def test_a_plan_that_comes_and_goes_leaves_its_counter_and_nothing_else(lab: Lab) -> None:
    cycles(lab, 2)


def test_a_nic_of_a_passthru_guest_is_as_it_was_while_that_is_stopped(lab: Lab) -> None:
    with cabled_nic(lab) as nic:

        def shown() -> str:
            return " ".join(lab.ip("-d", "-o", "link", "show", nic.name).split())

        before = shown()
        plan = brought_up(lab, OWN.format(nic.name))
        assert "promiscuity 1 allmulti 1" in shown()
        for verb, state in (("stop", before), ("start", shown()), ("stop", before)):
            plan.run(verb, "a")
            assert shown() == state
        lab.vmnet("down", plan.path)
        assert shown() == before
