"""Whether a result meets what was expected, and how it is told."""

from dataclasses import replace
from ipaddress import ip_address

import pytest

from provisioner.check.readiness import GuestState
from provisioner.check.result import Probed, Result
from provisioner.reachability.pairs import Expected, Pair

ADDRESS = ip_address("10.0.0.2")
SMALL = "packets of 1500 bytes do not pass"


def result(expected: Expected, reached: bool | None, wrong: str = "") -> Result:  # noqa: FBT001
    pair = Pair("lan", "a", "b", expected, "", (ADDRESS,))
    return Result(pair, ADDRESS, reached, wrong=wrong)


@pytest.mark.parametrize(
    ("expected", "met"),
    [
        (Expected.REACHES, {True: True, False: False, None: False}),
        (Expected.ISOLATED, {True: False, False: True, None: False}),
        (Expected.EITHER, {True: True, False: True, None: False}),
        (Expected.UNICAST, {True: True, False: True, None: False}),
    ],
)
def test_an_expectation_is_met_by_what_was_measured(
    expected: Expected, met: dict[bool | None, bool]
) -> None:
    assert {reached: result(expected, reached).met for reached in met} == met


def test_small_packets_only_do_not_meet_the_expectation() -> None:
    assert not result(Expected.REACHES, reached=True, wrong=SMALL).met
    assert result(Expected.REACHES, reached=True, wrong=SMALL).observed == SMALL


def test_what_was_observed_is_told_in_words() -> None:
    told = {reached: result(Expected.REACHES, reached).observed for reached in (True, False, None)}
    assert told == {True: "reaches", False: "no answer", None: "not measured"}


def test_who_is_refused_is_not_isolated_unless_the_plan_takes_that_for_enough() -> None:
    refused = replace(
        result(Expected.ISOLATED, reached=False), seen=Probed(reached=False, refused=True)
    )
    enough = replace(refused, pair=replace(refused.pair, or_refused=True))
    assert [(r.met, r.observed) for r in (refused, enough)] == [
        (False, "refused"),
        (True, "refused"),
    ]


def test_a_guest_is_up_or_down_or_still_waited_for() -> None:
    assert [state.name for state in GuestState if state.is_up] == ["READY", "NO_AGENT", "AGENTLESS"]
    assert [state.name for state in GuestState if state.is_down] == ["NOT_READY", "DOWN"]
