"""Guests whose modes and switch let them meet, and which are kept apart by their MACs."""

from collections.abc import Iterator

import pytest

from tests.framework.lab import Lab
from tests.framework.plan import PlanUp
from tests.framework.wire import CabledNic, cabled_nic

LAN = "10.90.0.254"


@pytest.fixture(scope="module")
def wire(shared_lab: Lab) -> Iterator[CabledNic]:
    """A NIC behind which a switch sends frames back."""
    with cabled_nic(shared_lab, f"{LAN}/24") as made:
        made.reflects(hairpin=True)
        yield made


@pytest.fixture(scope="module")
def plan_text(wire: CabledNic) -> str:
    """Two guests of bridge and one of vepa: without isolate each reaches each."""
    return f"""\
networks:
  lan: {{uplink: {wire.name}, subnet: 10.90.0.0/24, pool: 10.90.0.10-10.90.0.99, isolate: plan}}
hosts: {{nas: {LAN}}}
vms:
  a: {{memory: 96M, nics: [lan]}}
  b: {{memory: 96M, nics: [lan]}}
  v: {{memory: 96M, nics: [{{network: lan, mode: vepa}}]}}
"""


def test_they_do_not_meet_and_reach_the_lan_and_both_are_shown(plan_up: PlanUp) -> None:
    cells = {(r["from"], r["to"]): r for r in plan_up.report["results"]}
    apart = {(x, y) for x in "abv" for y in "abv" if x != y}
    assert apart <= cells.keys()
    for pair in apart:
        assert cells[pair]["expected"] == "must not reach"
        assert cells[pair]["observed"] == "no answer"
        assert cells[pair]["as_expected"]
        assert "gets no frames of other guests of the plan (isolate)" in cells[pair]["why"]
    assert all(cells[vm, "nas"]["observed"] == "reaches" for vm in "abv")


def test_a_rule_that_is_gone_is_told_measured_and_put_back(plan_restored: PlanUp) -> None:
    plan, lab = plan_restored, plan_restored.lab
    for vm in "ab":
        table = f"vmnet_{plan.path.stem}_{plan.tap(vm)}"
        lab.run("nft", "flush", "chain", "netdev", table, "ingress")
    told = plan.run("status")
    assert "update guard of b.lan: its rules have changed" in told.stdout + told.stderr
    seen = {r["to"]: r["observed"] for r in plan.checked("a -/> b", "a -/> v", status=5)}
    assert seen == {"b": "reaches", "v": "no answer"}
    mended = plan.up("--json").report["results"]
    assert all(r["as_expected"] for r in mended)
    assert {(r["from"], r["to"]) for r in mended} >= {("a", "b"), ("b", "a")}
