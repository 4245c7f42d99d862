"""Faults of one host, or of a second controller, while a plan of several hosts is brought up.

The clock of h2 is a day and a half behind, for vmnet and for what Ansible runs there.
"""

import json
import os
import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.builders.documents import valid
from tests.framework.fabric.hosts import Fabric
from tests.framework.fabric.tasks import Tasks
from tests.framework.lab import until

LAN = "lan: {uplink: lan0, subnet: 10.9.0.0/24, pool: 10.9.0.100-10.9.0.150}"
TWO = f"networks: {{{LAN}}}\nvms: {{a: {{on: h1, nics: [lan]}}, b: {{on: h2, nics: [lan]}}}}\n"
ONE = f"networks: {{{LAN}}}\nvms: {{a: {{on: h1, nics: [lan]}}}}\n"
NOTHING = (0, 0)  # macvtaps and guests of a host
READY = (1, 0)
RUNS = (1, 1)


@pytest.fixture(scope="module")
def fabric(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fabric]:
    directory = tmp_path_factory.mktemp("fabric")
    with Fabric(directory, "h1", "h2", late=("h2",)).opened() as made:
        yield made


@pytest.fixture(autouse=True)
def left(fabric: Fabric) -> Iterator[None]:
    """Take away what a test has brought up, by the hosts themselves."""
    yield
    for host in fabric.hosts.values():
        for plan in host.plans if host.macvtaps() else ():
            host.vmnet("down", "--name", plan)
    assert there(fabric) == [NOTHING, NOTHING]


def there(fabric: Fabric) -> list[tuple[int, int]]:
    """Return how many macvtaps and guests each host has."""
    return [(len(host.macvtaps()), len(host.qemus())) for host in fabric.hosts.values()]


def homes(report: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """Return the state and the host of each VM of a report."""
    return {vm["name"]: (vm["state"], vm.get("host", "")) for vm in report["vms"]}


def test_the_rest_starts_where_the_connection_to_a_host_is_lost_while_it_prepares(
    fabric: Fabric, tmp_path: Path
) -> None:
    host, plan = fabric.host("h2"), fabric.plan(TWO)
    here, go = tmp_path / "here", tmp_path / "go"
    os.mkfifo(go)
    own = (host.programs / "vmnet").read_text()
    held = f'case "$*" in *--prepare*) touch {here}; cat {go};; esac\n'
    host.put_vmnet(own.replace("#!/bin/sh\n", f"#!/bin/sh\n{held}", 1))
    up = fabric.control.start("up", plan, "--json")
    until(here.exists, "h2 prepares")
    with host.cut():
        ran = up.finished(6)
    go.write_text("go on")
    host.put_vmnet()
    assert homes(ran.report)["a"] == ("running", "h1")
    assert homes(ran.report)["b"][0] == "unknown: h2 does not answer"
    assert "h2 does not answer any more" in ran.stderr
    assert there(fabric)[0] == RUNS
    until(lambda: there(fabric)[1] == READY, "h2 ends what it has begun")


def test_a_host_lost_between_the_phases_is_gone_on_with_though_its_clock_is_wrong(
    fabric: Fabric, tmp_path: Path
) -> None:
    plan, tasks = fabric.plan(TWO), Tasks(tmp_path)
    with ExitStack() as stack:
        with tasks.held(fabric.control, "before 4", "up", plan, "--json") as up:
            assert there(fabric) == [READY, READY]
            stack.enter_context(fabric.host("h2").cut())
        ran = up.finished(6)
    assert tasks.asked == ["host-facts", "up --prepare", "host-facts", "up --no-check", "check"]
    assert homes(ran.report)["a"] == ("running", "h1")
    assert homes(ran.report)["b"][0] == "unknown: h2 does not answer"
    assert there(fabric) == [RUNS, READY]

    ran = fabric.control.vmnet("up", plan, "--json")
    report = ran.report
    assert homes(ran.report) == {"a": ("running", "h1"), "b": ("running", "h2")}
    assert all(one["as_expected"] for one in report["results"])
    assert {(one["from"], one["to"]) for one in report["results"]} >= {("a", "b"), ("b", "a")}
    assert [line for line in report["done"] if line.startswith("h1")] == []
    assert re.search(r"^warning: h2: its clock is 129\d{3} s wrong$", ran.stderr, re.MULTILINE)
    assert 0 < report["seconds"] < 120
    assert there(fabric) == [RUNS, RUNS]


def test_guests_are_led_on_their_hosts_and_those_of_a_silent_one_are_unknown(
    fabric: Fabric,
) -> None:
    plan, vmnet = fabric.plan(TWO), fabric.control.vmnet
    ran = vmnet("start", "-f", plan, "a", "--json")  # no host has it
    assert homes(valid(ran.report, "start")) == {"a": ("running", "h1"), "b": ("not there", "h2")}
    assert there(fabric) == [RUNS, NOTHING]
    first = fabric.host("h1").qemus()
    ran = vmnet("pause", "-f", plan, "--json")
    assert homes(valid(ran.report, "pause"))["a"] == ("paused", "h1")
    ran = vmnet("resume", "-f", plan, "a", "--json")
    assert homes(valid(ran.report, "resume"))["a"] == ("running", "h1")
    with fabric.host("h2").cut():
        ran = vmnet("stop", "-f", plan, "--now", "--json", status=6)
        assert homes(valid(ran.report, "stop")) == {
            "a": ("stopped", "h1"),
            "b": ("unknown: h2 does not answer", ""),
        }
        ran = vmnet("snapshot", "ls", "-f", plan, "--json", status=6)
        assert [one["host"] for one in valid(ran.report, "snapshot ls")["unknown"]] == ["h2"]
    assert there(fabric) == [READY, NOTHING]
    ran = vmnet("restart", "-f", plan, "--now", "--json")
    assert homes(valid(ran.report, "restart")) == {"a": ("running", "h1"), "b": ("running", "h2")}
    assert {(x["from"], x["to"]) for x in ran.report["results"]} >= {("a", "b"), ("b", "a")}
    assert all(x["as_expected"] for x in ran.report["results"])
    assert set(fabric.host("h1").qemus().values()).isdisjoint(first.values())


def test_a_host_without_room_for_files_starts_nothing_and_is_named(
    fabric: Fabric, tmp_path: Path
) -> None:
    host, plan, tasks = fabric.host("h2"), fabric.plan(TWO), Tasks(tmp_path)
    host.run("mount", "-t", "tmpfs", "-o", "size=16m,mode=755", "pool", "/var/lib/vmnet")
    fill = ("sh", "-c", "cat /dev/zero > /var/lib/vmnet/full 2>/dev/null || true")
    try:
        with tasks.held(fabric.control, "before 2", "up", plan, "--all-or-nothing") as up:
            host.run(*fill)
        ran = up.finished(6)
        assert there(fabric) == [READY, NOTHING]
        refused = fabric.control.vmnet("up", plan, status=2)
    finally:
        host.run("umount", "-l", "/var/lib/vmnet")
    assert "not all hosts are ready: nothing is started" in ran.stderr
    assert "h2: the guests' files need 1 MiB in /var/lib/vmnet, and 0 MiB are free" in ran.stdout
    assert "b fits on no host: h2 has 0 MiB free for guests' files" in refused.stderr


def test_macs_and_addresses_that_a_host_has_are_refused_before_any_is_touched(
    fabric: Fabric,
) -> None:
    mac = json.loads(fabric.host("h2").ip("-json", "link", "show", "lan0"))[0]["address"]
    own = f"nics: [{{network: lan, mac: '{mac}'}}]"
    at = "lan: {uplink: lan0, subnet: 10.98.0.0/24}"
    theirs = "nics: [{network: lan, address: 10.98.0.2}]"
    plan = fabric.plan(f"networks: {{{at}}}\nvms: {{a: {{on: h1, {own}}}, b: {{{theirs}}}}}\n")
    said = fabric.control.vmnet("up", plan, status=2).stderr
    assert f"NIC a.0 and lan0 of host h2 would both have the MAC {mac}" in said
    assert "NIC b.0 would have the address 10.98.0.2 of host h2" in said


def test_two_controllers_that_placed_a_vm_on_two_hosts_start_it_on_neither(
    fabric: Fabric, tmp_path: Path
) -> None:
    plan = fabric.plan(ONE)
    other = plan.with_name("other.yaml")
    other.write_text(plan.read_text().replace("on: h1", "on: h2"))
    one, two = Tasks(tmp_path / "one"), Tasks(tmp_path / "two")
    with one.held(fabric.control, "before 2", "up", plan) as up:
        two.killed(fabric.host("h2"), "after 2", "up", other)
    ran = up.finished(3)
    assert one.asked == ["host-facts", "up --prepare", "host-facts"]
    assert "VM a is on h2 now, and was to be started on h1" in ran.stderr
    assert "another vmnet is bringing this plan up" in ran.stderr
    assert there(fabric) == [READY, READY]


def test_a_second_controller_is_told_who_has_a_host(fabric: Fabric, tmp_path: Path) -> None:
    host, plan, tasks = fabric.host("h1"), fabric.plan(ONE), Tasks(tmp_path)
    here, go = tmp_path / "here", tmp_path / "carry-on"
    os.mkfifo(go)
    nft = host.programs / "nft"  # which makes the guard, while vmnet holds the lock of the plan
    held = f'[ "$1" != -f ] || {{ touch {here}; cat {go}; }}'
    nft.write_text(f'#!/bin/sh\n{held}\nexec /usr/sbin/nft "$@"\n')
    nft.chmod(0o755)
    up = tasks.started(fabric.control, "kill after 2", "up", plan)
    until(here.exists, "h1 prepares")
    nft.unlink()
    ran = fabric.host("h2").vmnet("up", plan, "--lock-timeout", "0", status=4)
    go.write_text("go on")
    up.finished(None)
    holder = (
        rf"`vmnet up {plan.stem}` \(pid \d+, since [\d:]+, by ssh from {fabric.control.address}\)"
    )
    assert re.search(rf"h1: {holder} has not ended after 0 s", ran.stdout)
    assert there(fabric) == [READY, NOTHING]
