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
