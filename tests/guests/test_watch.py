"""A watched check tells at once what happens between its rounds, which are a minute apart here."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.framework.lab import Lab, until
from tests.framework.plan import PlanUp
from tests.framework.running import Running
from tests.framework.terminal import typed
from tests.framework.wire import CabledNic, cabled_nic

EVERY_S = 60
# Events are told in 2 s. What is only told by the next round comes after EVERY_S.
AT_ONCE_S = 20.0
ROUND_S = 50.0


@pytest.fixture(scope="module")
def wire(shared_lab: Lab) -> Iterator[CabledNic]:
    with cabled_nic(shared_lab, "10.90.0.254/24") as made:
        yield made


@pytest.fixture(scope="module")
def plan_text(wire: CabledNic) -> str:
    """Two guests on a NIC."""
    return f"""\
networks: {{lan: {{uplink: {wire.name}, subnet: 10.90.0.0/24, pool: 10.90.0.10-10.90.0.99}}}}
vms: {{a: {{memory: 96M, nics: [lan]}}, b: {{memory: 96M, nics: [lan]}}}}
"""


@contextmanager
def watching(plan: PlanUp) -> Iterator[Running]:
    """Watch a plan; the first round has been made, and the next is far."""
    words = ("check", plan.path, "--watch", "--every", str(EVERY_S))
    running = plan.lab.start(*words)
    try:
        until(lambda: "measurements are as expected" in running.stdout, "a first round")
        yield running
    finally:
        running.process.send_signal(signal.SIGINT)
        running.finished(None)


def told(running: Running, text: str, within_s: float = AT_ONCE_S) -> None:
    """Wait until a line is told."""
    until(lambda: text in running.stdout, f"it tells {text!r}, but: {running.stdout}", within_s)


def test_a_guest_that_freezes_is_told_and_measured_at_once(plan_up: PlanUp) -> None:
    pid = plan_up.qemus[f"{plan_up.path.stem}-a"]
    with watching(plan_up) as running:
        os.kill(pid, signal.SIGSTOP)
        try:
            told(running, f"a: its QEMU, process {pid}, is stopped (state T)")
            told(running, "reaches -> not measured: a is not up", ROUND_S)
        finally:
            os.kill(pid, signal.SIGCONT)
        told(running, f"a: its QEMU, process {pid}, runs on")
        told(running, "not measured -> reaches", ROUND_S)


def test_an_agent_that_falls_silent_is_told_at_once(plan_up: PlanUp) -> None:
    with watching(plan_up) as running:
        typed(plan_up.lab, plan_up.path, "b", "kill -STOP $(pidof qemu-ga)")
        try:
            told(running, "b: its guest agent has not answered for")
            told(running, "b: its guest agent does not answer, though libvirt says", ROUND_S)
        finally:
            typed(plan_up.lab, plan_up.path, "b", "kill -CONT $(pidof qemu-ga)")
    plan_up.inside("b", "true")


def test_a_macvtap_that_is_set_down_is_told_at_once(plan_up: PlanUp) -> None:
    tap = plan_up.tap("a")
    with watching(plan_up) as running:
        plan_up.lab.ip("link", "set", "dev", tap, "down")
        try:
            told(running, f"the macvtap {tap} of a has been set down")
        finally:
            plan_up.lab.ip("link", "set", "dev", tap, "up")
        told(running, f"the macvtap {tap} of a is up")


def test_a_cable_that_is_pulled_is_told_at_once(plan_up: PlanUp, wire: CabledNic) -> None:
    with watching(plan_up) as running:
        wire.outside("ip", "link", "set", "dev", "far", "down")
        try:
            told(running, f"the uplink {wire.name} has lost its carrier")
        finally:
            wire.outside("ip", "link", "set", "dev", "far", "up")
        told(running, f"the uplink {wire.name} has a carrier")


def test_a_qemu_that_ends_is_told_at_once(plan_restored: PlanUp) -> None:
    pid = plan_restored.qemus[f"{plan_restored.path.stem}-a"]
    with watching(plan_restored) as running:
        os.kill(pid, signal.SIGKILL)
        told(running, f"a has ended: its QEMU, process {pid}, has gone")
        told(running, "a of the plan is not up", ROUND_S)
