"""What keeps a plan from several hosts: files of this one alone, and what hosts have already."""

import pytest

from provisioner.errors import VmnetError
from provisioner.fabric.facts import UplinkTap
from provisioner.network.addressing import assign
from provisioner.plan.load.loader import load
from provisioner.preflight.several_hosts import taken_by_hosts, unshared_files
from tests.builders.fabric import host, nic

PLAN = """\
name: lab
networks: {lan: {uplink: eno1, subnet: 10.0.0.0/24}, own: {switch: true, subnet: 10.7.0.0/24}}
hosts: {h1: {address: 10.0.0.11, uplinks: {}}, h2: {address: [10.0.0.12, 10.7.0.12], uplinks: {}}}
vms:
  a: {%s}
"""


def told(errors: list[VmnetError]) -> list[str]:
    return [f"{error.where}: {error.what}" for error in errors]


@pytest.mark.parametrize(
    ("keys", "name"),
    [
        ("nics: [lan], kernel: ./bzImage, image: none", "./bzImage"),
        ("nics: [lan], image: debian-12, cloud_init: user.yaml", "user.yaml"),
        ("nics: [lan], image: debian-12, files: [{path: /etc/x, source: x.txt}]", "x.txt"),
        ("nics: [lan], disks: [{path: d.qcow2, format: qcow2}]", "d.qcow2"),
        ("nics: [lan], image: 'file:disk.qcow2'", "file:disk.qcow2"),
    ],
)
def test_files_of_this_machine_are_refused_at_their_place(keys: str, name: str) -> None:
    loaded = load(PLAN % keys, "p")
    (line,) = told([*unshared_files(loaded.plan, loaded.places)])
    assert line.startswith("p:5:")
    assert f"VM a is made of the file {name}, which other hosts do not have" in line


def test_images_of_the_catalogue_and_devices_are_on_every_host() -> None:
    keys = "nics: [lan], image: debian-12, disks: [10G, {device: /dev/sdb}]"
    loaded = load(PLAN % keys, "p")
    assert [*unshared_files(loaded.plan, loaded.places)] == []


@pytest.mark.parametrize(
    ("keys", "what"),
    [
        ("nics: [{network: lan, mac: '02:00:00:00:00:01'}]",
         "NIC a.0 and eno1 of host h2 would both have the MAC 02:00:00:00:00:01"),
        ("nics: [{network: lan, address: 10.0.0.12}]",
         "NIC a.0 would have the address 10.0.0.12 of host h2"),
    ],
)  # fmt: skip
def test_a_mac_or_address_of_a_host_is_refused(keys: str, what: str) -> None:
    loaded = load(PLAN % keys, "p")
    facts = {"h1": host(4096, nic("eno9")), "h2": host()}
    if "mac" in keys:
        del facts["h1"]
    found = taken_by_hosts(loaded.plan, loaded.places, assign(loaded.plan), facts)
    assert [error.what for error in found] == [what]


def test_a_mac_that_a_guest_of_another_plan_has_on_a_host_is_refused() -> None:
    mac = "02:00:00:00:00:07"
    loaded = load(PLAN % f"nics: [{{network: lan, mac: '{mac}'}}]", "p")
    told_of = {}
    for plan, vm in (("other", "x"), ("", ""), ("lab", "a")):
        facts = {"h2": host(4096, nic("eno9", UplinkTap("mvt1", "bridge", plan, vm, mac)))}
        found = taken_by_hosts(loaded.plan, loaded.places, assign(loaded.plan), facts)
        told_of[plan] = [error.what for error in found]
    assert told_of == {
        "other": [f"NIC a.0 and VM x of plan other on host h2 would both have the MAC {mac}"],
        "": [f"NIC a.0 and mvt1 on host h2 would both have the MAC {mac}"],
        "lab": [],  # its own, which it keeps
    }


def test_addresses_on_a_switch_meet_no_host() -> None:
    loaded = load(PLAN % "nics: [{network: own, address: 10.7.0.12}]", "p")
    nics = assign(loaded.plan)
    assert [*taken_by_hosts(loaded.plan, loaded.places, nics, {"h2": host()})] == []
