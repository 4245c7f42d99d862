"""A plan of three hosts: what a host does that is silent, of another version, or not ready.

Then six guests in all five modes: their start is killed and begun again, all of them are measured,
the next `up` changes nothing, and `down` leaves each host as it was.
"""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.framework.fabric.hosts import Fabric
from tests.framework.lab import call, until
from tests.framework.running import Ran

GUESTS = """\
networks:
  lan: {uplink: lan0, subnet: 10.9.0.0/24, pool: 10.9.0.100-10.9.0.150}
vms:
  a: {on: h1, nics: [lan]}
  b: {on: h1, nics: [{network: lan, mode: private}]}
  c: {on: h2, nics: [{network: lan, mode: vepa}]}
  d: {on: h2, nics: [{network: lan, mode: source, allow: ["vm:a", "vm:e"]}]}
  e: {on: h3, nics: [{network: lan, mode: passthru}]}
  f: {on: h2, nics: [{network: lan, mode: private}]}
"""
HOME = {"a": "h1", "b": "h1", "c": "h2", "d": "h2", "e": "h3", "f": "h2"}
MATRIX = """\
    a b c d e f nas
a   - . + + + + +
b   . - + ~ + + +
c   + + - . + . +
d   + . . - + . ~
e   + + + + - + +
f   + + . . + - +
h1  . . - - - - -
h2  - - . . - . -
h3  - - - - . - -
"""
NO_OTHER = {"must not reach": ".", "reaches": "+", "as measured": "~"}


@pytest.fixture(scope="module")
def fabric(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fabric]:
    with Fabric(tmp_path_factory.mktemp("fabric"), "h1", "h2", "h3").opened() as made:
        yield made


@pytest.fixture(scope="module")
def plan(fabric: Fabric) -> Path:
    hosts = "".join(f"  {x.title}: {fabric.entry(x)}\n" for x in fabric.hosts.values())
    return fabric.plan(GUESTS, f"{hosts}  nas: 10.9.0.254\n")


def cells(ran: Ran) -> dict[tuple[str, str], str]:
    return {
        (one["from"], one["to"]): NO_OTHER[one["expected"]]
        for one in json.loads(ran.stdout)["results"]
        if one["as_expected"]
    }


def due() -> dict[tuple[str, str], str]:
    head, *rows = (row.split() for row in MATRIX.splitlines())
    named = (
        (row[0], target, sign) for row in rows for target, sign in zip(head, row[1:], strict=True)
    )
    return {(source, target): sign for source, target, sign in named if sign != "-"}


def test_a_silent_host_is_unknown_and_its_vms_wait_until_it_is_declared_dead(
    fabric: Fabric, plan: Path
) -> None:
    with fabric.host("h3").cut():
        ran = fabric.control.vmnet("up", plan, status=6)
        assert re.search(
            r"^e waits: it may run on h3, which does not answer$", ran.stderr, re.MULTILINE
        )
        assert "unknown" not in ran.stdout
        assert fabric.control.vmnet("status", plan, status=4).stdout.count("waits") > 1
        ran = fabric.control.vmnet("plan", plan, "--declare-dead", "h3", status=2)
        assert "VM e fits on no host: h3 is declared dead" in ran.stderr
    ran = fabric.control.vmnet("plan", plan, "--declare-dead", "h3", status=2)
    assert "--declare-dead: h3 answers, so it is not dead" in ran.stderr
    assert [host.qemus() for host in fabric.hosts.values()] == [{}, {}, {}]


def test_a_host_of_another_version_is_refused_with_what_mends_it(
    fabric: Fabric, plan: Path
) -> None:
    other = '{"command": "host-facts", "protocol": 99, "version": "9.0"}'
    fabric.host("h2").put_vmnet(f"#!/bin/sh\necho '{other}'\n")
    try:
        ran = fabric.control.vmnet("up", plan, status=4)
    finally:
        fabric.host("h2").put_vmnet()
    assert "host h2 has vmnet 9.0, which speaks protocol 99" in ran.stderr
    assert "fix: give it this version: vmnet hosts bootstrap -f PLAN" in ran.stderr
    assert fabric.host("h1").macvtaps() == {}


def test_nothing_starts_where_one_host_is_lost_while_it_prepares(
    fabric: Fabric, plan: Path
) -> None:
    host = fabric.host("h2")
    own = (host.programs / "vmnet").read_text()
    lost = 'case "$*" in *--prepare*) exit 1;; esac\n'
    host.put_vmnet(own.replace("#!/bin/sh\n", f"#!/bin/sh\n{lost}", 1))
    try:
        ran = fabric.control.vmnet("up", plan, "--all-or-nothing", status=6)
    finally:
        host.put_vmnet()
    assert "not all hosts are ready: nothing is started" in ran.stderr
    assert "vmnet up on h2 has ended with 1: it says nothing" in ran.stdout
    assert len(fabric.host("h1").macvtaps()) == 2
    assert [one.qemus() for one in fabric.hosts.values()] == [{}, {}, {}]
    fabric.control.vmnet("down", plan)
    assert [one.macvtaps() for one in fabric.hosts.values()] == [{}, {}, {}]


def test_commands_that_change_a_plan_wait_for_each_other_and_those_that_look_do_not(
    fabric: Fabric, plan: Path
) -> None:
    host, here, go = fabric.host("h1"), fabric.directory / "here", fabric.directory / "go"
    os.mkfifo(go)
    host.put_vmnet(f"#!/bin/sh\ntouch {here}\ncat {go}\n")
    first = fabric.control.start("down", plan)  # it holds on to the plan while h1 waits
    try:
        until(here.exists, "h1 has been asked")
    finally:
        host.put_vmnet()
    assert fabric.control.vmnet("status", plan).stdout.count("not there") == len(HOME)
    ran = fabric.control.vmnet("down", plan, "--lock-timeout", "0", status=4)
    assert re.search(rf"`vmnet down {plan.stem}` \(pid \d+, since .*\) has not ended", ran.stderr)
    rooms = ("find", "/run", "-path", "/run/vmnet/.ansible/*", "-prune")
    assert len(fabric.control.run(*rooms).split()) == 1
    first.end()
    go.write_text("go on")
    assert len(fabric.control.run(*rooms).split()) == 1
    fabric.control.vmnet("down", plan)  # what was left by the one that was killed goes
    assert fabric.control.run(*rooms) == ""


def test_all_modes_over_three_hosts(fabric: Fabric, plan: Path) -> None:
    killed = fabric.control.start("up", plan)
    killed.says("starting on h1, h2 and h3")
    killed.end()
    ran = fabric.control.vmnet("up", plan, "--json", "--lock-timeout", "120", within_s=300)
    assert cells(ran) == due()
    paths = [one["value"] for of, one in ran.report["chosen"].items() if of.startswith("path ")]
    assert paths == ["packets of 1500 bytes pass"] * 3
    assert {vm["name"]: vm["host"] for vm in json.loads(ran.stdout)["vms"]} == HOME
    for title, host in fabric.hosts.items():
        there = {f"{plan.stem}-{vm}" for vm, home in HOME.items() if home == title}
        assert set(host.qemus()) == there
    again = json.loads(fabric.control.vmnet("up", plan, "--json", within_s=300).stdout)
    assert (again["done"], again["to_do"], again["status"]) == ([], [], 0)
    ran = fabric.control.vmnet("status", plan)
    assert re.search(r"^e +running +\d+ .* h3$", ran.stdout, re.MULTILINE)
    port = fabric.host("h2").nics["lan0"].port
    with fabric.host("h3").cut():
        call("ip", "-n", fabric.lan, "link", "set", port, "mtu", "1400")
        try:
            ran = fabric.control.vmnet("check", plan, "--json", status=4)
        finally:
            call("ip", "-n", fabric.lan, "link", "set", port, "mtu", "1500")
        lost = "packets of 1500 bytes do not pass"
        assert ran.report["chosen"]["path h1 - h2 on lan"]["value"] == lost
        assert f"between hosts, h1 - h2 on lan: {lost}" in ran.stderr.splitlines()
        causes = {x["finding"]["what"] for x in ran.report["results"] if x["finding"]}
        (narrow,) = {one for one in causes if "from a to c vanish" in one}
        assert re.search(
            r"; something on the way has an MTU of (1396 to 1400|1400 to 1404)$", narrow
        )
        unseen = [x for x in json.loads(ran.stdout)["results"] if x["from"] == "e"]
        assert {x["observed"] for x in unseen} == {"not shown"}
        left = fabric.control.vmnet("down", plan, "a", status=6)
        assert "h3 does not answer" in left.stdout
    assert set(fabric.host("h1").qemus()) == {f"{plan.stem}-b"}
    fabric.control.vmnet("down", plan)
    assert [host.macvtaps() for host in fabric.hosts.values()] == [{}, {}, {}]
