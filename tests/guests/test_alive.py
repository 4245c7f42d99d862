"""A guest counts as alive only when it has answered now: frozen, panicked and half dead guests."""

import os
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.framework.lab import until
from tests.framework.plan import PlanUp
from tests.framework.terminal import typed

PLAN = """\
networks: {lan: {switch: true, subnet: [10.77.0.0/24, "fd77::/64"]}}
vms:
  a: {memory: 96M, nics: [lan]}
  b: {memory: 96M, nics: [lan]}
  c: {memory: 96M, nics: [lan]}
"""
CONNECTED = "its guest agent does not answer, though libvirt says it is connected"
ON_NO_WIRE = "; it does not answer on the wire either"
# Far above what a dead guest costs (5 s), and far below what it has cost (123 s).
BOUND_S = 40.0


@contextmanager
def frozen(plan: PlanUp, vm: str) -> Iterator[int]:
    """Stop a guest's QEMU; at the end it runs on."""
    pid = plan.qemus[f"{plan.path.stem}-{vm}"]
    os.kill(pid, signal.SIGSTOP)
    try:
        yield pid
    finally:
        os.kill(pid, signal.SIGCONT)


@contextmanager
def hung_agent(plan: PlanUp, vm: str) -> Iterator[None]:
    """Stop a guest's agent, and nothing else of it."""
    typed(plan.lab, plan.path, vm, "kill -STOP $(pidof qemu-ga)")
    try:
        yield
    finally:
        typed(plan.lab, plan.path, vm, "kill -CONT $(pidof qemu-ga)")
        plan.inside(vm, "true")


def observed(report: Any, vm: str) -> set[tuple[str, str | None]]:  # noqa: ANN401  (JSON)
    """Return what was observed of a guest's pairs, and from where."""
    ends = ("from", "to")
    return {(r["observed"], r["by"]) for r in report["results"] if vm in {r[end] for end in ends}}


def others(report: Any, vm: str) -> set[str]:  # noqa: ANN401  (JSON)
    """Return what was observed of all pairs without a guest."""
    return {r["observed"] for r in report["results"] if vm not in {r["from"], r["to"]}}


def about(report: Any, vm: str) -> list[str]:  # noqa: ANN401  (JSON)
    """Return what is said of a guest, whatever was measured."""
    return [f["what"] for f in report["findings"] if f["about"] == vm]


def checked(plan: PlanUp, *words: str) -> Any:  # noqa: ANN401  (JSON)
    ran = plan.lab.vmnet("check", plan.path, "--json", *words, status=5, within_s=BOUND_S)
    return ran.report


def test_a_frozen_guest_keeps_nobody_waiting_and_is_never_measured_in_its_place(
    plan_up: PlanUp,
) -> None:
    plan_up.check(status=0)
    with frozen(plan_up, "a") as pid:
        report = checked(plan_up)
    why = f"its guest agent does not answer: its QEMU, process {pid}, is stopped (state T)"
    assert about(report, "a") == [f"a is not up: {why}{ON_NO_WIRE}"]
    assert observed(report, "a") == {("not measured", None)}
    assert others(report, "a") == {"reaches"}
    (fix,) = {r["finding"]["fix"] for r in report["results"] if r["finding"]}
    assert fix == f"let its QEMU run on: kill -CONT {pid}"


def test_a_guest_whose_kernel_has_panicked_is_not_up(plan_restored: PlanUp) -> None:
    lab, name = plan_restored.lab, f"{plan_restored.path.stem}-b"
    log = Path(plan_restored.home, "console/b.log")
    panic = "(sleep 1; echo c > /proc/sysrq-trigger) > /dev/null 2>&1 &"
    plan_restored.inside("b", f"echo 0 > /proc/sys/kernel/panic; {panic}")
    until(lambda: b"end Kernel panic" in log.read_bytes(), "the kernel of b has panicked")
    try:
        report = checked(plan_restored)
    finally:
        os.kill(lab.qemus()[name], signal.SIGKILL)
    (said,) = about(report, "b")
    assert said.startswith(f"b is not up: {CONNECTED}{ON_NO_WIRE}; its console says: Kernel panic")
    assert observed(report, "b") == {("not measured", None)}
    assert others(report, "b") == {"reaches"}


@pytest.mark.parametrize("link", ["up", "down"])
def test_the_guest_of_a_hung_agent_is_measured_at_its_macvtap_only_if_it_lives(
    plan_up: PlanUp, link: str
) -> None:
    plan_up.inside("c", f"ip link set dev eth0 {link}")
    try:
        with hung_agent(plan_up, "c"):
            report = checked(plan_up)
    finally:
        plan_up.inside("c", "ip link set dev eth0 up")
        for address in plan_up.addresses("c"):
            if ":" in address:  # goes with the link
                plan_up.inside("c", f"ip addr add {address}/64 dev eth0 2> /dev/null || true")
    (said,) = about(report, "c")
    if link == "up":
        measured = "it answers on the wire, so it was measured at its macvtap"
        assert said == f"c: {CONNECTED}; {measured}"
        assert ("reaches", "at its macvtap") in observed(report, "c")
    else:
        assert said == f"c is not up: {CONNECTED}{ON_NO_WIRE}"
        assert observed(report, "c") == {("not measured", None)}
    assert others(report, "c") == {"reaches"}


def test_a_guest_that_freezes_while_it_is_measured_is_told_in_time(plan_up: PlanUp) -> None:
    line = 'checks=["a -> b tcp/4444 within 8s", "a -> b tcp/4445 within 8s"]'
    running = plan_up.lab.start("check", plan_up.path, "--json", "--set", line)
    running.says("a is up after")
    with frozen(plan_up, "a"):
        report = running.finished(5, BOUND_S).report
    (said,) = about(report, "a")
    # Which call is under way then decides who says that it is late.
    late = r"(its QEMU, process \d+|libvirt has not asked the guest's agent)"
    assert re.match(rf"a is not up: its guest agent does not answer: {late}", said)
