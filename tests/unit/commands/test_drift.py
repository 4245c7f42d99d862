"""What `up` would do, as findings: each thing that differs once, and how it is mended."""

from collections.abc import Iterable
from dataclasses import replace

from provisioner.commands.check.drift import of_steps
from provisioner.guest.domain_state import FROZEN
from provisioner.network.resources import Dhcp
from provisioner.reconcile.diff import diff
from provisioner.resource import Resource
from tests.unit.reconcile.test_diff import WEB, WEB_TAP, domain

DHCP = Dhcp("lan", "mvh", "/lan.conf")


def told(have: Iterable[Resource], want: Iterable[Resource]) -> list[tuple[str, str]]:
    steps = diff({x.key: x for x in want}, {x.key: x for x in have})
    said = "the host is not as the plan says; vmnet up would "
    return [(x.what.removeprefix(said), x.fix.partition(", or")[0]) for x in of_steps(steps)]


def test_what_goes_and_comes_again_is_told_once() -> None:
    assert told([replace(DHCP, alive=False)], [DHCP]) == [
        ("create dhcp lan: it has ended or is stopped", "run vmnet up")
    ]
    assert told([DHCP], []) == [("delete dhcp lan: not in the plan", "run vmnet up")]
    assert told([], [DHCP]) == [("create dhcp lan: new", "run vmnet up")]


def test_a_guest_that_has_to_be_started_anew_needs_the_word() -> None:
    ((what, fix),) = told([WEB_TAP, domain("web", WEB_TAP, cpus=2)], [WEB_TAP, WEB])
    assert (what.partition(":")[0], fix) == ("create domain lab-web", "run vmnet up --recreate")
    ((what, fix),) = told([WEB_TAP, WEB], [WEB_TAP])
    assert (what.partition(":")[0], fix) == ("delete domain lab-web", "run vmnet up --recreate")


def test_a_guest_that_is_frozen_is_told_by_its_own_finding_a_paused_one_by_what_mends_it() -> None:
    assert told([WEB_TAP, replace(WEB, state=FROZEN)], [WEB_TAP, WEB]) == []
    ((what, _),) = told([WEB_TAP, replace(WEB, state="paused")], [WEB_TAP, WEB])
    assert what == "update domain lab-web: it is paused"
