"""Guests that do not come up, end or must change; commands and devices in each other's way."""

import json
import os
import signal
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pytest

from provisioner import naming
from tests.framework.lab import ONE, PAIR, Lab
from tests.framework.plan import PlanUp

PLAN = PAIR


def test_a_guest_that_does_not_boot_is_named_and_can_still_come_up(lab: Lab) -> None:
    plan = lab.plan(PAIR)
    running = lab.start("up", plan, "--timeout", "3")
    running.says(f"create domain {lab.name}-a")
    (frozen,) = (pid for name, pid in lab.qemus().items() if name == f"{lab.name}-a")
    os.kill(frozen, signal.SIGSTOP)
    try:
        ran = running.finished(5)
    finally:
        os.kill(frozen, signal.SIGCONT)
    assert "a is not up: no sign of its guest agent\n" in ran.stderr
    assert "the last lines of a's console:\n  | " in ran.stdout
    again = lab.vmnet("up", plan)
    assert "\nnothing to do\n" in again.stderr
    assert lab.qemus()[f"{lab.name}-a"] == frozen


def test_a_guest_that_dies_while_it_boots_is_named(lab: Lab) -> None:
    running = lab.start("up", lab.plan(ONE))
    running.says(f"create domain {lab.name}-a")
    (pid,) = lab.qemus().values()
    os.kill(pid, signal.SIGKILL)
    assert "a is not up: it has ended (" in running.finished(5).stderr


def test_two_plans_come_up_and_go_down_at_the_same_time(lab: Lab) -> None:
    plans = [
        lab.plan(ONE.replace("10.77", net), part) for part, net in (("", "10.77"), ("z", "10.78"))
    ]
    for command in ("up", "down"):
        both = [lab.start(command, plan, "--json") for plan in plans]
        reports = [running.finished().report for running in both]
        assert [r["plan"] for r in reports] == [lab.name, f"{lab.name}z"]
        assert len(lab.qemus()) == (2 if command == "up" else 0)
    assert lab.snapshot() == lab.before


def test_a_command_that_waits_goes_on_when_the_one_in_its_way_is_killed(lab: Lab) -> None:
    plan = lab.plan(ONE)
    first = lab.start("up", plan)
    first.says("create macvtap")
    second = lab.start("down", plan)
    second.says("waiting for ")
    first.process.kill()
    first.finished(-signal.SIGKILL)
    second.finished()
    assert lab.snapshot() == lab.before


@dataclass(frozen=True, slots=True)
class Met:
    """Three commands that met at one plan."""

    name: str  # of the plan
    holder: int  # the pid of the first one
    waited: str  # what the second one said, which waited
    impatient: str  # what the third one said, which would not wait


@pytest.fixture(scope="module")
def met(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Met]:
    with Lab(tmp_path_factory.mktemp("met")).opened() as lab:
        plan = lab.plan(ONE)
        first = lab.start("up", plan)
        first.says("create switch")
        second = lab.start("up", plan, "--lock-timeout", "100")
        impatient = lab.vmnet("up", plan, "--lock-timeout", "0", status=4)
        first.finished()
        yield Met(lab.name, first.process.pid, second.finished().stderr, impatient.stderr)


def test_a_second_command_waits_and_says_for_whom(met: Met) -> None:
    assert met.waited.startswith(f"waiting for `vmnet up {met.name}` (pid {met.holder}, since ")
    assert "\nnothing to do\n" in met.waited


def test_a_command_that_will_not_wait_says_who_is_in_its_way(met: Met) -> None:
    assert f"`vmnet up {met.name}` (pid {met.holder}, since " in met.impatient
    assert "has not ended after 0 s" in met.impatient


def test_a_qemu_that_was_killed_is_started_again_and_no_other(plan_restored: PlanUp) -> None:
    a, b, before = names_and_qemus(plan_restored)
    os.kill(before[a], signal.SIGKILL)
    report = plan_restored.up("--json").report
    assert report["done"] == [f"create domain {a}: missing"]
    after = plan_restored.lab.qemus()
    assert after[a] != before[a]
    assert after[b] == before[b]


def test_a_change_that_needs_a_restart_is_refused(plan_up: PlanUp) -> None:
    before = plan_up.lab.snapshot()
    refused = plan_up.up("--set", "vms.a.memory=160M", status=3).stderr
    assert 'VM "a" runs and would have to be started anew: ' in refused
    assert "memory mib is 128, want 160" in refused
    assert plan_up.as_at_first
    assert plan_up.lab.snapshot() == before


def test_recreate_restarts_the_changed_guest_alone(plan_fresh: PlanUp) -> None:
    a, b, before = names_and_qemus(plan_fresh)
    change = ("--set", "vms.a.memory=160M", "--recreate")
    report = plan_fresh.up(*change, "--json").report
    cause = "memory mib is 128, want 160"
    assert report["done"] == [f"delete domain {a}: {cause}", f"create domain {a}: {cause}"]
    after = plan_fresh.lab.qemus()
    assert after[a] != before[a]
    assert after[b] == before[b]


def names_and_qemus(plan: PlanUp) -> tuple[str, str, Mapping[str, int]]:
    return f"{plan.path.stem}-a", f"{plan.path.stem}-b", plan.qemus


def test_a_guest_that_answers_no_more_is_told_with_the_end_of_its_console(
    plan_fresh: PlanUp,
) -> None:
    plan_fresh.inside("a", "ip link set eth0 down")
    report = plan_fresh.check(status=5)
    broken = {(r["from"], r["to"]) for r in report["results"] if not r["as_expected"]}
    assert broken == {("a", "b"), ("b", "a"), ("a", "host"), ("host", "a")}
    assert "vmnet: ready" in report["consoles"]["a"]


def test_a_device_of_somebody_else_is_not_touched(lab: Lab) -> None:
    plan = lab.plan(ONE)
    name = naming.macvtap(lab.name, "a", 0)
    lab.ip("link", "add", name, "type", "veth", "peer", "name", "theirs")
    with lab.settled():
        refused = json.loads(lab.vmnet("up", plan, "--json", status=3).stdout)
        assert f'the device name "{name}" is taken by a veth' in refused["errors"][0]["what"]
        lab.vmnet("down", plan)
        assert lab.snapshot() == lab.before
    lab.ip("link", "del", name)
