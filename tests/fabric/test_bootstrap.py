"""Hosts get the vmnet of the controller, and what it needs; a second time changes nothing.

The hosts' virtual environments see the packages of this one, so that pip has nothing to build.
"""

import json
import sys
import sysconfig
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest

from provisioner import __version__
from provisioner.fabric.remote.installed import COMMAND
from tests.builders.documents import valid
from tests.framework.fabric.hosts import Fabric, Host

PLAN = "networks: {lan: {uplink: lan0}}\nvms: {a: {nics: [lan]}}\n"
OLDER = """\
#!/bin/sh
echo '{"format": 1, "command": "host-facts", "status": 0, "protocol": 0, "version": "0.0.9"}'
"""
INSTALLED = [
    "Copy the wheel",
    "Install the packages that it needs",
    "Install the wheel",
    "Put a link into PATH",
    "Note which vmnet is installed",
]


@pytest.fixture(scope="module")
def fabric(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fabric]:
    with Fabric(tmp_path_factory.mktemp("fabric"), "h1").opened() as made:
        yield made


def environment_with_packages(host: Host) -> Path:
    """Make a virtual environment on a host; return its `vmnet`, which is not there."""
    made = host.directory / "home" / "venv"
    venv.create(made)
    (path,) = made.glob("lib/python*/site-packages")
    (path / "packages.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    (made / "bin" / "pip").touch()
    return made / "bin" / "vmnet"


def inventory(host: Host) -> str:
    """Return the line of a host whose folders are its own: those of here are all hosts'."""
    about = {
        "ansible_user": "root",
        "ansible_remote_tmp": host.directory / "tmp",
        "vmnet_home": host.directory / "home",
        "vmnet_bin": host.programs,
        "vmnet_python": sys.executable,
        "vmnet_pip_arguments": "['--no-index']",
        "vmnet_build_image": "false",
    }
    return " ".join([host.title, *(f'{key}="{value}"' for key, value in about.items())])


def test_a_host_of_another_version_gets_this_one_and_then_nothing_is_changed(
    fabric: Fabric,
) -> None:
    host = fabric.host("h1")
    absent = "  h2: {address: 10.98.0.2, uplinks: {}}\n"
    plan = fabric.plan(PLAN, f"  h1: {fabric.entry(host)}\n{absent}")
    program = environment_with_packages(host)
    host.put_vmnet(OLDER)
    file = fabric.control.directory / "inventory.ini"
    file.write_text(f"{inventory(host)}\n")
    words = ("hosts", "bootstrap", "-f", plan, "-i", file)
    ran = fabric.control.vmnet(*words, "--check", "--diff", status=6)
    told = ran.stderr.splitlines()
    assert "h1:   + state: link" in told[told.index("h1: Put a link into PATH") :]
    assert any(line.startswith("h1: What pip would install: vmnet_provisioner-") for line in told)
    assert ran.stdout == "h1: 3 changes to make\n"
    assert "vmnet is not installed on h2: the inventory does not have it" in ran.stderr
    assert not program.exists()
    assert (host.programs / "vmnet").read_text() == OLDER

    report = valid(json.loads(fabric.control.vmnet(*words, "--json", status=6).stdout), COMMAND)
    lost = {"name": "h2", "changes": [], "why": "the inventory does not have it", "diff": []}
    assert report["hosts"] == [{"name": "h1", "changes": INSTALLED, "why": "", "diff": []}, lost]
    assert (host.programs / "vmnet").resolve() == program
    assert fabric.control.run("ssh", "h1", "vmnet --version").strip() == f"vmnet {__version__}"

    ran = fabric.control.vmnet("hosts", "bootstrap", "-i", file)
    assert (ran.stdout, ran.stderr) == ("h1: nothing to change\n", "")
