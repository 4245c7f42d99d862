"""Guests of a plan of several hosts, moved to another one: one of them, and all of a host."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.framework import libvirtd
from tests.framework.fabric.hosts import Fabric
from tests.framework.running import Ran

ADDRESS = "10.9.0.77"
# b is on h1, too, since c takes more memory.
PLAN = f"""\
networks:
  lan: {{uplink: lan0, subnet: 10.9.0.0/24, pool: 10.9.0.100-10.9.0.150}}
vms:
  a: {{nics: [{{network: lan, address: {ADDRESS}}}], memory: 128M}}
  b: {{nics: [lan], disks: [8M], memory: 128M}}
  c: {{on: h2, nics: [lan], memory: 512M}}
"""


@dataclass(slots=True)
class Spread:
    """The plan, which is up on its hosts."""

    fabric: Fabric
    plan: Path

    def vmnet(self, *words: str, status: int = 0) -> Ran:
        return self.fabric.control.vmnet(*words, "-f", self.plan, status=status, within_s=400)

    def there(self) -> dict[str, str]:
        """Return the host of each guest that runs."""
        return {
            name.rpartition("-")[2]: title
            for title, host in self.fabric.hosts.items()
            for name in host.qemus()
        }

    def pids(self) -> list[int]:
        return sorted(pid for host in self.fabric.hosts.values() for pid in host.qemus().values())


@pytest.fixture(scope="module")
def spread(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Spread]:
    directory = tmp_path_factory.mktemp("fabric")
    with ExitStack() as stack:
        fabric = Fabric(directory, "h1", "h2")
        stack.enter_context(fabric.opened())
        for host in fabric.hosts.values():
            stack.enter_context(libvirtd.running(host))
        made = Spread(fabric, fabric.plan(PLAN))
        fabric.control.vmnet("up", made.plan, "--all-or-nothing", within_s=400)
        assert made.there() == {"a": "h1", "b": "h1", "c": "h2"}
        yield made
        made.vmnet("down", "--disks", "--yes")


def test_a_guest_moves_and_up_then_changes_nothing(spread: Spread) -> None:
    moved = spread.vmnet("move", "a", "h2", "--json").report
    assert (moved["vm"], moved["host"], moved["way"], moved["left"]) == ("a", "h2", "live", [])
    assert spread.there() == {"a": "h2", "b": "h1", "c": "h2"}
    spread.fabric.outside("ping", "-c1", "-W5", ADDRESS)
    pids = spread.pids()
    report = json.loads(spread.vmnet("up", "--json").stdout)
    assert (report["status"], report["done"], report["to_do"]) == (0, [], [])
    assert spread.pids() == pids
    assert "a is on h2 already" in spread.vmnet("move", "a", "h2").stderr


def test_a_guest_that_the_plan_wants_elsewhere_is_not_moved(spread: Spread) -> None:
    said = spread.vmnet("move", "c", "h1", status=2).stderr
    line = 1 + spread.plan.read_text().splitlines().index(PLAN.splitlines()[-1])
    assert f"{spread.plan.name}:{line}:" in said
    assert "VM c is to be on h2, and not on h1" in said


def test_a_host_whose_guests_fit_nowhere_else_is_not_drained(spread: Spread) -> None:
    there, pids = spread.there(), spread.pids()
    assert "VM c is to be on h2, which is drained" in spread.vmnet("drain", "h2", status=2).stderr
    said = spread.vmnet("drain", "h1", "--set", "vms.b.memory=900G", status=2).stderr
    assert "VM b fits on no host: h2 " in said
    assert (spread.there(), spread.pids()) == (there, pids)


def test_a_drained_host_has_nothing_of_the_plan(spread: Spread) -> None:
    host = spread.fabric.host("h1")
    host.vmnet("stop", "b", "--name", spread.plan.stem)  # so it cannot be moved while it runs
    drained = spread.vmnet("drain", "h1", "--json").report
    assert [(one["vm"], one["host"], one["way"]) for one in drained["moved"]] == [
        ("b", "h2", "stopped")
    ]
    assert drained["failed"] == []
    assert spread.there() == {"a": "h2", "b": "h2", "c": "h2"}
    assert host.macvtaps() == {}
    assert not (host.root / "var/lib/vmnet" / spread.plan.stem).exists()
    assert json.loads(spread.vmnet("up", "--json").stdout)["done"] == []
    assert "h1 has no VM of the plan" in spread.vmnet("drain", "h1").stderr
