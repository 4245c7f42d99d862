"""Whose frames a NIC never gets, and what that makes of who reaches whom."""

from dataclasses import replace

import pytest

from provisioner.network.addressing import assign
from provisioner.network.facts import Facts
from provisioner.network.spoofing.isolated import isolated_from
from provisioner.plan.load.loader import load
from provisioner.plan.model import Plan
from provisioner.plan.nic_id import NicId
from provisioner.reachability import external
from provisioner.reachability.explain import explain
from provisioner.reachability.pairs import Expected, Promises, pairs
from tests.builders.plan import complaints_of

LISTED = "02:00:00:00:00:99"
PLAN = f"""\
name: lab
networks:
  lan: {{uplink: nic0, subnet: 10.0.0.0/24, isolate: plan}}
  far: {{uplink: nic1, subnet: 10.1.0.0/24}}
  own: {{switch: {{hairpin: true}}, mode: vepa, subnet: 10.2.0.0/24}}
vms:
  a: {{nics: [lan, far]}}
  b: {{nics: [lan, own]}}
  c: {{nics: [{{network: lan, isolate: []}}, {{network: own, isolate: "{LISTED}"}}]}}
  d: {{nics: [{{network: lan, isolate: []}}, {{network: lan, isolate: [plan, "{LISTED}"]}}, own]}}
hosts:
  r: {{nics: [{{network: lan, address: 10.0.0.77, mac: "{LISTED}"}}]}}
  s: {{nics: [{{network: lan, address: 10.0.0.78, isolate: plan}}]}}
  nas: 10.0.0.9
"""


def plan() -> Plan:
    return load(PLAN, "p").plan


def macs(*nics: tuple[str, int]) -> tuple[str, ...]:
    """Return the MACs of these NICs, sorted."""
    known = assign(plan())
    return tuple(sorted(str(known[NicId(*nic)].mac) for nic in nics))


def test_plan_means_the_nics_of_other_vms_that_may_be_on_the_wire() -> None:
    nics = assign(plan())
    others = macs(("b", 0), ("c", 0), ("d", 0), ("d", 1))
    assert isolated_from(plan(), NicId("a", 0), nics) == others
    assert isolated_from(plan(), NicId("d", 1), nics) == tuple(
        sorted({LISTED, *macs(("a", 0), ("a", 1), ("b", 0), ("c", 0))})
    )


def test_a_nic_may_want_nobody_or_others_alone_kept_from_it() -> None:
    nics = assign(plan())
    assert isolated_from(plan(), NicId("c", 0), nics) == ()
    assert isolated_from(plan(), NicId("c", 1), nics) == (LISTED,)
    assert isolated_from(plan(), NicId("b", 1), nics) == ()


def test_each_switch_is_a_wire_of_its_own() -> None:
    text = PLAN.replace("mode: vepa", "mode: vepa, isolate: plan")
    on_switch = load(text, "p").plan
    kept = isolated_from(on_switch, NicId("b", 1), assign(on_switch))
    assert kept == macs(("c", 1), ("d", 2))


def test_who_is_kept_from_one_of_two_ends_is_reached_by_neither() -> None:
    found = {
        (pair.source_label, pair.target_label, pair.network): (pair.expected, pair.why)
        for pair in pairs(plan(), assign(plan()), Facts())
    }
    why = "{} gets no frames of other guests of the plan (isolate)"
    assert found["a", "b", "lan"] == (Expected.ISOLATED, why.format("b"))
    assert found["a", "c", "lan"] == (Expected.ISOLATED, why.format("a"))
    assert found["c", "a", "lan"] == (Expected.ISOLATED, why.format("a"))
    assert found["d.1", "c", "lan"] == (Expected.ISOLATED, why.format("d.1"))
    assert found["d.0", "c", "lan"][0] is Expected.REACHES
    assert found["b", "c", "own"][0] is Expected.REACHES


def test_a_switch_that_reflects_changes_nothing_and_a_cable_that_is_out_does() -> None:
    known = plan()
    nics = assign(known)
    for reflects in (True, False):
        promised = Promises(known, nics, Facts(), {"nic0": reflects}).between("a", "b")
        assert [pair.expected for pair in promised] == [Expected.ISOLATED]
    cut = load(PLAN.replace("b: {nics: [lan", "b: {nics: [{network: lan, link: down}"), "p").plan
    (pair,) = Promises(cut, nics, Facts()).between("a", "b")
    assert pair.why == "the link of b is down"


def test_a_guest_of_another_host_is_kept_away_by_its_mac() -> None:
    known = plan()
    text = PLAN.replace("isolate: plan}\n  far", f'isolate: [plan, "{LISTED}"]}}\n  far')
    found = {(p.source_label, p.target): p for p in external.pairs(known, assign(known))}
    listed = load(text, "p").plan
    kept = {(p.source_label, p.target): p for p in external.pairs(listed, assign(listed))}
    assert found["a", "r"].expected is Expected.REACHES
    assert kept["a", "r"].expected is Expected.ISOLATED
    assert kept["a", "r"].why == "a gets no frames of other guests of the plan (isolate)"
    # What another host drops looks dead from here: its own check judges that.
    assert kept["a", "s"].expected is Expected.EITHER
    assert {p["a", "nas"].expected for p in (found, kept)} == {Expected.REACHES}


def test_explain_shows_where_the_frame_ends() -> None:
    known = plan()
    nics = assign(known)
    told = explain(known, nics, "c", "a")
    assert (told.verdict, told.why) == (
        "must not reach",
        "a gets no frames of other guests of the plan (isolate)",
    )
    assert told.there[-1].passes is False
    assert told.there[-1].what == f"isolate: drops what comes from {nics[NicId('c', 0)].mac}"
    assert told.back[-1].what == "gets it"
    listed = load(PLAN.replace("isolate: plan}\n  far", f'isolate: "{LISTED}"}}\n  far'), "p").plan
    across = explain(listed, nics, "a", "r")
    assert across.verdict == "must not reach"
    assert across.back[-1].what == f"isolate: drops what comes from {LISTED}"
    assert explain(listed, nics, "a", "nas").verdict == "reaches"


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (
            (
                "network: lan, isolate: []}, {network: own",
                "network: lan, isolate: [], spoof_guard: off}, {network: own",
            ),
            9,
        ),
        (("uplink: nic1,", "uplink: nic1, spoof_guard: off,"), 4),
    ],
)
def test_no_nic_on_the_wire_may_forge_its_mac(change: tuple[str, str], line: int) -> None:
    found = complaints_of(PLAN.replace(*change))
    assert any(x.startswith(f"{line}:") and "may take any MAC, and isolate" in x for x in found)
    switch = PLAN.replace("mode: vepa,", "mode: vepa, spoof_guard: off,").replace(
        f'own, isolate: "{LISTED}"', "own"
    )
    assert complaints_of(switch) == []


def test_a_nic_of_another_vm_with_the_macs_of_its_uplink_is_known_by_that() -> None:
    nics = dict(assign(plan()))
    key = NicId("b", 0)
    nics[key] = replace(nics[key], mac=type(nics[key].mac)("02:aa:00:00:00:01"))
    assert "02:aa:00:00:00:01" in isolated_from(plan(), NicId("a", 0), nics)
