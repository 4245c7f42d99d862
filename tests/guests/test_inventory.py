"""vmnet ls and gc: all plans of a host, and what dead ones have left; in places of a test's own."""

import json
import os
import shutil
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from provisioner import naming
from tests.framework.lab import ONE, Lab, until

STATE, RUN = "var/lib/vmnet", "run/vmnet"
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


def alias_of(lab: Lab) -> str:
    (tap,) = lab.macvtaps()
    found = json.loads(lab.ip("-json", "link", "show", "dev", tap))
    return str(found[0]["ifalias"])


def gc(lab: Lab, *words: str) -> Any:  # noqa: ANN401  (JSON)
    """Run vmnet gc; its report without the plans of other tests, whose QEMUs are seen in /proc."""
    report = json.loads(lab.vmnet("gc", "--json", *words).stdout)
    others = [x for x in report["left"] if not x["plan"].startswith(lab.name)]
    assert all("runs in another network namespace" in x["why"] for x in others)
    return report | {"left": [x for x in report["left"] if x not in others]}


def reasons(report: Any, part: str) -> dict[str, str]:  # noqa: ANN401  (JSON)
    return {one["plan"]: one["why"] for one in report[part]}


def test_a_plan_is_listed_is_given_time_and_goes_when_that_is_over(place: Lab) -> None:
    before = place.snapshot()
    plan = place.plan(ONE)
    ends = place.vmnet("up", "--ttl", "2h", plan, "--json").report["until"]
    (pid,) = place.qemus().values()
    mark = place.root / "var/lib/vmnet" / place.name / ".vmnet"
    record = place.root / "run/vmnet" / place.name / "run/qemu" / f"{place.name}-a.xml"

    found = listed(place)[place.name]
    assert found["vms"] == [{"name": "a", "state": "running", "pid": pid, "elsewhere": False}]
    assert (found["file"], found["until"], found["lock"]) == (str(plan), ends, None)
    kinds = {thing.partition(" ")[0] for thing in found["has"]}
    assert kinds == {"folder", "QEMU", "veth", "macvtap", "nftables"}
    os.kill(pid, signal.SIGSTOP)
    assert listed(place)[place.name]["vms"][0]["state"] == "stopped (state T)"
    os.kill(pid, signal.SIGCONT)
    shown = place.vmnet("ls")
    assert shown.stdout.splitlines()[0].split() == ["PLAN", "VMS", "DISKS", "MADE", "UNTIL"]
    assert f"{place.name}: its plan is {plan}\n" in shown.stderr

    # The expiry stands on all that the plan has; a second `up` keeps it, and nothing differs by it.
    assert f"until: {ends}\n" in mark.read_text()
    assert alias_of(place) == f"vmnet:{place.name}/a/0 until {ends}"
    assert f">{ends}<" in record.read_text()
    assert place.vmnet("up", plan, "--json").report["until"] == ends
    status = place.vmnet("status", plan, "--json")
    assert status.report["to_do"] == []
    assert "time: the plan is up for 1 h 59 min from now\n" in status.stderr
    place.vmnet("extend", place.name, "never")
    assert alias_of(place) == f"vmnet:{place.name}/a/0"
    assert "until" not in mark.read_text()
    assert f">{ends}<" not in record.read_text()
    unknown = place.vmnet("extend", "nobody", "2h", status=2).stderr
    assert 'there is no plan "nobody" on this host' in unknown
    assert reasons(gc(place, "--yes"), "left") == {place.name: "a of it runs"}

    mark.write_text(f"{mark.read_text()}until: 1000\n")
    assert "warning: the plan's time was over" in place.vmnet("status", plan).stderr
    # From another network namespace its devices cannot be seen: it is left.
    here, place.enter = place.enter, tuple(word for word in place.enter if word != "-n")
    away = reasons(gc(place, "--expired", "--yes", place.name), "left")[place.name]
    place.enter = here
    assert away.startswith("a runs in another network namespace")
    assert gc(place, "--expired", "--yes")["taken"][0]["error"] is None
    assert place.snapshot() == before


def left_by(lab: Lab, plan: str, mark: str = "") -> None:
    """Make what a killed `up` leaves: the folder, a switch, a macvtap, a lock that nobody holds."""
    home = lab.root / STATE / plan
    home.mkdir(parents=True)
    (home / ".vmnet").write_text(f"{plan}\n{mark}")
    (lab.root / RUN / f"{plan}.lock").write_text("{}")
    lower, peer = naming.switch_ends(plan, "lan")
    lab.ip("link", "add", lower, "type", "veth", "peer", "name", peer)
    tap = naming.macvtap(plan, "a", 0)
    lab.ip("link", "add", "link", lower, "name", tap, "type", "macvtap", "mode", "private")
    for device, of in ((lower, "lan"), (peer, "lan"), (tap, "a/0")):
        group = str(naming.group(plan))
        lab.ip("link", "set", device, "group", group, "alias", f"vmnet:{plan}/{of}")


def kept_disk(lab: Lab, plan: str) -> None:
    """Put a disk that a guest has written to into a plan's folder, as `down` leaves it."""
    disk = lab.root / STATE / plan / "disk" / "a.qcow2"
    disk.parent.mkdir()
    (disk.parent / ".a.qcow2.own").write_text(json.dumps({"plan": plan, "vm": "a", "keep": True}))
    lab.run("qemu-img", "create", "-q", "-f", "qcow2", f"/{STATE}/{plan}/disk/a.qcow2", "1M")
    lab.run("qemu-io", "-f", "qcow2", "-c", "write 0 4k", f"/{STATE}/{plan}/disk/a.qcow2")


def plans(lab: Lab) -> dict[str, Any]:
    return {name: plan for name, plan in listed(lab).items() if name.startswith(lab.name)}


def locked(lab: Lab) -> list[str]:
    return [name for name, plan in plans(lab).items() if plan["lock"]]


def test_eight_dead_plans_go_and_look_alikes_stay(place: Lab) -> None:
    before = place.snapshot()
    names = [f"{place.name}{part}" for part in "abcdefgh"]
    for name in names:
        left_by(place, name)
    place.plans |= set(names)
    kept, over = names[0], names[1]
    kept_disk(place, kept)
    mark = place.root / STATE / over / ".vmnet"
    mark.write_text(f"{over}\nmade: 1000\nuntil: 2000\n")
    # Neither a table, a device, nor a folder is vmnet's by its name; one folder is broken.
    place.run("nft", "add", "table", "inet", f"vmnet_{place.name}_x")
    place.ip("link", "add", "mine0", "type", "bridge")
    place.ip("link", "set", "mine0", "group", str(naming.group(names[2])))
    mine = place.root / STATE / "mine" / "thesis.txt"
    mine.parent.mkdir()
    mine.write_text("mine")
    broken = place.root / STATE / "broken"
    (broken / ".vmnet").mkdir(parents=True)

    found = gc(place)
    assert reasons(found, "left").keys() == {kept}
    assert reasons(found, "left")[kept].endswith(", which only --disks takes")
    assert reasons(found, "garbage").keys() == set(names) - {kept}
    assert reasons(gc(place, "--older-than", "1h"), "garbage").keys() == {over}
    shown = place.vmnet("gc", over)
    assert "to take that away: vmnet gc --yes" in shown.stderr
    assert all(len(line) <= 100 for line in shown.stdout.splitlines())

    # Killed at work, it goes on from there.
    running = place.start("gc", "--yes")
    running.says("taking away")
    running.process.kill()
    running.finished(None)
    until(lambda: not locked(place), "its processes have ended")
    report = gc(place, "--yes")
    assert [one["error"] for one in report["taken"]] == [None] * len(report["taken"])
    assert plans(place).keys() == {kept}
    assert {one["name"] for one in report["strangers"]} == {
        *(f"/{STATE}/mine", f"/{STATE}/broken", "mine0", f"inet vmnet_{place.name}_x"),
    }
    assert mine.read_text() == "mine"
    assert gc(place, "--yes", "--disks")["taken"][0]["error"] is None
    shutil.rmtree(mine.parent)
    shutil.rmtree(broken)
    place.ip("link", "del", "mine0")
    place.run("nft", "delete", "table", "inet", f"vmnet_{place.name}_x")
    assert place.snapshot() == before


def test_devices_whose_folder_is_gone_tell_their_plan_themselves(place: Lab) -> None:
    before = place.snapshot()
    left_by(place, place.name)
    shutil.rmtree(place.root / STATE / place.name)
    (tap,) = place.macvtaps()
    place.ip("link", "set", tap, "alias", f"vmnet:{place.name}/a/0 until 32503680000")
    why = reasons(gc(place, "--yes"), "left")[place.name]
    assert why.startswith("its time is over in ")
    place.ip("link", "set", tap, "alias", f"vmnet:{place.name}/a/0 until 1000")
    assert gc(place, "--yes", "--expired")["taken"][0]["error"] is None
    assert place.snapshot() == before
