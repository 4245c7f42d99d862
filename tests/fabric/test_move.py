"""A guest that moves to another host while it runs, and one that stays since it cannot."""

import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.framework import libvirtd
from tests.framework.fabric.hosts import Fabric, Host
from tests.framework.fabric.pings import longest_gap_s, pinged
from tests.framework.lab import until
from tests.framework.running import Ran, Running

ADDRESS = "10.9.0.77"
PLAN = f"""\
defaults: {{ssh_keys: auto}}
networks: {{lan: {{uplink: lan0, subnet: 10.9.0.0/24}}}}
vms: {{a: {{nics: [{{network: lan, address: {ADDRESS}}}], disks: [16M], memory: 128M}}}}
"""


@dataclass(slots=True)
class Guest:
    """The guest of the module, and the host that it is on."""

    fabric: Fabric
    home: Host
    plan: Path
    mode: str = "bridge"

    @property
    def other(self) -> Host:
        """The host that it can move to."""
        return next(x for x in self.fabric.hosts.values() if x.title in {"h1", "h2"} - {self.title})

    @property
    def title(self) -> str:
        return self.home.title

    @property
    def domain(self) -> str:
        return f"{self.plan.stem}-a"

    @property
    def sets(self) -> tuple[str, str]:
        """What the plan has otherwise than its file."""
        return ("--set", f"networks.lan.mode={self.mode}")

    def move(self, *words: str, to: str = "", status: int = 0) -> Ran:
        """Move it, to the other host unless `to` says which; it is there when that succeeds."""
        there = self.other
        ran = self.home.vmnet(
            "move", "a", to or there.title, "-f", self.plan, *self.sets, *words, status=status
        )
        if not status:
            self.home = there
        return ran

    def leaving(self) -> tuple[Running, int]:
        """Begin to move it, so slowly that it takes a minute; return its QEMU there, too."""
        words = ("-f", self.plan, *self.sets, "--bandwidth", "1")
        going = self.home.start("move", "a", self.other.title, *words)
        return going, until(lambda: self.other.qemus().get(self.domain, 0), "its QEMU is there")

    def inside(self, script: str) -> str:
        """Run a script in it."""
        words = ("exec", "-f", self.plan, "a", "--", "sh", "-c", script)
        return self.home.vmnet(*words).stdout

    def pid(self) -> int:
        return self.home.qemus()[self.domain]


@pytest.fixture(scope="module")
def fabric(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fabric]:
    """Two hosts with a libvirt daemon, and h3 without one."""
    with (
        Fabric(tmp_path_factory.mktemp("fabric"), "h1", "h2", "h3").opened() as made,
        libvirtd.running(made.host("h1")),
        libvirtd.running(made.host("h2")),
    ):
        yield made


@pytest.fixture(scope="module")
def booted(fabric: Fabric) -> Iterator[Guest]:
    plan = fabric.host("h1").plan(PLAN)
    for host in fabric.hosts.values():
        host.plans.add(plan.stem)
    guest = Guest(fabric, fabric.host("h1"), plan)
    guest.home.vmnet("up", plan)
    yield guest
    guest.home.vmnet("down", "--name", plan.stem, "--disks", "--yes")


@pytest.fixture
def guest(booted: Guest) -> Iterator[Guest]:
    """The guest, which runs; the host that it is not on has nothing of it, before and after."""
    assert leftovers(booted.other, booted) == []
    yield booted
    assert booted.domain in booted.home.qemus()
    assert leftovers(booted.other, booted) == []


def leftovers(host: Host, guest: Guest) -> list[str]:
    """Return what a host has of the guest."""
    places = [host.root / place / guest.plan.stem for place in ("run/vmnet", "var/lib/vmnet")]
    nft = [line for line in host.run("nft", "list", "ruleset").splitlines() if "vmnet" in line]
    domains = host.run("virsh", "-q", "list", "--all", "--name").split()
    moves = [str(path) for path in (host.root / "run/vmnet/.moves").glob("*")]
    there = [str(place) for place in places if place.exists()]
    return [*host.macvtaps(), *there, *nft, *domains, *moves]


@pytest.mark.parametrize("mode", ["bridge", "private", "vepa"])
def test_the_lan_reaches_a_guest_where_it_has_moved_to(guest: Guest, mode: str) -> None:
    guest.mode = mode
    if guest.home.modes() != {mode}:
        guest.home.vmnet("up", "-f", guest.plan, *guest.sets)
    with pinged(guest.fabric, ADDRESS) as answered:
        guest.move()
    sys.stdout.write(f"\n{mode}: pings were not answered for {longest_gap_s(answered):.3f} s\n")
    assert guest.home.modes() == {mode}


def test_a_guest_takes_with_it_all_that_it_has(guest: Guest) -> None:
    ask = "head -c 2000000 /dev/vda | md5sum; cat /tmp/word /proc/sys/kernel/random/boot_id"
    write = "head -c 2000000 /dev/urandom > /dev/vda; sync; echo here > /tmp/word"
    told = guest.inside(f"{write}; {ask}")
    before = guest.home
    known = (before.root / f"var/lib/vmnet/{guest.plan.stem}/known_hosts").read_text()
    moved = guest.move("--json").report
    assert (moved["vm"], moved["host"], moved["left"]) == ("a", guest.title, [])
    assert leftovers(before, guest) == []
    assert guest.inside(f"echo 3 > /proc/sys/vm/drop_caches; {ask}") == told
    home = guest.home.root / "var/lib/vmnet" / guest.plan.stem
    assert (home / "ssh_key").stat().st_mode & 0o777 == 0o600
    pid = guest.pid()
    again = guest.home.vmnet("up", "-f", guest.plan, *guest.sets)
    assert "\nnothing to do\n" in again.stderr
    assert (home / "known_hosts").read_text() == known
    assert guest.pid() == pid


def test_a_guest_whose_move_fails_runs_on_where_it_was(guest: Guest) -> None:
    pid = guest.pid()
    going, coming = guest.leaving()
    os.kill(coming, signal.SIGKILL)
    said = going.finished(4).stderr
    assert "a has not moved, and runs on here: moving a: " in said
    assert guest.pid() == pid
    assert guest.inside("echo here") == "here\n"


def test_a_guest_stays_when_vmnet_on_the_other_host_is_killed(guest: Guest) -> None:
    pid = guest.pid()
    going, _ = guest.leaving()
    guest.other.run("pkill", "-KILL", "-f", "(provisioner|/socket) receive")
    assert "a has not moved, and runs on here" in going.finished(4).stderr
    assert guest.pid() == pid
    guest.other.vmnet("down", "--name", guest.plan.stem, "--disks", "--yes")


def test_a_guest_runs_on_when_the_move_is_killed(guest: Guest) -> None:
    pid = guest.pid()
    going, _ = guest.leaving()
    guest.home.run("pkill", "-KILL", "-f", "(provisioner|/socket) move")
    going.finished(None)
    until(lambda: leftovers(guest.other, guest) == [], "nothing of it is left there")
    assert guest.inside("echo here") == "here\n"
    assert guest.pid() == pid


def test_a_guest_stays_when_the_move_is_interrupted(guest: Guest) -> None:
    pid = guest.pid()
    going, _ = guest.leaving()
    guest.home.run("pkill", "-INT", "-o", "-f", "(provisioner|/socket) move")
    assert "the guest runs on here" in going.finished(130).stderr
    assert guest.pid() == pid


def test_a_host_without_a_daemon_takes_no_guest_that_runs(guest: Guest) -> None:
    said = guest.move(to="h3", status=4).stderr
    assert "h3 does not take it: this host has no libvirt daemon" in said
    host = guest.fabric.host("h3")
    assert not list((host.root / "var/lib/vmnet").iterdir())


def test_a_host_without_the_nic_takes_no_guest(guest: Guest) -> None:
    said = guest.move("--uplink", "lan=eno9", status=2).stderr
    assert f"{guest.other.title} does not take it: " in said
    assert "eno9" in said


def test_a_guest_that_is_paused_is_not_moved(guest: Guest) -> None:
    guest.home.vmnet("pause", "a", "-f", guest.plan, *guest.sets)
    try:
        assert "a cannot be moved while it runs: it is paused" in guest.move(status=3).stderr
    finally:
        guest.home.vmnet("resume", "a", "-f", guest.plan, *guest.sets)
