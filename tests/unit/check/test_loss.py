"""How losses are counted: from which pings were answered to what is said of a way."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner.check.loss import Loss, PingCount, counted, ping_count, proven, suspect

EVERY_S = 0.1


def test_a_source_sends_at_least_twenty_pings_however_few_its_targets() -> None:
    for targets in range(1, 60):
        count = ping_count(targets, 0.05, outside=False)
        assert count.at_first * targets >= 20
        assert count.at_first >= 2
        outside = ping_count(targets, 0.05, outside=True)  # as many large as small ones
        assert outside.at_first * targets * 2 >= 20
        assert outside.at_first >= 5


@pytest.mark.parametrize(
    ("limit", "pings"), [(0.05, 40), (0.02, 100), (0.001, 100), (0.0, 100), (0.3, 20), (1.0, 20)]
)
def test_a_lower_limit_needs_more_pings(limit: float, pings: int) -> None:
    assert ping_count(9, limit, outside=False) == PingCount(3, pings)


def test_what_is_missing_before_an_answer_is_lost() -> None:
    assert counted([0, 1, 3, 4, 6], 7, EVERY_S) == Loss(7, 2)
    assert counted(range(7), 7, EVERY_S) == Loss(7, 0)


def test_what_is_missing_after_the_last_answer_may_be_late() -> None:
    assert counted([0, 1, 3], 9, EVERY_S) == Loss(4, 1)


def test_what_is_missing_for_long_after_the_last_answer_is_lost() -> None:
    assert counted([0, 1, 3], 40, EVERY_S) == Loss(40, 37)
    assert counted([], 40, EVERY_S) == Loss(40, 40)


@given(st.sets(st.integers(-3, 50)), st.integers(0, 40))
def test_no_more_is_lost_than_was_sent(answered: set[int], sent: int) -> None:
    loss = counted(answered, sent, EVERY_S)
    assert 0 <= loss.lost <= loss.sent <= sent
    assert loss.lost + len({n for n in answered if 0 <= n < loss.sent}) == loss.sent


@given(
    st.dictionaries(st.sampled_from("abcdef"), st.sets(st.integers(0, 19)), min_size=1),
    st.integers(0, 200),
)
def test_no_more_is_lost_than_the_kernel_has_had_no_answer_to(
    answered: dict[str, set[int]], unanswered: int
) -> None:
    losses = proven(answered, dict.fromkeys(answered, 20), EVERY_S, unanswered)
    most = sum(counted(numbers, 20, EVERY_S).lost for numbers in answered.values())
    assert sum(x.lost for x in losses.values()) <= min(most, unanswered)


def test_what_the_socket_of_a_ping_had_no_room_for_is_not_lost() -> None:
    answered = {"lossy": range(0, 20, 2), "well": [*range(9), *range(10, 20)]}
    sent = dict.fromkeys(answered, 20)
    assert proven(answered, sent, EVERY_S, 11) == {"lossy": Loss(19, 9), "well": Loss(20, 1)}
    assert proven(answered, sent, EVERY_S, 10) == {"lossy": Loss(19, 9), "well": Loss(20, 0)}
    assert proven(answered, sent, EVERY_S, 0) == {"lossy": Loss(19, 0), "well": Loss(20, 0)}


def test_a_source_that_loses_much_is_counted_to_all_its_targets() -> None:
    well, lossy = Loss(2, 0), Loss(2, 1)
    assert suspect({"b": lossy, "c": well, "d": well, "e": well}) == {"b"}
    assert suspect({"b": lossy, "c": lossy, "d": well, "e": well}) == {"b", "c", "d", "e"}
    assert suspect({"b": well, "c": well}) == set()
