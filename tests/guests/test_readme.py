"""The commands that README begins with, run as they stand there, with a guest that has Python."""

import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from provisioner.host.image.debian import recipe
from tests.framework.lab import REPOSITORY, Lab
from tests.framework.wire import CabledNic, cabled_nic

if TYPE_CHECKING:
    from tests.framework.running import Ran

NAME = recipe.own_name()
BOOT_S = 900  # as test_debian has it: beside other work
BLOCK = re.compile(r"^```sh\n(vmnet init\b.*?)^```$", re.MULTILINE | re.DOTALL)
REMARK = re.compile(r"\s+# .*")
STEPS = (
    "vmnet init",
    "vmnet validate",
    "vmnet up",
    "vmnet ssh vm1 -- uname -r",
    "vmnet check --junit report.xml",
    "vmnet export ansible > inventory.yaml",
    "ansible -i inventory.yaml all -m ping",
    "vmnet down",
)


@pytest.fixture
def nic(lab: Lab) -> Iterator[CabledNic]:
    """A NIC of a host with a fixed address, on a LAN with a gateway, before it has a plan."""
    argv = [sys.executable, "-m", "provisioner", "image", "build", "debian"]
    subprocess.run(argv, cwd=REPOSITORY, check=True, capture_output=True, timeout=600)
    with cabled_nic(lab, "10.92.0.1/24", host=("10.92.0.9/24",)) as made:
        lab.ip("route", "add", "default", "via", "10.92.0.1")
        yield made


def words_of(lab: Lab) -> str:
    """Return the PATH of a host on which vmnet and Ansible are installed."""
    programs = lab.directory / "bin"
    programs.mkdir()
    (programs / "vmnet").write_text(f'#!/bin/sh\nexec {sys.executable} -m provisioner "$@"\n')
    (programs / "vmnet").chmod(0o755)
    return f"{programs}:{Path(sys.executable).parent}:{lab.environment['PATH']}"


def test_readme_leads_from_nothing_to_a_guest_that_ansible_manages(
    lab: Lab, nic: CabledNic
) -> None:
    text = BLOCK.findall((REPOSITORY / "README.md").read_text(encoding="utf-8"))
    assert len(text) == 1
    lines = [REMARK.sub("", line) for line in text[0].splitlines()]
    assert tuple(lines) == STEPS
    lab.plans.add(lab.name)
    home = lab.directory / "home"
    home.mkdir()
    # Without a connection that Ansible keeps: its socket's path would be too long in a test's home,
    # and its process would stay for a minute.
    own = {"PATH": words_of(lab), "HOME": str(home), "ANSIBLE_SSH_ARGS": "-o ControlMaster=no"}
    env = lab.environment | own
    ran: dict[str, Ran] = {}
    with lab.settled():
        for line in lines:
            argv = [*lab.enter, "env", f"--chdir={lab.directory}", "sh", "-ec", line]
            ran[line] = lab.running(argv, env).finished(0, BOOT_S)
            if line == "vmnet init":
                prepared(lab, nic)
    release = ran["vmnet ssh vm1 -- uname -r"].stdout
    assert re.fullmatch(r"\d+\.\d+\.\S+\n", release)
    report = ET.fromstring((lab.directory / "report.xml").read_text())  # noqa: S314  (our own)
    assert len(list(report.iter("testcase"))) >= 3
    assert not [*report.iter("failure"), *report.iter("error")]
    pinged = ran["ansible -i inventory.yaml all -m ping"].stdout
    assert "vm1 | SUCCESS" in pinged
    assert '"ping": "pong"' in pinged


def prepared(lab: Lab, nic: CabledNic) -> None:
    """Do to the plan what README says, and call it as the lab's plans are called."""
    plan = lab.directory / "vmnet.yaml"
    written = plan.read_text()
    assert f"uplink: {nic.name}\n" in written
    changes = {
        "name: lab\n": f"name: {lab.name}\n",
        "count: 2, image: micro": f"count: 1, memory: 320M, image: {NAME}",
    }
    for old, new in changes.items():
        assert old in written
        written = written.replace(old, new)
    plan.write_text(written)
