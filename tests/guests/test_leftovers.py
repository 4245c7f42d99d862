"""What a killed vmnet leaves: plan and status show it and touch nothing; up and down remove it."""

import os
import re
import signal
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from provisioner import naming
from provisioner.network import impairment
from provisioner.network.impairment import Impairment
from tests.framework.lab import ONE, Lab, until

TAIL = "0123456789"
INDEX = 0x70000000 + os.getpid()  # /dev is one for all tests that run side by side
CAUSE = "left by a killed vmnet"


def home(lab: Lab) -> Path:
    """Make the folder of the plan's files, as `up` does."""
    path = Path("/var/lib/vmnet", lab.name)
    path.mkdir(parents=True, exist_ok=True)
    (path / ".vmnet").write_text(f"{lab.name}\n")
    return path


def wire(lab: Lab) -> str:
    """Make a wire into an uplink, as a question to a LAN leaves it."""
    ends = (f"mvx{TAIL}", f"mvy{TAIL}")
    lab.ip("link", "add", ends[0], "type", "veth", "peer", "name", ends[1])
    for end in ends:
        lab.ip("link", "set", end, "group", str(naming.WIRE_GROUP), "alias", "vmnet:wire")
    return f"delete wire {ends[0]}: {CAUSE}"


def rules_of_a_device_that_is_gone(lab: Lab) -> str:
    """Make rules of `vmnet link`, and take their device away."""
    device = f"mvt{TAIL}"
    lab.ip("link", "add", device, "type", "veth", "peer", "name", "low0")
    script = lab.directory / "rules.nft"
    script.write_text(impairment.script(device, Impairment(loss=0.5)))
    lab.run("nft", "-f", str(script))
    lab.ip("link", "del", device)
    return f"delete impairment of {device}: its device is gone"


def node(lab: Lab) -> str:
    """Make the node of a macvtap that is gone, with its record."""
    number = os.makedev(1, 3)
    os.mknod(lab.node(INDEX), stat.S_IFCHR | 0o600, number)
    (home(lab) / "node").mkdir()
    (home(lab) / "node" / f"tap{INDEX}").write_text(f"{number}\n")
    return f"delete node /dev/tap{INDEX}: its macvtap is gone"


def draft(lab: Lab) -> str:
    """Make the beginning of a disk."""
    folder = home(lab) / "disk"
    folder.mkdir()
    (folder / ".a.qcow2.own").touch()
    (folder / ".a.qcow2.part").write_bytes(b"half")
    return f"delete draft .a.qcow2.part: {CAUSE}"


def bridge(lab: Lab) -> str:
    """Make the bridge of a switch whose lower end is gone."""
    lab.ip("link", "add", f"mvb{TAIL}", "type", "bridge")
    group = str(naming.group(lab.name))
    lab.ip("link", "set", f"mvb{TAIL}", "group", group, "alias", f"vmnet:{lab.name}/lan")
    return "delete switch lan: not in the plan"


LEFTOVERS: tuple[Callable[[Lab], str], ...] = (
    wire,
    rules_of_a_device_that_is_gone,
    node,
    draft,
    bridge,
)


def everything(lab: Lab) -> tuple[object, ...]:
    """Return what must stay as it is while vmnet only looks."""
    places = (Path("/var/lib/vmnet", lab.name), Path("/run/vmnet", lab.name))
    files = [(x, x.lstat().st_ino) for place in places for x in sorted(place.rglob("*"))]
    return lab.snapshot(), files, lab.node(INDEX).exists()


@pytest.fixture
def clean() -> Iterator[None]:
    """Remove the node that a test has made in /dev, whatever becomes of the test."""
    yield
    Path(f"/dev/tap{INDEX}").unlink(missing_ok=True)


@pytest.mark.usefixtures("clean")
@pytest.mark.parametrize("leave", LEFTOVERS)
def test_it_is_shown_and_left_alone_and_down_removes_it(
    lab: Lab, leave: Callable[[Lab], str]
) -> None:
    plan = lab.plan(ONE)
    line = leave(lab)
    before = everything(lab)
    for words in (("plan", plan), ("status", plan), ("status", "--name", lab.name)):
        shown = lab.vmnet(*words, "--json").report["to_do"]
        # Without a plan nobody knows that a switch is not wanted.
        assert (line in shown) == (words[1] == plan or leave is not bridge)
        assert everything(lab) == before
    assert lab.vmnet("down", "--name", lab.name, "--json").report["done"] == [line]
    assert not lab.node(INDEX).exists()
    assert lab.snapshot() == lab.before


@pytest.mark.usefixtures("clean")
def test_up_removes_all_of_it_and_makes_what_the_plan_calls_for(lab: Lab) -> None:
    plan = lab.plan(ONE)
    lines = {leave(lab) for leave in LEFTOVERS}
    done = lab.vmnet("up", plan, "--json").report["done"]
    assert lines == {line for line in done if line.startswith("delete ")}
    assert lab.vmnet("plan", plan, "--json").report["to_do"] == []


def half_started(lab: Lab) -> tuple[Path, int]:
    """Kill an `up` that is starting a QEMU; return libvirt's record of it, and its pid."""
    running = lab.start("up", lab.plan(ONE))
    folder = Path("/run/vmnet", lab.name, "run", "qemu")
    record = folder / f"{lab.name}-a.xml"
    until(lambda: record.exists() and "starting up" in record.read_text(), "QEMU is being started")
    os.kill(running.process.pid, signal.SIGKILL)
    running.finished(-signal.SIGKILL)
    until(lambda: set(lab.pids()) <= set(lab.qemus().values()), "the worker has ended")
    return record, lab.qemus().get(f"{lab.name}-a", 0)


@pytest.mark.parametrize("command", ["up", "down"])
def test_a_guest_that_was_being_started_is_shown_and_ended_by_up_and_down(
    lab: Lab, command: str
) -> None:
    record, pid = half_started(lab)
    plan = lab.directory / f"{lab.name}.yaml"
    line = f"delete half-started domain {lab.name}-a: {CAUSE}"
    for words in (("plan", plan), ("status", plan), ("status", "--name", lab.name)):
        assert line in lab.vmnet(*words, "--json").report["to_do"]
        assert "starting up" in record.read_text()
        assert lab.qemus().get(f"{lab.name}-a", 0) == pid
    refused = lab.vmnet("exec", "-f", plan, "a", "--", "true", status=4).stderr
    assert 'VM "a" is not up' in refused
    done = lab.vmnet(command, plan, "--json").report["done"]
    assert done[0] == line
    assert pid not in lab.qemus().values()


def test_a_guest_that_was_being_started_does_not_hide_one_that_is_paused(lab: Lab) -> None:
    plan = lab.plan(ONE.replace("lan]}}", "lan]}, b: {nics: [lan]}}"))
    lab.vmnet("up", plan)
    lab.vmnet("pause", "-f", plan, "b")
    pid = lab.qemus()[f"{lab.name}-b"]
    record = Path("/run/vmnet", lab.name, "run", "qemu", f"{lab.name}-a.xml")
    # As a killed vmnet leaves it, which a kill at the right moment alone would do.
    booted = re.compile(r"(?<=reason=')unpaused(?=')")
    text, times = booted.subn("starting up", record.read_text(), count=1)
    assert times == 1
    record.write_text(text)
    report = lab.vmnet("up", plan, "--json").report
    assert report["done"][0] == f"delete half-started domain {lab.name}-a: {CAUSE}"
    assert report["summary"] == "all 6 measurements are as expected"
    assert lab.qemus()[f"{lab.name}-b"] == pid
    lab.vmnet("down", plan)


def test_rules_of_vmnet_link_stay_with_their_device_and_go_with_it(lab: Lab) -> None:
    plan = lab.plan(ONE)
    lab.vmnet("up", plan)
    lab.vmnet("link", "-f", plan, "a.0", "--rate", "100mbit")
    (tap,) = lab.macvtaps()
    assert lab.vmnet("up", plan, "--json", status=5).report["done"] == []
    assert lab.vmnet("plan", plan, "--json").report["to_do"] == []
    assert f"vmnetlink_{tap}" in lab.run("nft", "list", "ruleset")
    done = lab.vmnet("down", plan, "--json").report["done"]
    assert "delete impairment of a.lan: depends on macvtap a.lan" in done
    assert lab.snapshot() == lab.before
