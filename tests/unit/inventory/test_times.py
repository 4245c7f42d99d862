"""Times as people write and read them."""

import pytest

from provisioner.inventory import times
from provisioner.plan.scalars import BadValue


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("30m", 1800), ("2h", 7200), ("7d", 604800)]
)
def test_a_time_has_a_number_and_a_unit(text: str, seconds: int) -> None:
    assert times.seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "2", "h", "0h", "-2h", "2 h", "2w", "9999999h", "367d", "٢h"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(BadValue, match="is not a time"):
        times.seconds(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        *[(0, "0 s"), (59, "59 s"), (60, "1 min"), (5430, "1 h 30 min"), (7200, "2 h")],
        *[(86399, "23 h 59 min"), (90000, "1 d 1 h"), (86460, "1 d")],
    ],
)
def test_a_span_is_told_in_its_two_largest_units(seconds: int, text: str) -> None:
    assert times.span(seconds) == text


@pytest.mark.parametrize(
    ("ttl_s", "before", "until"),
    [
        *[(0, 0, 0), (60, 0, 1060), (60, 5000, 1060), (60, 900, 1060)],
        *[(0, 5000, 5000), (0, 1000, 0), (0, 900, 0)],
    ],
)
def test_an_expiry_stays_unless_it_is_given_anew_or_is_over(
    ttl_s: int, before: int, until: int
) -> None:
    assert times.until(1000, ttl_s, before) == until
