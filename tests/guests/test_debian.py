"""A real distribution: Debian of this host's release, by BIOS, by UEFI and by its kernel alone.

A boot takes a minute of an emulated CPU: the guests are started once for all tests. A micro guest
beside them is enough for what Debian has no part in.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from provisioner.host.image import built
from provisioner.host.image.debian import recipe
from tests.framework.lab import REPOSITORY, Lab, call, until
from tests.framework.plan import PlanUp, SharedPlan
from tests.framework.terminal import joined

NAME = recipe.own_name()
CACHE = Path(os.environ.get("VMNET_CACHE_DIR", "/var/cache/vmnet"))
BOOT_S = 900  # beside other work: a boot of 594 s has been seen
STATIC = ("10.80.0.50", "fd80::50")
PLAN = """\
defaults:
  image: {image}
  memory: 320M
  ssh_keys: ["{key}"]
networks:
  lab:
    switch: {{hairpin: true, dhcp: true}}
    subnet: [10.80.0.0/24, "fd80::/64"]
    gateway: 10.80.0.1
  one: {{switch: true, mode: passthru, subnet: [10.81.0.0/24, "fd81::/64"]}}
vms:
  p: {{nics: [{{network: lab, mode: private, mtu: 1400}}]}}
  v:
    boot: uefi
    disk: 3G
    disks: [64M]
    files: [{{path: /etc/told, content: "by the plan\\n", mode: "0640"}}]
    run: ["cp /etc/told /root/ran"]
    nics: [{{network: lab, mode: vepa, address: ["{four}/24", "{six}/64"]}}]
  b:
    kernel: ./kernel
    initrd: ./initrd
    cmdline: "{cmdline} vmnet.told=by-the-host"
    nics: [{{network: lab, mode: bridge}}]
  t: {{image: micro, memory: 96M, nics: [one]}}
"""
DEBIANS = ("p", "v", "b")
ALL = (*DEBIANS, "t")
LINES = {
    "p": r"BOOT_IMAGE=/vmlinuz root=\S+ rw .* initrd=/initrd",
    "v": r".*root=\S+ .*",
    "b": r"root=\S+ rw .* vmnet.told=by-the-host",
}
# A kernel package of the same version again, as far as the boot loaders can tell.
NEW_KERNEL = "/etc/kernel/postinst.d/zz-vmnet-esp $(uname -r) && mount /boot/efi && ls /boot/efi"


def addresses(plan: PlanUp, vm: str) -> set[str]:
    """Return the addresses that a guest's NIC has, link-local ones left out."""
    found = json.loads(plan.inside(vm, "ip -json addr show scope global"))
    every = (a for link in found for a in link.get("addr_info", ()))
    return {str(a["local"]) for a in every if "local" in a}


@pytest.fixture(scope="module")
def plan_text(shared_lab: Lab) -> str:
    """Debian, started in three ways; its image stays in the store, for other tests, too."""
    argv = [sys.executable, "-m", "provisioner", "image", "build", "debian"]
    subprocess.run(argv, cwd=REPOSITORY, check=True, capture_output=True, timeout=600)
    image = built.find(CACHE, "debian", NAME)
    assert image
    # A plan names no file outside of its own folder.
    for name, file in (("kernel", image.kernel), ("initrd", image.initrd)):
        shutil.copy(file, shared_lab.directory / name)
    key = shared_lab.directory / "id"
    call("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "me@home", "-f", str(key))
    public = key.with_suffix(".pub").read_text().strip()
    four, six = STATIC
    return PLAN.format(image=NAME, key=public, four=four, six=six, cmdline=image.cmdline)


@pytest.fixture(scope="module")
def shared_plan(shared_lab: Lab, plan_text: str) -> Iterator[SharedPlan]:
    plan = SharedPlan(shared_lab, plan_text, timeout_s=BOOT_S)
    yield plan
    plan.end()


def key(plan: PlanUp) -> Path:
    """Return the key that opens the guests."""
    return plan.lab.directory / "id"


def test_who_reaches_whom_is_as_the_modes_promise(plan_up: PlanUp) -> None:
    seen = {(r["from"], r["to"]): r["observed"] for r in plan_up.report["results"]}
    assert seen["v", "b"] == seen["b", "v"] == "reaches"  # behind a switch that reflects
    assert seen["p", "v"] == seen["p", "b"] == "no answer"
    assert all(seen["host", vm] == seen[vm, "host"] == "reaches" for vm in ALL)


def test_each_guest_has_the_addresses_of_its_lease_or_of_the_plan(plan_up: PlanUp) -> None:
    for vm in ("p", "b"):
        found = addresses(plan_up, vm)
        assert [a for a in found if a.startswith("10.80.0.")]
        assert [a for a in found if a.startswith("fd80:")]
    assert {*STATIC} <= addresses(plan_up, "v")


def test_cloud_init_has_ended_well_and_done_all_that_the_plan_says(plan_up: PlanUp) -> None:
    for vm in DEBIANS:
        assert plan_up.inside(vm, "hostname").strip() == vm
    assert "status: done" in plan_up.inside("v", "cloud-init status")
    assert plan_up.inside("v", "cat /etc/told /root/ran; stat -c %a /etc/told").split("\n") == [
        "by the plan",
        "by the plan",
        "640",
        "",
    ]


def test_each_was_booted_as_the_plan_says(plan_up: PlanUp) -> None:
    asked = "test -d /sys/firmware/efi && echo uefi; cat /proc/cmdline"
    for vm in DEBIANS:
        *efi, line = plan_up.inside(vm, asked).strip().split("\n")
        assert re.fullmatch(LINES[vm], line)
        assert efi == (["uefi"] if vm == "v" else [])


def test_no_unit_has_failed_and_the_user_of_the_key_may_become_root(plan_up: PlanUp) -> None:
    asked = """
    cloud-init status; systemctl --failed --quiet
    sudo -n -u debian sudo -n id -un
    ls /etc/ssh | grep -c 'ssh_host_.*_key$'; ss -Hltn sport = :22 | grep -c LISTEN
    """
    for vm in DEBIANS:
        assert plan_up.inside(vm, asked) == "status: done\nroot\n1\n2\n"


def test_guests_have_the_mtu_and_the_gateway_of_the_plan(plan_up: PlanUp) -> None:
    asked = "cat /sys/class/net/e*/mtu; ip route show default | cut -d' ' -f1-3"
    for vm, mtu in (("p", 1400), ("v", 1500)):  # by DHCP, and by the seed
        assert plan_up.inside(vm, asked) == f"{mtu}\ndefault via 10.80.0.1\n"


def test_a_new_kernel_is_taken_by_the_boot_loaders(plan_up: PlanUp) -> None:
    made = plan_up.inside("p", NEW_KERNEL).split()
    files = ("initrd", "initrd.old", "loader", "syslinux", "vmlinuz", "vmlinuz.old")
    assert sorted(made) == ["EFI", *files]


def test_the_disk_has_grown_and_there_is_one_more(plan_up: PlanUp) -> None:
    kib = int(plan_up.inside("v", "df --output=size -k / | tail -n 1"))
    assert kib > 2_500_000
    assert plan_up.inside("v", "cat /sys/block/vda/size /sys/block/vdb/size").split() == [
        str(3 << 21),
        str(64 << 11),
    ]


def test_every_guest_is_logged_in_to_and_known_by_its_own_key(plan_up: PlanUp) -> None:
    for vm in DEBIANS:
        words = ("ssh", "-i", key(plan_up), vm, "--", "sh", "-c", "hostname; id -un")
        assert plan_up.run(*words).stdout == f"{vm}\ndebian\n"


def test_files_are_copied_there_and_back(plan_up: PlanUp, tmp_path: Path) -> None:
    (tmp_path / "there").write_bytes(bytes(range(256)) * 4096)
    plan_up.run("cp", "-i", key(plan_up), tmp_path / "there", "b:/tmp/file")
    plan_up.run("cp", "-i", key(plan_up), "b:/tmp/file", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == (tmp_path / "there").read_bytes()


@pytest.mark.parametrize("vm", DEBIANS)
def test_the_console_asks_who_wants_to_log_in(plan_up: PlanUp, vm: str) -> None:
    with joined(plan_up.lab, plan_up.path, vm) as console:
        until(console.is_raw, "the terminal is raw")
        console.types(b"\r")
        console.sees(b"login:")
        console.types(b"\x1d")


def test_guests_tell_what_they_are(plan_up: PlanUp) -> None:
    said = plan_up.lab.vmnet("status", plan_up.path, "--wide", "--json").report
    told = {vm["name"]: vm["guest"]["os"] for vm in said["vms"]}
    assert {vm: told[vm] for vm in DEBIANS} == dict.fromkeys(
        DEBIANS, f"Debian GNU/Linux {NAME[-2:]} ({recipe.suites()[NAME]})"
    )


def test_a_second_up_changes_nothing(plan_up: PlanUp) -> None:
    assert plan_up.up("--json").report["done"] == []
    assert plan_up.as_at_first


def test_the_image_is_in_use_and_stays(plan_up: PlanUp) -> None:
    del plan_up
    argv = [sys.executable, "-m", "provisioner", "image", "rm", NAME]
    ran = subprocess.run(argv, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert ran.returncode == 3
    assert f"the image {NAME} is in use" in ran.stderr
