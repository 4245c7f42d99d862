"""vmnet killed at any moment: what it had begun is taken away, or gone on with, by the next run."""

import signal
from dataclasses import dataclass

import pytest

from tests.framework.lab import Lab
from tests.framework.running import Running

# Something of every kind that vmnet makes: devices, rules, a server, files, a guest.
PLAN = """\
networks:
  lan:
    switch: {hairpin: true, nat: true, dhcp: true}
    addressing: static
    subnet: 10.77.0.0/24
vms:
  a:
    nics: [lan]
    ssh_keys: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFvE9Yq0m3b0v0m8qJ0QW3b2m7yq1Y6v2Q0m1o9wqz7T
"""
AND_ANOTHER = "  b: {nics: [lan]}\n"


@dataclass(frozen=True, slots=True)
class Moment:
    """So long after vmnet has said a line that begins with `line`, or after its start."""

    line: str
    after_s: float = 0.0

    def __str__(self) -> str:
        return f"{self.after_s} s after {self.line or 'the start'!r}"


MOMENTS = [
    Moment("", 0.1),
    Moment("", 0.35),
    Moment("libvirt"),
    Moment("create switch"),
    Moment("create macvtap", 0.05),
    Moment("create seed", 0.15),
    Moment("create seed", 0.4),
]
MOMENTS_BEFORE_UP = [Moment("create macvtap"), Moment("create seed", 0.25), Moment("create domain")]


def sent(number: signal.Signals, running: Running, moment: Moment) -> int:
    """Send a signal to a command that is under way, and give the status it ends with."""
    if moment.line:
        running.says(moment.line)
    assert running.runs_for(moment.after_s)
    running.process.send_signal(number)
    return running.finished(None).status


def comes_up(lab: Lab) -> None:
    """Prove that `up` ends well, with one QEMU and the tap that is told."""
    plan = lab.plan(PLAN)
    report = lab.vmnet("up", plan, "--json").report
    assert report["summary"] == "all 2 measurements are as expected"
    (vm,) = report["vms"]
    assert vm["taps"] == [f"/dev/tap{index}" for index in lab.macvtaps().values()]
    assert list(lab.qemus().values()) == [vm["pid"]]
    assert lab.vmnet("plan", plan, "--json").report["to_do"] == []


@pytest.mark.parametrize("moment", MOMENTS, ids=str)
def test_down_takes_away_what_a_killed_up_had_begun(lab: Lab, moment: Moment) -> None:
    up = lab.start("up", lab.plan(PLAN + AND_ANOTHER))
    assert sent(signal.SIGKILL, up, moment) == -signal.SIGKILL
    lab.vmnet("down", "--name", lab.name)
    assert lab.snapshot() == lab.before


@pytest.mark.parametrize("moment", MOMENTS_BEFORE_UP, ids=str)
def test_up_goes_on_where_a_killed_up_had_stopped(lab: Lab, moment: Moment) -> None:
    assert sent(signal.SIGKILL, lab.start("up", lab.plan(PLAN)), moment) == -signal.SIGKILL
    comes_up(lab)
    lab.vmnet("down", "--name", lab.name)
    assert lab.snapshot() == lab.before


def test_an_interrupted_up_finishes_its_step_and_the_next_one_goes_on(lab: Lab) -> None:
    assert sent(signal.SIGINT, lab.start("up", lab.plan(PLAN)), Moment("create macvtap")) == 130
    comes_up(lab)


def test_down_goes_on_where_a_killed_down_had_stopped(lab: Lab) -> None:
    up = lab.start("up", lab.plan(PLAN + AND_ANOTHER))
    assert sent(signal.SIGKILL, up, Moment("create domain")) == -signal.SIGKILL
    down = lab.start("down", "--name", lab.name)
    assert sent(signal.SIGKILL, down, Moment("delete domain")) == -signal.SIGKILL
    lab.vmnet("down", "--name", lab.name)
    assert lab.snapshot() == lab.before
