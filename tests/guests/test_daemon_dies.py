"""A libvirt daemon that ends while vmnet uses it, or while its guests run."""

import subprocess
from contextlib import ExitStack

from tests.framework.lab import Lab, until
from tests.framework.libvirtd import PRIVATE, answers, daemon
from tests.guests.test_daemon import PLAN


def test_a_daemon_that_has_ended_is_told_and_what_runs_by_it_is_not_touched(lab: Lab) -> None:
    """Nothing is taken away on an old look: a DHCP server stays known, and is found again."""
    text = PLAN.replace("switch: true", "switch: {dhcp: true}")
    plan = lab.plan(text, "dies")
    with lab.mounted(PRIVATE), ExitStack() as daemons:
        daemons.enter_context(daemon(lab, "virtlogd"))
        log = (lab.directory / "dying.log").open("wb")
        with log, subprocess.Popen([*lab.enter, "libvirtd"], stdout=log, stderr=log) as dying:
            until(lambda: answers(lab), "libvirtd answers")
            up = lab.start("up", plan)
            up.says("create dhcp")
            dying.kill()
        ran = up.finished(None)
        assert ran.status in {4, 6}, ran.stderr
        assert "Traceback" not in ran.stderr
        assert "the libvirt daemon has ended" in ran.stderr
        with daemon(lab, "libvirtd"):
            until(lambda: answers(lab), "libvirtd answers again")
            lab.vmnet("up", plan)
        before, qemus = lab.snapshot(), lab.qemus()
        for words in (("status", plan), ("up", plan), ("check", plan), ("down", plan)):
            refused = lab.vmnet(*words, status=4).stderr
            assert "VMs of this plan run, started by a libvirt daemon that does not" in refused
            assert "systemctl start libvirtd" in refused
        assert (lab.snapshot(), lab.qemus()) == (before, qemus)
        daemons.enter_context(daemon(lab, "libvirtd"))
        until(lambda: answers(lab), "libvirtd answers once more")
        lab.vmnet("down", plan)
