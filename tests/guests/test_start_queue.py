"""Emulated guests that boot one after another, and what becomes of those that wait."""

import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from tests.framework.lab import Lab
from tests.framework.running import Running

PLAN = """\
networks: {lan: {subnet: 10.84.0.0/24, switch: {hairpin: true}}}
vms:
  a: {memory: 96M, nics: [lan]}
  b: {memory: 96M, nics: [lan]}
  c: {memory: 96M, nics: [lan]}
  d: {memory: 96M, nics: [lan]}
"""


def states(lab: Lab) -> list[str]:
    """Return the states of the plan's guests, as libvirt has recorded them."""
    records = (lab.root / "run/vmnet" / lab.name / "run/qemu").glob("*.xml")
    found = (re.search(r"<domstatus state='(\w+)'", x.read_text()) for x in records)
    return sorted(state[1] for state in found if state)


@contextmanager
def up_with_one_core(lab: Lab) -> Iterator[Running]:
    """Begin to bring the plan up on one core, and wait until all is made and some wait for it."""
    argv = ["taskset", "--cpu-list", "0", *lab.argv("up", lab.plan(PLAN), "--json")]
    running = lab.running(argv, lab.environment)
    for _ in "abcd":
        running.says("create domain")
    assert {"paused", "running"} <= set(states(lab))
    yield running


def is_as_planned(lab: Lab) -> None:
    plan = lab.directory / f"{lab.name}.yaml"
    assert lab.vmnet("plan", plan, "--json").report["to_do"] == []
    assert states(lab) == ["running"] * 4


def test_on_one_core_guests_boot_one_after_another_and_are_told_so(lab: Lab) -> None:
    with up_with_one_core(lab) as running:
        first = re.match(r"(\w) is up after", running.says(""))
        while first is None:
            first = re.match(r"(\w) is up after", running.says(""))
        assert "paused" in states(lab)  # the last two boot when the second is up
        report = running.finished().report
    assert {vm["state"] for vm in report["vms"]} == {"running"}
    assert report["to_do"] == []
    assert all(r["as_expected"] for r in report["results"])
    is_as_planned(lab)


def test_an_interrupt_leaves_no_guest_that_was_never_let_go(lab: Lab) -> None:
    with up_with_one_core(lab) as running:
        running.process.send_signal(signal.SIGINT)
        running.finished(130)
    is_as_planned(lab)


def test_what_waits_when_vmnet_is_killed_runs_with_the_next_up(lab: Lab) -> None:
    with up_with_one_core(lab) as running:
        running.process.send_signal(signal.SIGKILL)
        running.finished(-signal.SIGKILL)
    waiting = states(lab).count("paused")
    steps = lab.vmnet("plan", lab.directory / f"{lab.name}.yaml", "--json").report["to_do"]
    assert 1 <= sum(": it is paused" in step for step in steps) <= waiting, steps
    lab.vmnet("up", lab.directory / f"{lab.name}.yaml")
    is_as_planned(lab)
