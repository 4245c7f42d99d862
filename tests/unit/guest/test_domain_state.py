"""A running domain as it is found, against what it was started with."""

from dataclasses import replace

import pytest

from provisioner.guest.domain import Domain
from provisioner.guest.domain_state import (
    ENDED,
    FROZEN,
    SeenDomain,
    SeenNic,
    as_found,
    cut_off,
    is_full,
    own_links,
    state_of,
    with_dead_nics,
)
from provisioner.guest.xml.render import from_mark, to_mark
from provisioner.network.resources import Macvtap
from provisioner.plan.choices import Mode
from provisioner.reconcile.diff import diff
from provisioner.resource import by_key
from tests.builders.domain import WEB

(NIC,) = WEB.nics
THERE = (SeenNic(NIC.link, NIC.mac.upper()),)
WELL = SeenDomain("running", THERE, process="S")
TAP = Macvtap(NIC.link, "up0", Mode.BRIDGE, NIC.mac, 1500, 7, "", "")


def said(have: Domain) -> str:
    return ", ".join(dict(have.differences(WEB)).values())


def is_live(have: Domain) -> bool:
    return have.can_become(WEB, dict(have.differences(WEB)).keys())


def test_a_domain_that_is_as_it_was_started_is_as_wanted() -> None:
    assert as_found(WEB, WELL) == WEB
    assert from_mark(to_mark(WEB)) == WEB


def test_its_mark_holds_nothing_that_is_only_seen() -> None:
    seen = replace(with_dead_nics(WEB, [NIC.link]), state="paused", is_persistent=True)
    assert to_mark(seen) == to_mark(WEB)


@pytest.mark.parametrize(
    ("found", "text", "live"),
    [
        (replace(WELL, nics=()), f"it has no NIC {NIC.link}", True),
        (
            replace(WELL, nics=(*THERE, SeenNic("vnet0", "52:54:00:00:00:01"))),
            "its NIC vnet0 is not in the plan",
            True,
        ),
        (replace(WELL, state="paused"), "it is paused", True),
        (
            replace(WELL, state="paused", full_disks=("/d/web.1.qcow2",)),
            "it is paused: its disk web.1.qcow2 is full",
            True,
        ),
        (
            replace(WELL, state="paused", failed_disks=("/d/a", "/d/b")),
            "it is paused: its disks a, b are failing",
            True,
        ),
        (replace(WELL, process="T"), f"it is {FROZEN}", True),
        (replace(WELL, is_persistent=True), "it has been defined in libvirt", True),
        (replace(WELL, state="crashed"), "it is crashed", False),
        (replace(WELL, state="shutting down"), "it is shutting down", False),
    ],
)
def test_what_differs_is_named(found: SeenDomain, text: str, live: bool) -> None:  # noqa: FBT001
    have = as_found(WEB, found)
    assert said(have) == text
    assert is_live(have) == live


def test_the_nics_of_a_domain_keep_their_places_when_one_is_away() -> None:
    two = replace(WEB, nics=(NIC, replace(NIC, link="mvt2")))
    found = as_found(two, replace(WELL, nics=(SeenNic("mvt2", NIC.mac),)))
    assert [(nic.link, nic.is_absent) for nic in found.nics] == [(NIC.link, True), ("mvt2", False)]
    assert to_mark(found) == to_mark(two)


def test_a_blocked_domain_runs_and_one_whose_qemu_has_gone_has_ended() -> None:
    assert as_found(WEB, replace(WELL, state="blocked")) == WEB
    assert state_of(replace(WELL, has_ended=True)) == ENDED


def test_only_a_domain_that_waits_for_room_has_a_full_disk() -> None:
    states = ["paused", "paused: its disk a is failing", "paused: its disk a is full"]
    assert [is_full(state) for state in states] == [False, False, True]


def test_a_nic_whose_device_was_deleted_is_plugged_in_anew_after_it_is_there() -> None:
    want = by_key([TAP, WEB])
    for have in ([with_dead_nics(WEB, [NIC.link])], [TAP, with_dead_nics(WEB, [NIC.link])]):
        steps = diff(want, by_key(have))
        made = [] if len(have) == 2 else [f"create macvtap {NIC.link}: missing"]
        text = f"update domain lab-web: its NIC {NIC.link} has lost its device"
        assert sorted(map(str, steps)) == [*made, text]
        (update,) = (s for s in steps if s.resource == WEB)
        assert update.after == frozenset(s.id for s in steps if s != update)


def test_a_nic_that_a_killed_run_has_plugged_in_is_plugged_in_anew_when_it_is_dead() -> None:
    # The mark does not have it yet; a stranger's NIC is none of vmnet's business.
    begun = SeenNic("mvt0123456789", "02:00:00:00:00:0c"), SeenNic("vnet0", "52:54:00:00:00:01")
    have = as_found(WEB, replace(WELL, nics=(*THERE, *begun)))
    assert own_links(have) == [NIC.link, "mvt0123456789"]
    want = replace(WEB, nics=(NIC, replace(NIC, link=begun[0].link, mac=begun[0].mac)))
    dead = with_dead_nics(have, [begun[0].link])
    assert [nic.link for nic in dead.nics if not nic.is_fit] == [begun[0].link]
    assert "has lost its device" in ", ".join(dict(dead.differences(want)).values())


def test_a_guest_that_may_be_started_anew_is_not_plugged() -> None:
    have = cut_off(with_dead_nics(WEB, [NIC.link]))
    verbs = [str(s.verb) for s in diff(by_key([TAP, WEB]), by_key([TAP, have]))]
    assert verbs == ["delete", "create"]
    assert cut_off(WEB) == WEB
