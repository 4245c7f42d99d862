"""A guest that starts after another: it waits for that one's signs, also after a kill between."""

import os
import signal
from pathlib import Path

from tests.framework.lab import Lab, until

PLAN = """\
networks: {lan: {subnet: 10.85.0.0/24, switch: true}}
vms:
  web: {memory: 96M, nics: [lan], after: router}
  router: {memory: 96M, nics: [lan], run: [sleep 4], ready: ["command test -e /run/ran"]}
"""


def started_s(pid: int) -> float:
    """Return when a process began, in seconds since the host was booted (proc_pid_stat(5))."""
    words = Path("/proc", str(pid), "stat").read_text().rpartition(")")[2].split()
    return int(words[19]) / os.sysconf("SC_CLK_TCK")


def guests(lab: Lab) -> list[str]:
    return sorted(x.stem for x in (lab.root / "run/vmnet" / lab.name / "run/qemu").glob("*.xml"))


def test_a_guest_starts_when_the_other_is_ready_and_after_a_kill_the_next_up_goes_on(
    lab: Lab,
) -> None:
    plan = lab.plan(PLAN)
    assert "when router is ready" in lab.vmnet("plan", plan).stdout
    first = lab.start("up", plan)
    first.says(f"create domain {lab.name}-router")
    first.process.send_signal(signal.SIGKILL)
    first.process.wait()
    until(lambda: guests(lab) == [f"{lab.name}-router"], "the router alone is there")
    ran = lab.vmnet("up", plan, "--json")
    assert f"create domain {lab.name}-web: missing, when router is ready" in ran.stderr
    assert f"create domain {lab.name}-router" not in ran.stderr
    pids = {vm["name"]: vm["pid"] for vm in ran.report["vms"]}
    assert started_s(pids["web"]) - started_s(pids["router"]) > 4
    assert all(result["as_expected"] for result in ran.report["results"])
