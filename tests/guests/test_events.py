"""What `vmnet events` tells of a plan, a document a line, as it happens."""

import json
import os
import signal
from typing import Any

from tests.builders.documents import valid
from tests.framework.lab import ONE, until
from tests.framework.plan import PlanUp
from tests.framework.running import Running
from tests.framework.terminal import typed

PLAN = ONE


def told(running: Running) -> list[dict[str, Any]]:
    """Return the events so far, each of which the schema takes."""
    return [valid(json.loads(line), "events") for line in running.stdout.splitlines(keepends=True)]


def wait_for(running: Running, source: str, kind: str, text: str = "") -> dict[str, Any]:
    def found() -> list[dict[str, Any]]:
        known = ((e["source"], e["kind"], text in e["text"], e) for e in told(running))
        return [e for s, k, has, e in known if (s, k, has) == (source, kind, True)]

    return until(found, f"{source} {kind} {text}, but: {running.stdout}{running.stderr}")[-1]


def test_links_states_and_processes_are_told_until_the_plan_is_stopped(
    plan_restored: PlanUp,
) -> None:
    lab, tap = plan_restored.lab, plan_restored.tap("a")
    pid = plan_restored.qemus[f"{plan_restored.path.stem}-a"]
    running = lab.start("events", plan_restored.path, "--json", "--until-stopped")
    first = wait_for(running, "libvirt", "state")
    assert (first["vm"], first["text"]) == ("a", f"a: running (process {pid})")
    until(lambda: lab.ip("-d", "link", "show", tap), "the macvtap is there")
    lab.ip("link", "set", tap, "down")
    down = wait_for(running, "kernel", "down")
    assert (down["vm"], down["device"], down["plan"]) == ("a", tap, plan_restored.path.stem)
    lab.ip("link", "set", tap, "up")
    wait_for(running, "kernel", "up")
    typed(lab, plan_restored.path, "a", "kill -STOP $(pidof qemu-ga)")
    assert wait_for(running, "agent", "silent")["vm"] == "a"
    typed(lab, plan_restored.path, "a", "kill -CONT $(pidof qemu-ga)")
    assert wait_for(running, "agent", "answers")["vm"] == "a"
    os.kill(pid, signal.SIGSTOP)
    wait_for(running, "kernel", "halted", f"process {pid}, is stopped")
    os.kill(pid, signal.SIGCONT)
    wait_for(running, "kernel", "runs on")
    plan_restored.run("stop", "--now")
    ran = running.finished(0)
    last = [json.loads(line) for line in ran.stdout.splitlines()][-1]
    assert (last["source"], last["kind"], last["vm"]) == ("libvirt", "state", "a")
    assert last["text"].endswith("-> stopped")


def test_events_end_after_the_time_that_they_are_given(plan_up: PlanUp) -> None:
    ran = plan_up.lab.vmnet("events", plan_up.path, "--for", "0.5")
    assert (ran.status, ran.stderr) == (0, "")
