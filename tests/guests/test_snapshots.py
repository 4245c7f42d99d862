"""Guests put back to the moment of a snapshot: memory, disks, clocks, and who reaches whom."""

import json
import os
import select
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.framework.lab import Lab
from tests.framework.plan import PlanUp, brought_up
from tests.framework.running import Ran

PLAN = """\
networks: {lan: {switch: {nat: true, dhcp: true}, subnet: 10.77.0.0/24}}
vms:
  a: {nics: [lan], disks: [64M]}
  b:
    nics: [lan]
    ssh_keys: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFvE9Yq0m3b0v0m8qJ0QW3b2m7yq1Y6v2Q0m1o9wqz7T
  c: {nics: [lan]}
"""
WRITE = "dd if=/dev/zero of=/dev/vda bs=64k seek=16 count=$((n % 64)) 2> /dev/null"
COUNT = f"(while :; do n=$((n + 1)); echo $n > /tmp/n; {WRITE}; sleep 0.1; done) > /dev/null 2>&1"


def snapshot(plan: PlanUp, *words: str, status: int = 0) -> Ran:
    """Run `vmnet snapshot`."""
    return plan.lab.vmnet("snapshot", *words, "-f", plan.path, status=status)


def moved(plan: PlanUp) -> int:
    """Return how far the counter in a guest's memory is."""
    return int(plan.inside("a", "cat /tmp/n"))


def cells(report: Any) -> set[tuple[str, str, str, bool]]:  # noqa: ANN401  (JSON)
    """Return what a report says of each pair, without how long its answer took."""
    return {(r["from"], r["to"], r["address"], r["as_expected"]) for r in report["results"]}


def known(plan: PlanUp) -> dict[str, str]:
    """Return what a guest is known by: the files of its keys, and the id of its boot."""
    files = ("keys/b/key", "keys/b/key.pub", "known_hosts")
    there = {name: (plan.home / name).read_text() for name in files}
    return there | {"boot": plan.inside("b", "cat /proc/sys/kernel/random/boot_id")}


def checked_disk(path: Path) -> None:
    """Prove that a qcow2 file is whole."""
    argv = ["qemu-img", "check", "-f", "qcow2", str(path)]
    ran = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.fixture(autouse=True)
def removed(lab: Lab) -> Iterator[None]:
    """Remove the snapshots of tests that fail, which `down` would keep."""
    yield
    for plan in sorted(lab.plans):
        ran = lab.start("snapshot", "ls", "--name", plan, "--json").finished(None)
        names = [each["name"] for each in ran.report["snapshots"]] if ran.status == 0 else []
        if names:
            lab.start("snapshot", "rm", *names, "--name", plan, "--yes").finished(None)


def test_guests_with_traffic_come_back_after_a_down_as_they_were(lab: Lab) -> None:
    plan = brought_up(lab, PLAN)
    b, c = plan.addresses("b")[0], plan.addresses("c")[0]
    counter = plan.inside("a", f"ping -q {b} > /dev/null 2>&1 & {COUNT} & echo $!").split()[-1]
    plan.inside("b", f"ping -q {c} > /dev/null 2>&1 &")
    plan.inside("a", "echo before > /tmp/word; echo before > /dev/vda; sync")
    identity = known(plan)
    before = moved(plan)
    saved = snapshot(plan, "save", "first", "--json").report
    after = moved(plan)
    assert after > before
    assert [vm["name"] for vm in saved["snapshot"]["vms"]] == ["a", "b", "c"]
    assert saved["snapshot"]["vms"][0]["disks"] == ["disk/a.1.qcow2"]
    assert plan.as_at_first
    checked_disk(plan.home / "snapshot/first/disk/a.1.qcow2")

    plan.inside("a", "echo after > /tmp/word; echo after > /dev/vda; sync; echo x > /tmp/new")
    lab.vmnet("down", plan.path)
    assert lab.macvtaps() == {}
    assert {x.name for x in plan.home.iterdir()} >= {".vmnet", "snapshot"}

    restored = lab.vmnet("up", plan.path, "--from-snapshot", "first", "--yes", "--json")
    assert "warning" not in restored.stderr
    assert cells(restored.report) == cells(plan.report)
    assert restored.report["summary"] == plan.report["summary"]
    assert restored.report["to_do"] == []
    words = plan.inside(
        "a", "cat /tmp/word; head -n 1 /dev/vda; ls /tmp/new 2> /dev/null; date +%s"
    )
    memory, disk, date = words.split()
    assert (memory, disk) == ("before", "before")
    assert abs(int(date) - time.time()) < 4
    assert before <= moved(plan)
    assert plan.inside("a", f"test -d /proc/{counter} && echo counts") == "counts\n"
    assert known(plan) == identity
    assert lab.vmnet("plan", plan.path, "--json").report["to_do"] == []

    again = lab.vmnet("up", plan.path, "--from-snapshot", "first")
    assert "all guests of the snapshot first run already: they stay as they are" in again.stderr
    assert "\nnothing to do\n" in again.stderr
    _refuses_what_would_lose_something(plan)
    _tells_what_is_wrong_with_its_files(plan)
    lab.vmnet("down", plan.path)
    lab.vmnet("snapshot", "rm", "first", "--name", lab.name, "--yes")
    _nothing_is_left(lab)


def _nothing_is_left(lab: Lab) -> None:
    if lab.snapshot() != lab.before:  # the disk, which `down` keeps
        lab.vmnet("down", "--name", lab.name, "--disks", "--yes")
    assert lab.snapshot() == lab.before


def _refuses_what_would_lose_something(plan: PlanUp) -> None:
    qemus = plan.lab.qemus()
    refused = snapshot(plan, "restore", "first", status=2).stderr
    assert "nothing has been changed: a runs: it is ended, and all it has done since" in refused
    refused = snapshot(plan, "rm", "first", status=2).stderr
    assert "nothing has been changed: first will be removed: a, b, c as of" in refused
    plan.write(PLAN.replace("c: {nics: [lan]}", "c: {nics: [lan, lan]}"))
    refused = snapshot(plan, "restore", "first", "--yes", status=2).stderr
    assert "c was saved with other NICs than the plan has now: it has no NIC" in refused
    plan.write(PLAN)
    assert plan.lab.qemus() == qemus


def _tells_what_is_wrong_with_its_files(plan: PlanUp) -> None:
    qemus = plan.lab.qemus()
    manifest = plan.home / "snapshot/first/manifest.json"
    memory = plan.home / "snapshot/first/memory/b"
    text, head = manifest.read_text(), memory.read_bytes()[:4096]

    def refused() -> str:
        ran = snapshot(plan, "restore", "first", "--yes", status=4)
        assert "Traceback" not in ran.stderr
        return ran.stderr

    tree = json.loads(text)
    manifest.write_text(json.dumps(tree | {"qemu": 99002000}))
    assert "was made with QEMU 99.2.0, and this host has" in refused()
    tree["guests"][1]["domain"]["memory_mib"] = 4096
    manifest.write_text(json.dumps(tree))
    assert "the memory of b is not of the guest that its manifest has" in refused()
    manifest.write_text(text)
    with memory.open("r+b") as file:
        file.write(b"x" * 4096)
    assert "the snapshot first cannot be used: reading" in refused()
    with memory.open("r+b") as file:
        file.write(head)
    assert plan.lab.qemus() == qemus


TWO = """\
networks: {lan: {switch: true, subnet: 10.77.0.0/24}}
vms:
  a: {nics: [lan], disks: [64M]}
  b: {nics: [lan]}
"""


def killed(plan: PlanUp, words: tuple[str, ...], line: str, after_s: float) -> None:
    """Kill a command so long after it has said a line."""
    running = plan.lab.start("snapshot", *words, "-f", plan.path)
    running.says(line)
    running.runs_for(after_s)
    running.process.send_signal(signal.SIGKILL)
    running.finished(None)


@pytest.fixture
def two(lab: Lab) -> PlanUp:
    plan = brought_up(lab, TWO)
    plan.inside("a", "echo before > /tmp/word; echo before > /dev/vda; sync")
    return plan


def test_what_was_to_be_written_when_vmnet_was_killed_is_given_up(two: PlanUp) -> None:
    (path,) = Path("/run/vmnet", two.lab.name, "lib/qemu").glob("domain-*-b/monitor.sock")
    read, write = os.pipe()
    with socket.socket(socket.AF_UNIX) as monitor, os.fdopen(read, "rb") as memory:
        # As libvirt does just before it has QEMU write: qemuMonitorMigrateToFd.
        monitor.connect(str(path))
        passed = {"execute": "getfd", "arguments": {"fdname": "migrate"}}
        for command, fds in (({"execute": "qmp_capabilities"}, []), (passed, [write])):
            socket.send_fds(monitor, [json.dumps(command).encode()], fds)
        os.close(write)
        said = b""
        while said.count(b'"return"') < 2:
            said += monitor.recv(1 << 16)
        monitor.close()
        draft = two.home / "snapshot" / ".s1.part"
        draft.mkdir(parents=True)
        (draft.parent / ".s1.own").touch()
        two.up()
        closed, _, _ = select.select([memory], [], [], 10)
        assert closed
        assert memory.read() == b""
    assert not draft.exists()


def test_whatever_is_killed_the_next_run_converges(two: PlanUp) -> None:
    for at, after_s in enumerate((0.05, 0.2)):
        killed(two, ("save", f"s{at}"), "libvirt", after_s)
        report = two.up("--json").report
        assert (report["summary"], report["to_do"]) == ("all 6 measurements are as expected", [])
        assert two.as_at_first
        assert list(two.home.glob("snapshot/.*.part")) == []
    snapshot(two, "save", "first")
    for line, after_s in (("libvirt", 0.1), ("end domain", 0), ("create domain", 0.05)):
        two.inside("a", "echo after > /tmp/word; echo after > /dev/vda; sync")
        killed(two, ("restore", "first", "--yes"), line, after_s)
        report = snapshot(two, "restore", "first", "--yes", "--json").report
        assert (report["summary"], report["to_do"]) == ("all 6 measurements are as expected", [])
        assert two.inside("a", "cat /tmp/word; head -n 1 /dev/vda").split() == ["before"] * 2
    killed(two, ("restore", "first", "--yes"), "create domain", 0.05)
    report = two.up("--json").report
    assert (report["summary"], report["to_do"]) == ("all 6 measurements are as expected", [])
    lab = two.lab
    lab.vmnet("down", two.path)
    for name in json.loads(snapshot(two, "ls", "--json").stdout)["snapshots"]:
        snapshot(two, "rm", name["name"], "--yes")
    _nothing_is_left(lab)
