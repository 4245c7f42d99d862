"""vmnet hosts, and vmnet -H, from a controller whose hosts are simulated on this machine."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from provisioner import __version__
from tests.builders.documents import valid
from tests.cli.test_image import disk
from tests.framework.fabric.hosts import Fabric, Host
from tests.framework.lab import until

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

OF_THREE_IMAGES = """\
networks: {{lan: {{uplink: lan0, subnet: 10.9.0.0/24, pool: 10.9.0.50-10.9.0.60}}}}
vms:
  a: {{on: h1, {image}, nics: [lan]}}
  b: {{on: h2, {image}, nics: [lan]}}
  c: {{on: h3, {image}, nics: [lan]}}
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


@contextmanager
def unready(fabric: Fabric, sends: str = "") -> Iterator[Path]:
    """Let hosts prepare nothing; yield the file that has what h1 was asked for.

    An image that h1 sends is piped through `sends`.
    """
    asked = fabric.directory / "asked"
    asked.write_text("")
    lines = [f'echo "$*" >> {asked}', 'case "$*" in *--prepare*) exit 1;; esac']
    for host in fabric.hosts.values():
        own = (host.programs / "vmnet").read_text().removeprefix("#!/bin/sh\n")
        more = lines if host.title == "h1" else lines[1:]
        if sends and host.title == "h1":
            cut = own.replace("exec ", "", 1).strip()
            more = [*more, f'case "$*" in *--from*) {cut} | {sends}; exit 1;; esac']
        host.put_vmnet("\n".join(["#!/bin/sh", *more, own]))
    try:
        yield asked
    finally:
        for host in fabric.hosts.values():
            host.put_vmnet()


def carried(report: dict[str, Any]) -> dict[str, str]:
    """Return why a report says that hosts have images."""
    return {of: one["why"] for of, one in report["chosen"].items() if of.startswith("image ")}


def has_stored(host: Host, content: bytes) -> bool:
    digest = hashlib.sha256(content).hexdigest()
    return host.run("sha256sum", f"/var/lib/vmnet/.images/sha256-{digest}").startswith(digest)


def test_an_image_of_one_host_goes_on_to_the_others_from_where_it_was_cut(fabric: Fabric) -> None:
    content = disk()
    (fabric.directory / "mine.img").write_bytes(content)
    fabric.host("h1").vmnet("image", "import", fabric.directory / "mine.img")
    path = fabric.plan(OF_THREE_IMAGES.format(image="image: mine"))
    up = ("up", path, "--all-or-nothing", "--json")
    with unready(fabric, sends="head -c 300000"):
        ran = fabric.control.vmnet(*up, status=4)
    assert "image mine goes from h1 to h2 and h3: 1.0 MiB" in ran.stderr.splitlines()
    missing = (
        f"{len(content) - 300_000:,} of {len(content):,} bytes of the image mine have not come"
    )
    assert ran.stderr.count(missing) == 2
    assert "h3 fetches image mine by itself" in ran.stderr.splitlines()
    assert carried(ran.report) == {}
    inventory = fabric.directory / "inventory.ini"
    inventory.write_text("".join(f"{host}\n" for host in fabric.hosts))
    with unready(fabric) as asked:
        ran = fabric.control.vmnet(*up, "-i", inventory, status=4)
        assert "image send mine --from 300000" in asked.read_text(), ran.stderr
    came = {f"image mine on {host}": "it came from h1" for host in ("h2", "h3")}
    assert carried(ran.report) == came
    assert all(has_stored(fabric.host(title), content) for title in ("h2", "h3"))
    name = f"*{hashlib.sha256(content).hexdigest()}*"
    assert fabric.control.run("find", "/var/lib/vmnet", "-name", name) == ""


def test_an_image_that_nobody_has_is_fetched_by_one_host_and_goes_on(fabric: Fabric) -> None:
    content = disk()
    (fabric.directory / "far.img").write_bytes(content)
    served = f"http://{fabric.control.address}:8080/far.img"
    pin = f"digest: '{hashlib.sha256(content).hexdigest()}'"
    path = fabric.plan(OF_THREE_IMAGES.format(image=f"image: '{served}', {pin}"))
    with web_server(fabric.control, fabric.directory) as log, unready(fabric):
        ran = fabric.control.vmnet("up", path, "--all-or-nothing", "--json", status=4)
    assert sum("GET" in line for line in log.read_text().splitlines()) == 1
    assert sorted(carried(ran.report).values()) == [
        *["it came from h1"] * 2,
        "it was fetched there for all",
    ]
    assert all(has_stored(host, content) for host in fabric.hosts.values())


@contextmanager
def web_server(host: Host, folder: Path) -> Iterator[Path]:
    """Serve the files of a folder; yield the file that has the requests."""
    log = folder / "web.log"
    words = ("8080", "--bind", host.address, "--directory", str(folder))
    argv = [*host.enter, sys.executable, "-u", "-m", "http.server", *words]
    with log.open("w") as file, subprocess.Popen(argv, stdout=file, stderr=file) as server:
        try:
            until(lambda: "Serving" in log.read_text(), "it serves")
            yield log
        finally:
            server.terminate()
