"""How the table of breakages judges what the check has said."""

import pytest

from tests.framework.breakages import Breakage, Outcome, Verdict, harmless
from tests.framework.faults import tap_down

CAUSE, TRUE, ACCUSED = "the macvtap of b is down", "it has drifted", "something inside b drops it"
DOWN = Breakage(tap_down("b"), says="macvtap of b is down", also="drifted")


@pytest.mark.parametrize(
    ("status", "said", "verdict"),
    [
        (5, (CAUSE,), Verdict.RIGHT),
        (5, (CAUSE, TRUE), Verdict.RIGHT),
        (5, (CAUSE, "something else"), Verdict.PARTLY),
        (5, (TRUE,), Verdict.PARTLY),
        (5, (), Verdict.PARTLY),
        (6, (CAUSE,), Verdict.PARTLY),
        (5, (CAUSE, ACCUSED), Verdict.WRONG),
        (0, (CAUSE,), Verdict.NONE),
        (0, (), Verdict.NONE),
    ],
)
def test_a_verdict_is_right_when_the_cause_is_told_and_nothing_but_the_truth(
    status: int, said: tuple[str, ...], verdict: Verdict
) -> None:
    assert Outcome(DOWN, status, said, 1.0).verdict is verdict


@pytest.mark.parametrize(
    ("status", "said", "verdict"),
    [
        (0, (), Verdict.RIGHT),
        (0, (CAUSE,), Verdict.WRONG),
        (5, (), Verdict.WRONG),
    ],
)
def test_of_what_is_harmless_nothing_may_be_said(
    status: int, said: tuple[str, ...], verdict: Verdict
) -> None:
    assert Outcome(harmless(tap_down("b")), status, said, 1.0).verdict is verdict
