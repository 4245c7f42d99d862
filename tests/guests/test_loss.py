"""Frames that get lost by chance or by their size: at the LAN's switch, or by vmnet link."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.framework.lab import Lab
from tests.framework.plan import PlanUp
from tests.framework.wire import CabledNic, cabled_nic

LAN = "10.90.0.254"
PRINTER = "10.90.0.253"
ON_A_NIC = """\
networks:
  lan:
    uplink: {uplink}
    subnet: 10.90.0.0/24
    pool: 10.90.0.10-10.90.0.99
    gateway: 10.90.0.254
hosts: {{printer: 10.90.0.253}}
vms:
  a: {{memory: 96M, nics: [lan]}}
  b: {{memory: 96M, nics: [lan]}}
"""
OUTSIDE = {("a", "gateway"), ("a", "printer"), ("b", "gateway"), ("b", "printer")}


@pytest.fixture(scope="module")
def wire(shared_lab: Lab) -> Iterator[CabledNic]:
    with cabled_nic(shared_lab, f"{LAN}/24", f"{PRINTER}/24") as made:
        yield made


@pytest.fixture(scope="module")
def plan_text(wire: CabledNic) -> str:
    return ON_A_NIC.format(uplink=wire.name)


@contextmanager
def dropping(wire: CabledNic, rule: str) -> Iterator[None]:
    """Have the LAN's switch drop some of the frames that come from the guests."""
    chain = "type filter hook prerouting priority 0"
    drops = f"table bridge bad {{ chain in {{ {chain}; {rule} drop; }}; }}"
    wire.outside("nft", drops)
    try:
        yield
    finally:
        wire.outside("nft", "delete table bridge bad")


def cells(report: Any) -> dict[tuple[str, str], Any]:  # noqa: ANN401  (JSON)
    """Return the results between the guests and what is outside."""
    found = {(r["from"], r["to"]): r for r in report["results"]}
    return {ends: r for ends, r in found.items() if "host" not in ends}


def test_nothing_is_lost_where_nothing_drops(plan_up: PlanUp) -> None:
    report = plan_up.check(status=0)
    assert report["warnings"] == []
    found = cells(report)
    assert found.keys() == OUTSIDE | {("a", "b"), ("b", "a")}
    assert {r["observed"] for r in found.values()} == {"reaches"}
    assert {r["note"] for r in found.values()} == {"ping of 1500 bytes"}
    assert all(r["loss"]["lost"] == 0 for r in found.values())
    sent = {ends: r["loss"]["sent"] for ends, r in found.items() if ends[0] == "a"}
    # Those outside are sent as many small ones.
    assert sum(2 * number if ends in OUTSIDE else number for ends, number in sent.items()) >= 20


def test_a_loss_of_30_percent_at_the_switch_one_way(plan_up: PlanUp, wire: CabledNic) -> None:
    with dropping(wire, "numgen random mod 100 < 30"):
        report = plan_up.check(status=5)
    found = cells(report)
    lossy = [found[ends] for ends in OUTSIDE if found[ends]["loss"]["lost"]]
    assert lossy  # each may be spared by chance: it is sent seven at first; all are not
    for r in lossy:
        assert not r["as_expected"]
        assert re.fullmatch(r"loss [\d.]+% of \d+, at most 5%", r["observed"])
        assert re.search(r"\d+ of \d+ pings from [ab] to \w+ were lost", r["finding"]["what"])
    assert found["a", "b"]["as_expected"]


def test_a_loss_that_the_plan_allows_is_told(plan_up: PlanUp, wire: CabledNic) -> None:
    with dropping(wire, "numgen random mod 100 < 30"):
        report = plan_up.check("--set", "networks.lan.max_loss=90%", status=0)
    found = cells(report)
    lossy = [found[ends] for ends in OUTSIDE if found[ends]["loss"]["lost"]]
    assert lossy
    assert all(re.match(r"reaches, loss [\d.]+% of", r["observed"]) for r in lossy)
    (said,) = report["warnings"]
    assert said.startswith("network lan loses packets")


def test_a_line_of_the_users_has_a_limit_of_its_own(plan_up: PlanUp, wire: CabledNic) -> None:
    with dropping(wire, "icmp type echo-request numgen random mod 2 < 1"):
        report = plan_up.check("--set", 'checks=["a -> gateway loss < 1% ipv4"]', status=5)
    (only,) = report["results"]
    assert re.match(r"\d+ of 50 pings from a to gateway were lost", only["finding"]["what"])


def test_a_link_that_loses_frames(plan_up: PlanUp) -> None:
    plan_up.run("link", "a", "--loss", "30%")
    try:
        report = plan_up.check(status=5)
    finally:
        plan_up.run("link", "a", "--clear")
    from_a = [r for (source, _), r in cells(report).items() if source == "a"]
    wrong = [r for r in from_a if not r["as_expected"]]
    assert wrong
    assert all("loss 30%, set by vmnet link" in str(r["finding"]) for r in wrong)


@pytest.mark.parametrize(
    ("rule", "sentence"),
    [
        (
            "meta length > 600",
            r"packets of 1500 bytes from . to \w+ vanish, ((59\d|600) bytes still|small ones) pass",
        ),
        (
            "ether type ip meta length < 600",
            r"packets of 84 bytes from (\w) to \w+ vanish, those of 1500 bytes pass",
        ),
    ],
    ids=["large", "small"],
)
def test_frames_dropped_by_their_size_at_the_switch(
    plan_up: PlanUp, wire: CabledNic, rule: str, sentence: str
) -> None:
    with dropping(wire, rule):
        report = plan_up.check(status=5)
    found = cells(report)
    for ends in OUTSIDE:
        assert re.match(sentence, found[ends]["finding"]["what"]), found[ends]
    assert found["a", "b"]["as_expected"]
