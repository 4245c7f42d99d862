"""What stands around the cells turns the check red, though every cell may be as it should be."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.framework.lab import Lab
from tests.framework.plan import PlanUp
from tests.framework.wire import CabledNic, cabled_nic

PLAN = """\
networks:
  lan:
    uplink: {uplink}
    subnet: 10.95.0.0/24
    pool: 10.95.0.10-10.95.0.99
    gateway: 10.95.0.254
vms:
  a: {{memory: 96M, nics: [{{network: lan, mode: private}}]}}
  b: {{memory: 96M, nics: [{{network: lan, mode: private}}]}}
"""
APART = "checks=[a -/> b, b -/> a]"


@pytest.fixture(scope="module")
def wire(shared_lab: Lab) -> Iterator[CabledNic]:
    with cabled_nic(shared_lab, "10.95.0.254/24") as made:
        yield made


@pytest.fixture(scope="module")
def plan_text(wire: CabledNic) -> str:
    """Two private guests on a NIC."""
    return PLAN.format(uplink=wire.name)


def told(report: Any) -> list[str]:  # noqa: ANN401  (JSON)
    assert all(finding["evidence"] for finding in report["findings"])
    return [finding["what"] for finding in report["findings"]]


def test_nothing_is_told_of_while_all_is_well(plan_up: PlanUp) -> None:
    report = plan_up.check()
    assert (report["findings"], report["warnings"]) == ([], [])


def test_an_uplink_without_carrier(plan_up: PlanUp, wire: CabledNic) -> None:
    wire.outside("ip", "link", "set", "far", "down")
    try:
        report = plan_up.check("--set", APART, status=5)
    finally:
        wire.outside("ip", "link", "set", "far", "up")
    assert f"the uplink {wire.name} has no carrier: nothing is at the other end of its cable" in (
        told(report)
    )


def test_a_link_that_vmnet_link_impairs(plan_up: PlanUp) -> None:
    plan_up.run("link", "a", "--loss", "1%")
    try:
        report = plan_up.check("--set", APART, status=5)
    finally:
        plan_up.run("link", "a", "--clear")
    assert told(report) == ["the link of a is impaired: loss 1%, set by vmnet link"]
    assert report["findings"][0]["fix"] == "take it away: vmnet link a.0 --clear"
