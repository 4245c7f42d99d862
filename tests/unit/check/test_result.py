"""Whether a result meets what was expected, and how it is told."""

from dataclasses import replace
from ipaddress import ip_address

import pytest

from provisioner.check.loss import Loss
from provisioner.check.readiness import GuestState
from provisioner.check.result import Probed, Result, loss_notes
from provisioner.reachability.pairs import Expected, Pair
from tests.builders.checks import spec
from tests.builders.controls import SHOWN

ADDRESS = ip_address("10.0.0.2")
SMALL = "packets of 1500 bytes do not pass"


def result(expected: Expected, reached: bool | None, wrong: str = "") -> Result:  # noqa: FBT001
    pair = Pair("lan", "a", "b", expected, "", (ADDRESS,))
    return Result(pair, ADDRESS, reached, wrong=wrong, control=SHOWN)


@pytest.mark.parametrize(
    ("expected", "met"),
    [
        (Expected.REACHES, {True: True, False: False, None: False}),
        (Expected.ISOLATED, {True: False, False: True, None: False}),
        (Expected.EITHER, {True: True, False: True, None: False}),
        (Expected.UNICAST, {True: False, False: True, None: False}),
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


@pytest.mark.parametrize("expected", [Expected.ISOLATED, Expected.EITHER, Expected.UNICAST])
def test_a_silence_without_a_control_is_not_shown_to_be_isolation(expected: Expected) -> None:
    silent = replace(result(expected, reached=False), control=None)
    assert (silent.met, silent.observed) == (False, "not shown")


def test_a_silence_that_is_not_expected_needs_no_control() -> None:
    silent = replace(result(Expected.REACHES, reached=False), control=None)
    assert (silent.met, silent.observed, silent.not_shown) == (False, "no answer", None)


def test_another_status_of_a_web_server_is_no_isolation_unless_that_status_was_asked_for() -> None:
    pair = Pair("lan", "a", "b", Expected.ISOLATED, "", (ADDRESS,), asked=spec("http://b/"))
    answered = Probed(reached=False, value="status 403")
    other = Result(pair, ADDRESS, reached=False, seen=answered, control=SHOWN)
    wanted = replace(other, pair=replace(pair, asked=spec("http://b/ status 200")))
    assert [(r.met, r.observed) for r in (other, wanted)] == [
        (False, "status 403"),
        (True, "no answer"),
    ]


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
    assert [state.name for state in GuestState if state.is_down] == ["NOT_READY", "SILENT", "DOWN"]


def test_losses_that_are_allowed_are_told_of_each_network() -> None:
    def of(network: str, target: str, lost: int) -> Result:
        pair = Pair(network, "a", target, Expected.REACHES, "", (ADDRESS,))
        return Result(pair, ADDRESS, reached=True, loss=Loss(40, lost))

    lossy = [of("lan", target, 1) for target in "bcdefg"]
    lan, dmz = loss_notes([of("lan", "h", 0), *lossy, of("dmz", "b", 2)])
    assert lan == (
        "network lan loses packets, not more than its max_loss allows: a -> b loss 2.5% of 40, "
        "a -> c loss 2.5% of 40, a -> d loss 2.5% of 40, a -> e loss 2.5% of 40 and 2 more"
    )
    assert dmz == (
        "network dmz loses packets, not more than its max_loss allows: a -> b loss 5% of 40"
    )


def test_a_loss_that_is_allowed_is_told_of_what_reaches() -> None:
    lossy = replace(result(Expected.REACHES, reached=True), loss=Loss(40, 1))
    assert (lossy.met, lossy.observed) == (True, "reaches, loss 2.5% of 40")
    too_much = replace(lossy, loss=Loss(40, 3), wrong="loss 7.5% of 40, at most 5%")
    assert (too_much.met, too_much.observed) == (False, "loss 7.5% of 40, at most 5%")
