"""A guest that moves to another host with its disks, while it is stopped; embedded libvirts."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.framework.fabric.hosts import Fabric, Host
from tests.framework.lab import until
from tests.framework.running import Ran

ADDRESS = "10.9.0.77"
PLAN = f"""\
defaults: {{ssh_keys: auto}}
networks: {{lan: {{uplink: lan0, subnet: 10.9.0.0/24}}}}
vms: {{a: {{nics: [{{network: lan, address: {ADDRESS}}}], disks: [8M], memory: 128M}}}}
"""
STOPPED = ("--stopped", "--bandwidth", "1")  # the disk takes three seconds
ASK = "head -c 2800000 /dev/vda | md5sum"


@dataclass(slots=True)
class Guest:
    """The guest of the module, the host that it is on, and what it has written."""

    fabric: Fabric
    home: Host
    plan: Path
    written: str = ""

    @property
    def other(self) -> Host:
        return next(host for host in self.fabric.hosts.values() if host is not self.home)

    def words(self, *more: str) -> tuple[str | Path, ...]:
        return ("move", "a", self.other.title, "-f", self.plan, *(more or STOPPED))

    def move(self, status: int = 0) -> Ran:
        """Move it; it is on the other host when that succeeds."""
        ran = self.home.vmnet(*self.words(), status=status)
        if not status:
            self.home = self.other
        return ran

    def inside(self, script: str) -> str:
        words = ("exec", "-f", self.plan, "a", "--", "sh", "-c", script)
        return self.home.vmnet(*words).stdout

    def disk(self, host: Host, name: str = "a.1.qcow2") -> Path:
        return host.root / "var/lib/vmnet" / self.plan.stem / "disk" / name

    def runs_on(self) -> list[str]:
        return [host.title for host in self.fabric.hosts.values() if host.qemus()]


@pytest.fixture(scope="module")
def fabric(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fabric]:
    with Fabric(tmp_path_factory.mktemp("fabric"), "h1", "h2").opened() as made:
        yield made


@pytest.fixture(scope="module")
def booted(fabric: Fabric) -> Iterator[Guest]:
    plan = fabric.host("h1").plan(PLAN)
    for host in fabric.hosts.values():
        host.plans.add(plan.stem)
    guest = Guest(fabric, fabric.host("h1"), plan)
    guest.home.vmnet("up", plan)
    write = "head -c 2800000 /dev/urandom > /dev/vda; sync"
    guest.written = guest.inside(f"{write}; {ASK}")
    yield guest
    guest.home.vmnet("down", "--name", plan.stem, "--disks", "--yes")


@pytest.fixture
def guest(booted: Guest) -> Iterator[Guest]:
    """The guest, which runs on one host with what it has written; the other has nothing of it."""
    yield booted
    assert booted.inside(ASK) == booted.written
    assert booted.runs_on() == [booted.home.title]
    assert leftovers(booted.other, booted) == []


def leftovers(host: Host, guest: Guest) -> list[str]:
    """Return what a host has of the guest."""
    places = [host.root / place / guest.plan.stem for place in ("run/vmnet", "var/lib/vmnet")]
    nft = [line for line in host.run("nft", "list", "ruleset").splitlines() if "vmnet" in line]
    return [*host.macvtaps(), *(str(place) for place in places if place.exists()), *nft]


def test_what_a_guest_has_written_goes_with_it(guest: Guest) -> None:
    said = guest.home.vmnet(*guest.words("--json"), status=3).stdout
    assert f"vmnet move a {guest.other.title} --stopped" in said
    moved = guest.move()
    assert f"a runs on {guest.home.title}\n" in moved.stdout
    guest.fabric.outside("ping", "-c1", "-W5", ADDRESS)
    pid = guest.home.qemus()
    assert "\nnothing to do\n" in guest.home.vmnet("up", "-f", guest.plan).stderr
    assert guest.home.qemus() == pid


def test_a_guest_that_has_no_room_there_runs_on(guest: Guest) -> None:
    pid = guest.home.qemus()
    place = "/var/lib/vmnet"
    guest.other.run("mount", "-t", "tmpfs", "-o", "size=8m,mode=0755", "tmpfs", place)
    try:
        assert "there is no room for a's disks" in guest.move(status=4).stderr
    finally:
        guest.other.run("umount", place)
    assert guest.home.qemus() == pid


def test_a_guest_is_started_again_when_the_copying_fails(guest: Guest) -> None:
    going = guest.home.start(*guest.words())
    until(lambda: guest.disk(guest.other, ".a.1.qcow2.part").exists(), "its disk comes")
    assert guest.runs_on() == []
    guest.other.run("pkill", "-KILL", "-f", "(provisioner|/socket) receive")
    assert "a has not moved, and is here as before: " in going.finished(4).stderr
    guest.other.vmnet("down", "--name", guest.plan.stem)


def test_a_move_that_is_killed_while_it_copies_is_gone_on_with(guest: Guest) -> None:
    going = guest.home.start(*guest.words())
    part = guest.disk(guest.other, ".a.1.qcow2.part")
    until(lambda: part.exists() and part.stat().st_size, "its disk comes")
    guest.home.run("pkill", "-KILL", "-f", "(provisioner|/socket) move")
    going.finished(None)
    assert guest.runs_on() == []
    assert ", of which " in guest.move().stderr


def test_a_move_that_is_killed_when_the_guest_is_given_away_is_finished(guest: Guest) -> None:
    going = guest.home.start(*guest.words())
    going.says("starting a on ")
    guest.home.run("pkill", "-KILL", "-f", "(provisioner|/socket) move")
    going.finished(None)
    refused = guest.home.vmnet("up", "-f", guest.plan, status=3).stderr
    assert f"a has been given to {guest.other.title}, and may run there" in refused
    until(lambda: guest.runs_on() == [guest.other.title], "it runs there")
    assert f"a runs on {guest.other.title} already" in guest.move().stderr


def test_a_guest_whose_start_there_is_killed_is_started_nowhere_else(guest: Guest) -> None:
    going = guest.home.start(*guest.words())
    going.says("starting a on ")
    guest.other.run("pkill", "-KILL", "-f", "(provisioner|/socket) receive")
    said = going.finished(6).stderr
    assert f"whether a runs on {guest.other.title} is not known, so it is not started here" in said
    assert guest.home.title not in guest.runs_on()
    guest.move()
