import pytest

from provisioner.plan import units


@pytest.mark.parametrize(
    ("text", "value"),
    [("1kbit", 1e3), ("1.5mbit", 1.5e6), ("2Gbit/s", 2e9), ("0mbit", 0.0), ("1bit", None)]
    + [(text, None) for text in ("", "mbit", "1 mbit", "1mbit/m", "-1mbit", "1e3kbit")],
)
def test_a_rate_is_in_bit_per_second(text: str, value: float | None) -> None:
    assert units.rate_bit(text) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [("20ms", 0.02), ("1.5s", 1.5), ("100us", 1e-4), ("0s", 0.0)]
    + [(text, None) for text in ("", "20", "ms", "1 s", "1m", "20MS", "-1s")],
)
def test_a_time_is_in_seconds(text: str, value: float | None) -> None:
    assert units.seconds(text) == (value if value is None else pytest.approx(value))


@pytest.mark.parametrize(
    ("text", "value"),
    [("5%", 0.05), ("0.1%", 0.001), ("100%", 1.0), ("5", None), ("%", None), ("1 %", None)],
)
def test_a_share_is_of_one(text: str, value: float | None) -> None:
    assert units.share(text) == (value if value is None else pytest.approx(value))
