"""A real distribution: Debian of this host's release on macvtaps in four modes, by BIOS and UEFI.

Four guests on two cores of an emulated CPU take their time: they are started once for all tests.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from provisioner.host.image.debian import recipe
from tests.framework.lab import REPOSITORY, Lab, until
from tests.framework.terminal import joined

NAME = recipe.own_name()
BOOT_S = 600
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
  one: {{switch: true, mode: passthru, subnet: [10.81.0.0/24, "fd81::/64"]}}
vms:
  p: {{nics: [{{network: lab, mode: private}}]}}
  v:
    boot: uefi
    disk: 3G
    disks: [64M]
    files: [{{path: /etc/told, content: "by the plan\\n", mode: "0640"}}]
    run: ["cp /etc/told /root/ran"]
    nics: [{{network: lab, mode: vepa, address: ["{four}/24", "{six}/64"]}}]
  b: {{nics: [{{network: lab, mode: bridge}}]}}
  t: {{nics: [one]}}
"""
ALL = ("p", "v", "b", "t")


@dataclass(frozen=True, slots=True)
class Here:
    """The plan that is up, and what `vmnet up` reported of it."""

    lab: Lab
    plan: Path
    key: Path
    report: Any

    def inside(self, vm: str, script: str) -> str:
        """Run a shell script inside a guest, through its agent."""
        words = ("exec", "-f", self.plan, vm, "--", "sh", "-c", script)
        return self.lab.vmnet(*words).stdout

    def addresses(self, vm: str) -> set[str]:
        """Give the addresses that a guest's card has, link-local ones left out."""
        found = json.loads(self.inside(vm, "ip -json addr show scope global"))
        every = (a for link in found for a in link.get("addr_info", ()))
        return {str(a["local"]) for a in every if "local" in a}


def image(*words: str) -> str:
    argv = [sys.executable, "-m", "provisioner", "image", *words]
    ran = subprocess.run(
        argv, cwd=REPOSITORY, check=True, capture_output=True, text=True, timeout=600
    )
    return ran.stdout


@pytest.fixture(scope="module")
def debian() -> Iterator[None]:
    """Debian in the image store, which is left as it was."""
    before = f"{NAME}  " in image("ls") and "built here" in image("ls", "--json")
    image("build", "debian")
    yield
    if not before:
        image("rm", NAME)


@pytest.fixture(scope="module")
def here(shared_lab: Lab, debian: None) -> Iterator[Here]:
    del debian
    key = shared_lab.directory / "id"
    words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "me@home", "-f", str(key)]
    subprocess.run(words, check=True)
    public = key.with_suffix(".pub").read_text().strip()
    text = PLAN.format(image=NAME, key=public, four=STATIC[0], six=STATIC[1])
    with shared_lab.settled():
        plan = shared_lab.plan(text)
        up = ("up", plan, "--json", "--timeout", str(BOOT_S))
        report = shared_lab.vmnet(*up, within_s=BOOT_S + 60).report
        yield Here(shared_lab, plan, key, report)
        shared_lab.vmnet("down", plan)


def test_who_reaches_whom_is_as_the_modes_promise(here: Here) -> None:
    seen = {(r["from"], r["to"]): r["observed"] for r in here.report["results"]}
    assert seen["v", "b"] == seen["b", "v"] == "reaches"  # behind a switch that reflects
    assert seen["p", "v"] == seen["p", "b"] == "no answer"
    assert all(seen["host", vm] == seen[vm, "host"] == "reaches" for vm in ALL)


def test_each_guest_has_the_addresses_of_its_lease_or_of_the_plan(here: Here) -> None:
    for vm in ("p", "b"):
        found = here.addresses(vm)
        assert [a for a in found if a.startswith("10.80.0.")]
        assert [a for a in found if a.startswith("fd80:")]
    assert {*STATIC} <= here.addresses("v")
    planned = {x["name"]: {a.partition("/")[0] for a in x["addresses"]} for x in here.report["vms"]}
    assert planned["t"]
    assert planned["t"] <= here.addresses("t")


def test_cloud_init_has_ended_well_and_done_all_that_the_plan_says(here: Here) -> None:
    for vm in ALL:
        assert here.inside(vm, "hostname").strip() == vm
    assert "status: done" in here.inside("v", "cloud-init status")
    assert here.inside("v", "cat /etc/told /root/ran; stat -c %a /etc/told").split("\n") == [
        "by the plan",
        "by the plan",
        "640",
        "",
    ]


def test_one_was_booted_by_uefi_and_the_others_by_bios(here: Here) -> None:
    has_efi = {
        vm: here.inside(vm, "test -d /sys/firmware/efi && echo yes || echo no") for vm in ALL
    }
    assert has_efi == {"v": "yes\n", "p": "no\n", "b": "no\n", "t": "no\n"}


def test_the_disk_has_grown_and_there_is_one_more(here: Here) -> None:
    kib = int(here.inside("v", "df --output=size -k / | tail -n 1"))
    assert kib > 2_500_000
    assert here.inside("v", "cat /sys/block/vda/size /sys/block/vdb/size").split() == [
        str(3 << 21),
        str(64 << 11),
    ]


def test_every_guest_is_logged_in_to_and_known_by_its_own_key(here: Here) -> None:
    for vm in ALL:
        words = ("ssh", "-f", here.plan, "-i", here.key, vm, "--", "sh", "-c", "hostname; id -un")
        assert here.lab.vmnet(*words).stdout == f"{vm}\ndebian\n"


def test_files_are_copied_there_and_back(here: Here, tmp_path: Path) -> None:
    (tmp_path / "there").write_bytes(bytes(range(256)) * 4096)
    here.lab.vmnet("cp", "-f", here.plan, "-i", here.key, tmp_path / "there", "b:/tmp/file")
    here.lab.vmnet("cp", "-f", here.plan, "-i", here.key, "b:/tmp/file", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == (tmp_path / "there").read_bytes()


@pytest.mark.parametrize("vm", ALL)
def test_the_console_asks_who_wants_to_log_in(here: Here, vm: str) -> None:
    with joined(here.lab, here.plan, vm) as console:
        until(console.is_raw, "the terminal is raw")
        console.types(b"\r")
        console.sees(b"login:")
        console.types(b"\x1d")


def test_guests_tell_what_they_are(here: Here) -> None:
    said = here.lab.vmnet("status", here.plan, "--wide", "--json").report
    assert {vm["name"]: vm["guest"]["os"] for vm in said["vms"]} == dict.fromkeys(
        ALL, f"Debian GNU/Linux {NAME[-2:]} ({recipe.suites()[NAME]})"
    )


def test_a_second_up_changes_nothing(here: Here) -> None:
    pids = here.lab.qemus()
    assert here.lab.vmnet("up", here.plan, "--json").report["done"] == []
    assert here.lab.qemus() == pids


def test_the_image_is_in_use_and_stays(here: Here) -> None:
    del here
    argv = [sys.executable, "-m", "provisioner", "image", "rm", NAME]
    ran = subprocess.run(argv, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert ran.returncode == 3
    assert f"the image {NAME} is in use" in ran.stderr
