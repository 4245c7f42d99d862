"""vmnet hosts, and vmnet -H, from a controller whose hosts are simulated on this machine."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from provisioner import __version__
from tests.builders.documents import valid
from tests.cli.test_image import disk
from tests.framework.fabric.hosts import Fabric

# Another vmnet: of the next protocol, as a newer version may be.
NEWER = """\
#!/bin/sh
echo '{"format": 1, "command": "host-facts", "status": 0, "protocol": 2, "version": "9.9.0"}'
"""
PLAN = """\
networks: {lan: {uplink: lan0, subnet: 10.9.0.0/24}}
vms: {a: {nics: [lan]}, b: {nics: [lan]}}
"""
OF_ONE_HOST = """\
networks: {lan: {uplink: lan0, subnet: 10.9.0.0/24}}
vms: {a: {nics: [{network: lan, address: 10.9.0.1/24}]}}
"""

OF_IMAGES = """\
networks: {lan: {uplink: lan0, subnet: 10.9.0.0/24, pool: 10.9.0.50-10.9.0.60}}
vms: {a: {on: h1, image: web, nics: [lan]}, b: {on: h2, image: web, nics: [lan]}}
"""


@pytest.fixture(scope="module")
def fabric(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fabric]:
    with Fabric(tmp_path_factory.mktemp("fabric"), "h1", "h2", "h3").opened() as made:
        yield made


@pytest.fixture(scope="module")
def plan(fabric: Fabric) -> Path:
    return fabric.plan(PLAN)


def test_ls_lists_what_hosts_have(fabric: Fabric, plan: Path) -> None:
    ran = fabric.control.vmnet("hosts", "ls", plan, "--json")
    valid(ran.report, "hosts ls")
    assert [host["name"] for host in ran.report["hosts"]] == ["h1", "h2", "h3"]
    for host in ran.report["hosts"]:
        assert host["facts"]["name"] == host["name"]
        assert "lan0" in [uplink["name"] for uplink in host["facts"]["uplinks"]]
        assert (host["why"], host["clock_error_s"]) == ("", 0)


def test_a_silent_host_is_unknown_and_another_version_is_told(fabric: Fabric, plan: Path) -> None:
    fabric.host("h1").put_vmnet(NEWER)
    try:
        with fabric.host("h2").cut():
            ran = fabric.control.vmnet("hosts", "ls", plan, status=4)
    finally:
        fabric.host("h1").put_vmnet()
    rows = {line.split()[0]: line for line in ran.stdout.splitlines()}
    assert rows["h1"].split()[:3] == ["h1", "10.98.0.1", "unknown:"]
    assert rows["h2"].split()[:3] == ["h2", "10.98.0.2", "unknown:"]
    assert "ssh" in rows["h2"]
    assert f"{__version__}, protocol 1" in rows["h3"]
    assert "9.9.0, which speaks protocol 2; this one speaks protocol 1" in ran.stderr
    assert "fix: give it this version: vmnet hosts bootstrap -f PLAN" in ran.stderr


def test_check_tells_what_is_wrong_with_nics(fabric: Fabric, plan: Path) -> None:
    h2, h3 = fabric.host("h2"), fabric.host("h3")
    h2.ip("link", "set", "lan0", "mtu", "1400")
    h3.ip("link", "set", "lan0", "name", "other0")
    try:
        ran = fabric.control.vmnet("hosts", "check", plan, status=5)
    finally:
        h2.ip("link", "set", "lan0", "mtu", "1500")
        h3.ip("link", "set", "other0", "name", "lan0")
    assert ran.stdout.splitlines() == [
        "h3 has no NIC lan0 that can carry network lan",
        "network lan has several MTUs: 1400 on h2 and 1500 on h1; larger frames are lost",
    ]


def test_an_inventory_names_hosts_without_a_plan(fabric: Fabric) -> None:
    inventory = fabric.control.directory / "inventory.ini"
    inventory.write_text("[all]\nfirst ansible_host=h1 ansible_user=root\n")
    ran = fabric.control.vmnet("hosts", "facts", "-i", inventory)
    assert ran.stdout.startswith(f"h1: vmnet {__version__}, protocol 1")
    wrong = fabric.control.vmnet("hosts", "ls", "-i", "missing.ini", status=2)
    assert "there is no inventory missing.ini" in wrong.stderr


def test_an_inventory_says_how_the_hosts_of_a_plan_are_logged_in_to(fabric: Fabric) -> None:
    here = {"one": fabric.host("h1"), "two": fabric.host("h2")}
    entry = "{{address: {}, ssh: nobody@nowhere, uplinks: {{}}}}"
    hosts = "".join(f"  {name}: {entry.format(x.address)}\n" for name, x in here.items())
    inventory = fabric.control.directory / "named.ini"
    inventory.write_text("one ansible_host=h1\ntwo ansible_host=h2 ansible_user=root\n")
    plan = fabric.plan(PLAN.replace("a: {", "a: {on: one, "), hosts)
    ran = fabric.control.vmnet("status", plan, "--inventory", inventory)
    assert [row.split()[:3] for row in ran.stdout.splitlines()[1:3]] == [
        ["a", "not", "there"],
        ["b", "not", "there"],
    ]
    inventory.write_text("one ansible_host=h1\n")
    ran = fabric.control.vmnet("status", plan, "-i", inventory, status=4)
    assert "two does not answer: the inventory does not have it" in ran.stderr
    alone = fabric.control.plan(OF_ONE_HOST, "alone")
    ran = fabric.control.vmnet("status", alone, "-i", inventory, status=2)
    assert "--inventory is for plans of several hosts" in ran.stderr


def test_a_command_runs_on_one_host_with_the_plan_that_is_here(fabric: Fabric) -> None:
    path = fabric.control.plan(OF_ONE_HOST, "one")
    ran = fabric.control.vmnet("-H", "root@h1", "plan", path, "--json")
    assert ran.report["command"] == "plan"
    assert ran.report["plan"] == path.stem
    assert ran.report["origin"]["host"] == "h1"
    path.write_text("vms: [\n")
    assert "<stdin>:" in fabric.control.vmnet("-H", "h1", "plan", "-f", path, status=2).stderr
    assert json.loads(fabric.control.vmnet("-H", "h2", "ls", "--json").stdout)["plans"] == []


def test_an_image_of_the_controller_goes_to_the_hosts_that_lack_it(fabric: Fabric) -> None:
    h1, h2 = fabric.host("h1"), fabric.host("h2")
    content = disk()
    (fabric.directory / "web.img").write_bytes(content)
    for machine in (fabric.control, h1):
        machine.vmnet("image", "import", fabric.directory / "web.img")
    path = fabric.plan(OF_IMAGES)
    own = (h2.programs / "vmnet").read_text()
    lost = 'case "$*" in *--prepare*) exit 1;; esac\n'
    h2.put_vmnet(own.replace("#!/bin/sh\n", f"#!/bin/sh\n{lost}", 1))  # so that nothing boots
    try:
        ran = fabric.control.vmnet("up", path, "--all-or-nothing", "--json", status=6)
    finally:
        h2.put_vmnet()
        fabric.control.vmnet("down", path)
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    gone = {"value": digest, "why": "it came from the controller"}
    chosen = {key: one for key, one in ran.report["chosen"].items() if key.startswith("image")}
    assert chosen == {"image web on h2": gone}
    assert "image web goes from here to h2: 1.0 MiB" in ran.stderr.splitlines()
    stored = h2.run("sha256sum", f"/var/lib/vmnet/.images/{digest.replace(':', '-')}")
    assert stored.split()[0] == digest.removeprefix("sha256:")
