"""Guests on a NIC of the host, without a plan file; and a plan that changes live."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from provisioner.plan.load.oneshot import name_of
from tests.framework.lab import Lab
from tests.framework.wire import cabled_nic


@dataclass(frozen=True, slots=True)
class Uplink:
    """A lab with a NIC, and two guests on it."""

    lab: Lab
    words: tuple[str, ...]
    plan: Path  # what the words stand for
    behind: str  # the address of a machine behind the NIC
    first: Any  # the report of the first `up`
    taps: dict[str, int]
    qemus: dict[str, int]

    @property
    def now(self) -> tuple[dict[str, int], dict[str, int]]:
        return self.lab.macvtaps(), self.lab.qemus()


@pytest.fixture(scope="module")
def uplink(shared_lab: Lab) -> Iterator[Uplink]:
    lab = shared_lab
    with cabled_nic(lab) as wire:
        words = ("--uplink", wire.name, "--mode", "bridge", "--count", "2")
        text = lab.vmnet("up", *words, "--print-plan").stdout
        plan = lab.directory / "printed.yaml"
        plan.write_text(text)
        lab.plans.add(text.removeprefix("name: ").partition("\n")[0])
        with lab.settled():
            first = lab.vmnet("up", *words, "--json").report
            # Guests draw their addresses from all of the subnet, by the NIC's name.
            guests = {one for vm in first["vms"] for one in vm["addresses"]}
            behind = next(one for i in (1, 2, 3) if (one := f"169.254.77.{i}") not in guests)
            wire.outside("ip", "addr", "add", f"{behind}/24", "dev", "sw")
            yield Uplink(lab, words, plan, behind, first, lab.macvtaps(), lab.qemus())


def test_two_guests_on_a_nic_reach_each_other(uplink: Uplink) -> None:
    seen = {
        (r["from"], r["to"]): (r["expected"], r["as_expected"]) for r in uplink.first["results"]
    }
    assert seen == {
        ("vm1", "vm2"): ("reaches", True),
        ("vm2", "vm1"): ("reaches", True),
        # The host is asked by the NIC: nothing behind it sends a frame back, as was measured.
        ("host", "vm1"): ("must not reach", True),
        ("host", "vm2"): ("must not reach", True),
    }
    assert (uplink.first["status"], len(uplink.taps)) == (0, 2)


def test_a_guest_reaches_what_is_behind_the_cabled_nic(uplink: Uplink) -> None:
    words = ("vm1", "--", "ping", "-c", "1", "-W", "5", uplink.behind)
    assert "1 packets received" in uplink.lab.vmnet("exec", "-f", uplink.plan, *words).stdout


@pytest.mark.parametrize("way", ["the same words", "the printed plan"])
def test_a_second_up_does_nothing(uplink: Uplink, way: str) -> None:
    words = uplink.words if way == "the same words" else (str(uplink.plan),)
    assert "\nnothing to do\n" in uplink.lab.vmnet("up", *words).stderr
    assert uplink.now == (uplink.taps, uplink.qemus)


def test_another_mode_is_set_while_the_guests_run(uplink: Uplink) -> None:
    change = ("--set", "networks.lan.mode=private")
    try:
        report = uplink.lab.vmnet("up", uplink.plan, *change, "--json").report
        modes, now = uplink.lab.modes(), uplink.now
    finally:
        uplink.lab.vmnet("up", *uplink.words)
    assert set(report["done"]) == {
        f"update macvtap {vm}.lan: mode is bridge, want private" for vm in ("vm1", "vm2")
    }
    apart = {(r["from"], r["to"]) for r in report["results"] if r["expected"] == "must not reach"}
    assert apart == {("vm1", "vm2"), ("vm2", "vm1"), ("host", "vm1"), ("host", "vm2")}
    assert (report["status"], modes) == (0, {"private"})
    assert now == (uplink.taps, uplink.qemus)


@dataclass(frozen=True, slots=True)
class Ended:
    """What a plan of the command line said at its end, and what was left when it was gone."""

    name: str
    nic: str
    up: str
    inside: str
    addresses: str
    log: str
    check: Any
    down: str
    left: tuple[dict[str, int], dict[str, int]]


@pytest.fixture(scope="module")
def ended(shared_lab: Lab) -> Iterator[Ended]:
    """A guest on a NIC of its own, got at by its plan's name, and taken away by its NIC."""
    lab = shared_lab
    with cabled_nic(lab) as wire, lab.settled():
        before = lab.macvtaps(), lab.qemus()
        plan = name_of(wire.name)
        lab.plans.add(plan)
        named = ("--name", plan)
        up = lab.vmnet("up", "-v", "--uplink", wire.name)
        inside = lab.vmnet("exec", *named, "vm1", "--", "hostname").stdout
        addresses = lab.vmnet("ip", *named, "vm1", status=None).stdout
        log = lab.vmnet("logs", *named, "vm1").stdout
        check = lab.vmnet("check", *named, "--json").report
        down = lab.vmnet("down", "--uplink", wire.name)
        now = lab.macvtaps(), lab.qemus()
        taps, qemus = (
            {name: number for name, number in after.items() if name not in first}
            for first, after in zip(before, now, strict=True)
        )
        told = (up.stderr, inside, addresses, log, check, down.stdout)
        yield Ended(plan, wire.name, *told, (taps, qemus))


def test_the_last_line_of_a_plan_without_a_file_says_how_to_go_on(ended: Ended) -> None:
    assert ended.up.splitlines()[-1] == (
        f"get in: vmnet console --name {ended.name} vm1; "
        f"take it away: vmnet down --uplink {ended.nic}"
    )


def test_each_step_says_how_long_it_took_when_that_is_asked_for(
    ended: Ended, uplink: Uplink
) -> None:
    steps = [line for line in ended.up.splitlines() if line.startswith("create ")]
    assert any(line.startswith("create domain") for line in steps)
    assert all(re.search(r": new \(\d+\.\d\d s\)$", line) for line in steps)
    assert "s)" not in uplink.lab.vmnet("plan", uplink.plan).stdout


def test_the_guests_of_a_plan_without_a_file_are_reached_by_its_name(ended: Ended) -> None:
    assert (ended.inside, ended.check["status"]) == ("vm1\n", 0)
    assert any(line.startswith("169.254.77.") for line in ended.addresses.splitlines())
    assert ended.log


def test_a_plan_without_a_file_is_taken_away_by_its_nic(ended: Ended) -> None:
    assert ended.left == ({}, {})
    assert ended.down.startswith(f"{ended.name}: ")


def test_the_name_of_a_plan_that_is_gone_says_too_little(ended: Ended, shared_lab: Lab) -> None:
    told = shared_lab.vmnet("exec", "--name", ended.name, "vm1", "--", "true", status=2).stderr
    assert told.splitlines()[0] == f"the name {ended.name} alone does not say what the plan is"
