"""Two plans that want one address or one MAC at the same instant: one of them gets it."""

import os
import re
import signal
from pathlib import Path

import pytest

from tests.framework.lab import Lab, until
from tests.framework.wire import cabled_nic, heard

MACS = {"": "02:00:00:00:aa:01", "z": "02:00:00:00:aa:02"}
CLAIMS = Path("/run/vmnet/.claims")
STOPS_ONCE_CLAIMED = """
import os, signal, sys
from provisioner.__main__ import main
stops = [os.getpid()]
def hook(event, args):
    if event == "os.rmdir" and str(args[0]).endswith("/.claims") and stops == [os.getpid()]:
        os.kill(stops.pop(), signal.SIGSTOP)
sys.addaudithook(hook)
main()
"""
"""vmnet that stops itself when its claims are written: it tries to remove their folder then, which
follows the end of the lock on it."""


def plan(lab: Lab, nic: str, part: str, address: str, mac: str) -> Path:
    """Write a plan with a guest on the NIC."""
    return lab.plan(
        f"networks: {{lan: {{uplink: {nic}, mode: bridge, subnet: 10.78.0.0/24}}}}\n"
        f'vms: {{a: {{nics: [{{network: lan, address: {address}, mac: "{mac}"}}]}}}}\n',
        part,
    )


def of(plan: str) -> bool:
    """Return whether a plan has claims, be they complete or not."""
    return (CLAIMS / plan).exists()


def claimed(plan: str) -> bool:
    """Return whether a plan's claims are complete, and nobody is at the claims just now."""
    return of(plan) and not (CLAIMS / ".lock").exists()


@pytest.mark.parametrize("same", ["address", "mac"])
def test_of_two_plans_that_want_the_same_at_once_one_is_refused(lab: Lab, same: str) -> None:
    with cabled_nic(lab, "10.78.0.1/24") as nic:
        wanted = {
            part: (
                "10.78.0.7" if same == "address" else f"10.78.0.{7 + number}",
                mac if same == "address" else MACS[""],
            )
            for number, (part, mac) in enumerate(MACS.items())
        }
        plans = {part: plan(lab, nic.name, part, *wanted[part]) for part in MACS}
        with heard(nic, *MACS.values()) as frames:
            both = {part: lab.start("up", path) for part, path in plans.items()}
            ran = {part: running.finished(None) for part, running in both.items()}
        assert sorted(one.status for one in ran.values()) == [0, 3], ran
        (winner,) = (part for part, one in ran.items() if one.status == 0)
        (loser,) = (part for part in ran if part != winner)
        what = "address 10.78.0.7" if same == "address" else f"MAC {MACS['']}"
        assert re.search(rf"the {what} is (taken|already in use)", ran[loser].stderr)
        assert set(lab.qemus()) == {f"{lab.name}{winner}-a"}
        assert any(wanted[winner][1] in frame for frame in frames)
        if same == "address":
            assert not [frame for frame in frames if MACS[loser] in frame]
        assert not of(lab.name)
        assert not of(f"{lab.name}z")
        for path in plans.values():
            lab.vmnet("down", path)


@pytest.mark.parametrize("same", ["address", "mac"])
def test_what_a_plan_that_comes_up_has_claimed_is_refused_with_its_name(
    lab: Lab, same: str
) -> None:
    with cabled_nic(lab, "10.78.0.1/24") as nic:
        first = plan(lab, nic.name, "", "10.78.0.7", MACS[""])
        other = ("10.78.0.7", MACS["z"]) if same == "address" else ("10.78.0.8", MACS[""])
        second = plan(lab, nic.name, "z", *other)
        argv = lab.argv("up", first)
        at = argv.index("-m")
        argv[at : at + 2] = ["-c", STOPS_ONCE_CLAIMED]
        up = lab.running(argv, lab.environment)
        try:
            until(lambda: up.is_stopped, "its claims are made; nothing else of it is")
            assert claimed(lab.name)
            assert lab.macvtaps() == {}
            ran = lab.vmnet("up", second, status=3)
        finally:
            up.process.send_signal(signal.SIGCONT)
        word = "address 10.78.0.7" if same == "address" else f"MAC {MACS['']}"
        assert f"the {word} is taken: `vmnet up` of plan {lab.name} (pid " in ran.stderr
        assert f"{second.name}:3:" in ran.stderr
        up.finished()
        assert not of(lab.name)
        for path in (first, second):
            lab.vmnet("down", path)


def test_the_mac_of_a_guest_that_runs_is_refused_with_its_plan(lab: Lab) -> None:
    with cabled_nic(lab, "10.78.0.1/24") as nic:
        first = plan(lab, nic.name, "", "10.78.0.7", MACS[""])
        lab.vmnet("up", first)
        refused = lab.vmnet("up", plan(lab, nic.name, "z", "10.78.0.8", MACS[""]), status=3).stderr
        assert f"the MAC {MACS['']} is already in use on {nic.name}, by " in refused
        assert f"(of plan {lab.name})" in refused
        lab.vmnet("down", first)


def test_claims_end_with_the_command_that_was_killed(lab: Lab) -> None:
    with cabled_nic(lab, "10.78.0.1/24") as nic:
        first, second = (plan(lab, nic.name, part, "10.78.0.7", MACS[part]) for part in MACS)
        up = lab.start("up", first)
        until(lambda: claimed(lab.name), "its claims are made")
        os.kill(up.process.pid, signal.SIGKILL)
        up.finished(-signal.SIGKILL)
        lab.vmnet("down", first)
        assert not of(lab.name)
        lab.vmnet("up", second)
        lab.vmnet("down", second)
        assert not CLAIMS.exists() or not list(CLAIMS.glob(f"{lab.name}*"))


def test_an_address_that_another_guest_of_the_plan_gives_up_is_free(lab: Lab) -> None:
    with cabled_nic(lab, "10.78.0.1/24") as nic:

        def written(**addresses: str) -> Path:
            nics = (
                f"{vm}: {{nics: [{{network: lan, address: {x}}}]}}" for vm, x in addresses.items()
            )
            lan = f"{{uplink: {nic.name}, mode: bridge, subnet: 10.78.0.0/24}}"
            return lab.plan(f"networks: {{lan: {lan}}}\nvms: {{{', '.join(nics)}}}\n")

        lab.vmnet("up", written(a="10.78.0.7", b="10.78.0.8"))
        report = lab.vmnet("up", written(a="10.78.0.8", b="10.78.0.7"), "--json").report
        assert report["summary"].startswith("all ")
        refused = lab.vmnet("up", written(b="10.78.0.1"), status=3)
        assert "the address 10.78.0.1 is taken" in refused.stderr
        lab.vmnet("up", written(b="10.78.0.8"))
        lab.vmnet("down", "--name", lab.name, "--disks", "--yes")
