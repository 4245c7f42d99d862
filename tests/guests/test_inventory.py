"""vmnet ls: all plans of a host, of whatever they consist, in a mount namespace of its own."""

import json
import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from tests.framework.lab import ONE, Lab

OWN_PLACES = (
    "mount -t tmpfs -o mode=755 none /run; mkdir /run/vmnet;"
    " mkdir -p /var/lib/vmnet; mount -t tmpfs -o mode=755 none /var/lib/vmnet"
)
"""Folders of plans that no other test sees, and no libvirt daemon."""


@pytest.fixture
def place(lab: Lab) -> Iterator[Lab]:
    """A lab whose plans lie in places of its own."""
    with lab.mounted(OWN_PLACES):
        yield lab


def listed(lab: Lab, *words: str) -> dict[str, Any]:
    report = json.loads(lab.vmnet("ls", "--json", *words).stdout)
    return {plan["name"]: plan for plan in report["plans"]}


def test_ls_tells_what_each_plan_is_made_of(place: Lab) -> None:
    plan = place.plan(ONE)
    place.vmnet("up", plan)
    found = listed(place)[place.name]
    (pid,) = place.qemus().values()
    assert found["vms"] == [{"name": "a", "state": "running", "pid": pid, "elsewhere": False}]
    assert (found["file"], found["until"], found["lock"]) == (str(plan), None, None)
    kinds = {thing.partition(" ")[0] for thing in found["has"]}
    assert kinds == {"folder", "QEMU", "veth", "macvtap", "nftables"}
    os.kill(pid, signal.SIGSTOP)
    assert listed(place)[place.name]["vms"][0]["state"] == "stopped (state T)"
    os.kill(pid, signal.SIGCONT)
    shown = place.vmnet("ls")
    assert shown.stdout.splitlines()[0].split() == ["PLAN", "VMS", "DISKS", "MADE", "UNTIL"]
    assert f"{place.name}: its plan is {plan}\n" in shown.stderr


def alias_of(lab: Lab) -> str:
    (tap,) = lab.macvtaps()
    found = json.loads(lab.ip("-json", "link", "show", "dev", tap))
    return str(found[0]["ifalias"])


def mark_of(lab: Lab) -> str:
    return (lab.root / "var/lib/vmnet" / lab.name / ".vmnet").read_text()


def test_an_expiry_stands_on_everything_and_is_told_until_it_is_changed(place: Lab) -> None:
    plan = place.plan(ONE)
    report = place.vmnet("up", "--ttl", "2h", plan, "--json").report
    ends = report["until"]
    assert f"until: {ends}\n" in mark_of(place)
    assert alias_of(place) == f"vmnet:{place.name}/a/0 until {ends}"
    record = place.root / "run/vmnet" / place.name / "run/qemu" / f"{place.name}-a.xml"
    assert f">{ends}<" in record.read_text()
    # Again without a time, the expiry stays; nothing is different for it.
    assert place.vmnet("up", plan, "--json").report["until"] == ends
    assert place.vmnet("status", plan, "--json").report["to_do"] == []
    assert "time: the plan is up for 1 h 59 min from now\n" in place.vmnet("status", plan).stderr
    place.vmnet("extend", place.name, "3d")
    later = listed(place)[place.name]["until"]
    assert later - ends == pytest.approx(3 * 86400 - 7200, abs=60)
    assert alias_of(place).endswith(f" until {later}")
    place.vmnet("extend", place.name, "never")
    assert alias_of(place) == f"vmnet:{place.name}/a/0"
    assert "until" not in mark_of(place)
    assert f">{later}<" not in record.read_text()
    assert listed(place)[place.name]["until"] is None
    unknown = place.vmnet("extend", "nobody", "2h", status=2).stderr
    assert 'there is no plan "nobody" on this host' in unknown
