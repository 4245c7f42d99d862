"""A ping from inside, held against what the frames say of the two NICs that it is about."""

from dataclasses import replace
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner.check.nic_answers import NicAnswers, at_its_nics, not_by_itself, owner
from provisioner.check.result import Result, Vantage
from provisioner.reachability.pairs import Expected, Pair

HERE, THERE = ip_address("10.0.0.1"), ip_address("10.0.0.2")
PAIR = Pair(
    "lan",
    "a",
    "b",
    Expected.REACHES,
    "",
    (THERE,),
    nic=1,
    source_nic=2,
    source_shares=True,
    target_shares=True,
)
PINGED = Result(PAIR, THERE, True, 0.001, "ping of 1500 bytes", Vantage.AGENT)  # noqa: FBT003
SILENT = replace(PINGED, reached=False, seconds=None, note="no answer to ping")
ASKED = [True, False, None]

results = st.builds(
    lambda expected, reached: replace(
        PINGED, pair=replace(PAIR, expected=expected), reached=reached
    ),
    st.sampled_from(Expected),
    st.booleans(),
)
answers = st.builds(
    NicAnswers, st.sampled_from(ASKED), st.sampled_from(ASKED), st.sampled_from(["", "it is down"])
)


def test_a_ping_stands_when_both_nics_have_answered_or_none_could_be_asked() -> None:
    assert at_its_nics(PINGED, NicAnswers(target=True, source=True)) is PINGED
    assert at_its_nics(PINGED, NicAnswers()) is PINGED


@pytest.mark.parametrize(
    ("answers", "reached", "note"),
    [
        (
            NicAnswers(target=False, source=True),
            False,
            "b.1 itself does not answer ARP/ND: the ping was answered by another NIC",
        ),
        (
            NicAnswers(target=True, source=False),
            False,
            "a.2 itself does not answer ARP/ND: the ping was asked by another NIC",
        ),
        (
            NicAnswers(why="mvt0 is down"),
            None,
            "which NIC of its guest answered cannot be told: mvt0 is down",
        ),
    ],
)
def test_a_ping_by_another_nic_shows_nothing_of_this_one(
    answers: NicAnswers,
    reached: bool | None,  # noqa: FBT001
    note: str,
) -> None:
    found = at_its_nics(PINGED, answers)
    assert (found.reached, found.note, found.met) == (reached, note, False)


def test_a_nic_that_must_not_be_reached_is_not_reached_by_another_of_its_guest() -> None:
    result = replace(PINGED, pair=replace(PAIR, expected=Expected.ISOLATED))
    other = at_its_nics(result, NicAnswers(target=False))
    assert (other.reached, other.by) == (False, Vantage.MACVTAP)
    assert other.note == "no answer to ARP/ND; a ping was answered by another NIC"
    leak = at_its_nics(replace(result, reached=False), NicAnswers(target=True))
    assert (leak.reached, leak.by, leak.note) == (True, Vantage.MACVTAP, "ARP/ND")
    assert at_its_nics(result, NicAnswers(why="mvt0 is down")).reached is None


@given(results, answers)
def test_nothing_is_green_that_a_nic_denies(result: Result, answers: NicAnswers) -> None:
    found = at_its_nics(result, answers)
    must = result.pair.expected is not Expected.ISOLATED
    if must and (answers.why or False in {answers.target, answers.source}):
        assert not found.reached
    if not must and answers.target and not answers.why:
        assert found.reached
    if must and not result.reached:
        assert found is result


@given(results, st.sets(st.sampled_from([HERE, THERE])))
def test_what_a_guest_sends_to_itself_shows_nothing(result: Result, own: set[object]) -> None:
    found = not_by_itself(result, own)  # type: ignore[arg-type]
    if THERE in own:
        note = "a has 10.0.0.2 itself: what it sends there never leaves it"
        assert (found.reached, found.met, found.note) == (None, False, note)
    else:
        assert found is result


def test_an_address_is_a_nics_own_when_it_alone_answers_for_it() -> None:
    own, other = "02:00:00:00:00:01", "02:00:00:00:00:02"
    assert owner("b.1", own, [own]) == (True, "")
    assert owner("b.1", own, [own, other]) == (
        None,
        "02:00:00:00:00:02 answers for this address too: it is used twice",
    )
    assert owner("b.1", own, [other]) == (
        None,
        "02:00:00:00:00:02 answers for this address, and b.1 does not",
    )
    assert owner("b.1", own, []) == (
        False,
        "b.1 itself does not answer ARP/ND: another NIC of its guest does",
    )
