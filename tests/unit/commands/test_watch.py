"""What a watched check tells: what differs from round to round, and what has happened to links."""

from dataclasses import replace

import pytest

from provisioner.commands.check.happenings import WatchedVm, changed
from provisioner.commands.check.watch import Round, changes, read
from provisioner.host.netlink.link_events import LinkState

REPORT = {
    "status": 5,
    "summary": "1 of 2 measurements is not as expected",
    "results": [
        {
            "from": "a",
            "to": "b",
            "asked": "ping",
            "address": "10.0.0.2",
            "expected": "reaches",
            "observed": "reaches",
            "finding": None,
        },
        {
            "from": "b",
            "to": "a",
            "asked": "tcp/22",
            "address": "10.0.0.1",
            "expected": "reaches",
            "observed": "refused",
            "finding": {"what": "nothing listens there"},
        },
    ],
    "findings": [
        {"what": "c: its guest agent does not answer", "about": "c"},
        {"what": "the link of a is impaired: loss 5%", "about": "a"},
    ],
    "vms": [{"name": "a", "pid": 17, "taps": ["/dev/tap9"]}],
}
FIRST = read(REPORT, "10:00:00")
UP = LinkState(up=True, carrier=True)
DOWN = LinkState(up=False, carrier=False)
PULLED = LinkState(up=True, carrier=False)


def test_a_round_is_what_the_report_has() -> None:
    assert FIRST.vms == (WatchedVm("a", 17, (9,)),)
    assert FIRST.silent == {"c"}
    assert FIRST.observed == {
        "a -> b 10.0.0.2 (reaches)": "reaches",
        "b -> a tcp/22 10.0.0.1 (reaches)": "refused",
    }


def test_the_first_round_tells_what_is_not_as_expected() -> None:
    assert list(changes(None, FIRST)) == [
        "10:00:00 b -> a tcp/22 10.0.0.1 (reaches): refused: nothing listens there",
        "10:00:00 c: its guest agent does not answer",
        "10:00:00 the link of a is impaired: loss 5%",
    ]


def test_a_later_round_tells_what_has_changed_and_what_has_not_not() -> None:
    now = replace(
        FIRST, at="10:00:05", observed={"a -> b 10.0.0.2 (reaches)": "no answer"}, findings={}
    )
    assert list(changes(FIRST, FIRST)) == []
    assert list(changes(FIRST, now)) == [
        "10:00:05 a -> b 10.0.0.2 (reaches): reaches -> no answer",
        "10:00:05 b -> a tcp/22 10.0.0.1 (reaches): refused -> not asked",
        "10:00:05 no more: c: its guest agent does not answer",
        "10:00:05 no more: the link of a is impaired: loss 5%",
    ]


def test_a_round_that_could_not_be_made_says_why_and_knows_of_no_vm() -> None:
    failed = read({"status": 5, "errors": [{"what": "a of the plan is not up"}]}, "10:00:00")
    assert failed == Round(
        "10:00:00", 5, "a of the plan is not up", {"the check": "a of the plan is not up"}, {}
    )
    assert failed.vms is None


@pytest.mark.parametrize(
    ("was", "now", "told"),
    [
        (UP, PULLED, "the uplink nic0 has lost its carrier"),
        (PULLED, UP, "the uplink nic0 has a carrier"),
        (UP, DOWN, "the uplink nic0 has been set down"),
        (DOWN, UP, "the uplink nic0 is up"),
        (UP, None, "the uplink nic0 has gone"),
        (None, UP, "the uplink nic0 is there"),
        (UP, UP, ""),
    ],
)
def test_a_link_that_changes_is_told_once(
    was: LinkState | None, now: LinkState | None, told: str
) -> None:
    before, after = ({"nic0": x} if x else {} for x in (was, now))
    named = {"nic0": "the uplink nic0"}
    found = [text for _, _, text in changed(before, after, named, ["nic0"])]
    assert found == ([told] if told else [])


def test_a_macvtap_that_only_follows_the_carrier_of_its_uplink_is_not_told() -> None:
    named = {"mvt1": "the macvtap mvt1 of a"}
    assert list(changed({"mvt1": UP}, {"mvt1": PULLED}, named, ["nic0"])) == []
    assert list(changed({"mvt1": UP}, {"mvt1": DOWN}, named, ["nic0"])) == [
        ("mvt1", "down", "the macvtap mvt1 of a has been set down")
    ]
