import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner.text import hides, one_line, sanitize

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=200)

STEERING = {
    "\x1b[31mred": r"\x1b[31mred",
    "\x1b]52;c;aGk=\x07": r"\x1b]52;c;aGk=\x07",
    "\x9b2J": r"\x9b2J",
    "done\r OK": r"done\x0d OK",
    "a\x00b\x7f": r"a\x00b\x7f",
    "\u202egnp.exe": r"\u202egnp.exe",
    "a\u2066b\u2069": r"a\u2066b\u2069",
    "\u200bzero\ufeff": r"\u200bzero\ufeff",
    "a\u2028b": r"a\u2028b",
    "\ud800": r"\ud800",
    "\ufffe\U0001ffff": r"\ufffe\U0001ffff",
    "\U000e0041": r"\U000e0041",
    "x ##[stop-commands]y": "x # #[stop-commands]y",
    "x ##vso[task.setvariable]": "x # #vso[task.setvariable]",
    "###teamcity[": "## #teamcity[",
    "#\x1b#[": r"#\x1b#[",
}


@pytest.mark.parametrize(("text", "shown"), STEERING.items(), ids=STEERING.values())
def test_what_steers_a_terminal_is_written_out(text: str, shown: str) -> None:
    assert sanitize(text) == shown


def test_what_only_shows_something_stays() -> None:
    assert sanitize("Grüße, 世界 🙂\n\tok\u00a0!") == "Grüße, 世界 🙂\n\tok\u00a0!"


@given(ANY_TEXT)
def test_sanitising_twice_changes_nothing_more(text: str) -> None:
    assert sanitize(sanitize(text)) == sanitize(text)


@given(ANY_TEXT)
def test_sanitised_text_can_be_written_to_any_utf8_file(text: str) -> None:
    shown = sanitize(text).encode().decode()
    assert [one for one in shown if hides(one) and one not in "\n\t"] == []


def test_one_line_shows_its_breaks() -> None:
    assert one_line("a\n\tb\x1b") == r"a\n\tb\x1b"


@given(ANY_TEXT, st.integers(1, 50))
def test_one_line_keeps_its_limit(text: str, limit: int) -> None:
    line = one_line(text, limit)
    assert len(line) <= limit
    assert not any(hides(one) for one in line)
