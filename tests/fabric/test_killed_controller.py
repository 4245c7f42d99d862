"""A controller is killed before and after each task of Ansible; the next one goes on from there.

Each time the command is run again from another machine, as far as the next point; where the last
one has left off is seen on the hosts, without vmnet's own code.
"""

import json
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path

import pytest

from tests.framework.fabric.hosts import Fabric, Host
from tests.framework.fabric.tasks import Tasks

GUESTS = """\
networks:
  lan: {uplink: lan0, subnet: 10.9.0.0/24, pool: 10.9.0.100-10.9.0.150}
vms:
  a: {on: h1, nics: [lan]}
  b: {on: h2, nics: [{network: lan, mode: private}]}
"""
LOOK, PREPARE, START, CHECK, DOWN = "host-facts", "up --prepare", "up --no-check", "check", "down"

NOTHING = (0, 0, 0)  # macvtaps, those of them that are up, guests: on each host
READY = (1, 0, 0)
RUNS = (1, 1, 1)

# What is run, when it is killed at the last of its tasks, and what the hosts have then.
POINTS = (
    ("up", "before", (LOOK,), NOTHING),
    ("up", "after", (LOOK,), NOTHING),
    ("up", "before", (LOOK, PREPARE), NOTHING),
    ("up", "after", (LOOK, PREPARE), READY),
    ("down", "before", (LOOK,), READY),
    ("down", "after", (LOOK,), READY),
    ("down", "before", (LOOK, DOWN), READY),
    ("down", "after", (LOOK, DOWN), NOTHING),
    ("up", "before", (LOOK, PREPARE, LOOK), READY),
    ("up", "after", (LOOK, PREPARE, LOOK), READY),
    ("up", "before", (LOOK, PREPARE, LOOK, START), READY),
    ("up", "after", (LOOK, PREPARE, START), RUNS),
    ("up", "before", (LOOK, PREPARE, CHECK), RUNS),
    ("up", "after", (LOOK, PREPARE, CHECK), RUNS),
)


@pytest.fixture(scope="module")
def fabric(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fabric]:
    with Fabric(tmp_path_factory.mktemp("fabric"), "h1", "h2").opened() as made:
        yield made


def has(host: Host) -> tuple[int, int, int]:
    """Return how many macvtaps a host has, how many of them are up, and how many guests run."""
    links = json.loads(host.ip("-json", "link", "show", "type", "macvtap") or "[]")
    return len(links), sum("UP" in link["flags"] for link in links), len(host.qemus())


def test_what_a_killed_controller_has_left_is_gone_on_with_from_another_machine(
    fabric: Fabric, tmp_path: Path
) -> None:
    plan, tasks = fabric.plan(GUESTS), Tasks(tmp_path)
    controllers = cycle((fabric.control, fabric.host("h2")))
    for (verb, when, asked, left), controller in zip(POINTS, controllers, strict=False):
        if asked[1:3] == (PREPARE, LOOK):  # who has prepared nothing does not look again
            fabric.host("h2").vmnet("down", "--name", plan.stem)
        tasks.killed(controller, f"{when} {len(asked)}", verb, plan)
        assert tasks.asked == [*asked], f"{verb} killed {when} {asked[-1]}"
        there = [has(host) for host in fabric.hosts.values()]
        assert there == [left, left], f"{verb} killed {when} {asked[-1]}"

    report = tasks.started(fabric.control, "", "up", plan, "--json").finished().report
    assert tasks.asked == [LOOK, PREPARE, CHECK]
    assert (report["done"], report["to_do"], report["warnings"]) == ([], [], [])
    assert {vm["name"]: (vm["state"], vm["host"]) for vm in report["vms"]} == {
        "a": ("running", "h1"),
        "b": ("running", "h2"),
    }
    assert {(one["from"], one["to"]) for one in report["results"] if one["as_expected"]} == {
        ("a", "b"), ("b", "a"), ("h1", "a"), ("h2", "b"),
    }  # fmt: skip
    tasks.started(fabric.control, "", "down", plan).finished()
    assert tasks.asked == [LOOK, DOWN]
    assert [has(host) for host in fabric.hosts.values()] == [NOTHING, NOTHING]
