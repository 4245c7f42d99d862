"""What is said of a mode holds by the table, fits a terminal, and is told in the docs as well."""

from pathlib import Path

import pytest

from provisioner.errors import Exit, VmnetError
from provisioner.reachability import mode_help
from provisioner.reachability.mode_help import WORDS

DOCS = Path(__file__).parents[3] / "docs"


def test_each_mode_reaches_what_the_table_says() -> None:
    told = {word: list(mode_help.rows(words.mode)) for word, words in WORDS.items()}
    alone = [
        ("guest <-> guest", "no other there", "no other there"),
        ("guest <-> host", "no", "no"),
        ("guest <-> LAN", "yes", "yes"),
        ("receives its own broadcasts", "no", "yes"),
    ]
    assert told == {
        "private": [
            ("guest <-> guest in private", "no", "no"),
            ("guest <-> guest in vepa", "no", "no"),
            ("guest <-> guest in bridge", "no", "no"),
            ("guest <-> guest in source", "no", "yes (its list)"),
            ("guest <-> host", "no", "yes"),
            ("guest <-> LAN", "yes", "yes"),
            ("receives its own broadcasts", "no", "yes"),
        ],
        "vepa": [
            ("guest <-> guest in private", "no", "no"),
            ("guest <-> guest in vepa", "no", "yes"),
            ("guest <-> guest in bridge", "no", "yes"),
            ("guest <-> guest in source", "no", "yes (its list)"),
            ("guest <-> host", "no", "yes"),
            ("guest <-> LAN", "yes", "yes"),
            ("receives its own broadcasts", "no", "no"),
        ],
        "bridge": [
            ("guest <-> guest in private", "no", "no"),
            ("guest <-> guest in vepa", "no", "yes"),
            ("guest <-> guest in bridge", "yes", "yes"),
            ("guest <-> guest in source", "no", "yes (its list)"),
            ("guest <-> host", "no", "yes"),
            ("guest <-> LAN", "yes", "yes"),
            ("receives its own broadcasts", "no", "no"),
        ],
        "source": [
            ("guest <-> guest in private", "no", "yes (its list)"),
            ("guest <-> guest in vepa", "no", "yes (its list)"),
            ("guest <-> guest in bridge", "no", "yes (its list)"),
            ("guest <-> guest in source", "no", "yes (its list)"),
            ("guest <-> host", "no", "yes (if listed)"),
            ("guest <-> LAN", "yes (if listed)", "yes (if listed)"),
            ("receives its own broadcasts", "no", "yes"),
        ],
        "passthru": alone,
        "nopromisc": alone,
    }


@pytest.mark.parametrize("word", WORDS)
def test_a_mode_is_explained_in_words_and_a_drawing(word: str) -> None:
    told = mode_help.explain(word)
    assert told.startswith(f"{word}: {WORDS[word].what}\n\n")
    assert WORDS[word].drawing.strip("\n") in told
    assert max(map(len, told.splitlines())) <= 90
    assert told.isascii()


@pytest.mark.parametrize("word", WORDS)
def test_the_page_of_a_mode_has_its_drawing_and_its_table(word: str) -> None:
    page = (DOCS / "modes" / f"{WORDS[word].page}.md").read_text()
    assert WORDS[word].drawing.strip("\n") in page
    for row in mode_help.rows(WORDS[word].mode):
        assert f"| {' | '.join(row)} |" in page


def test_libvirts_word_for_passthru_is_understood() -> None:
    assert mode_help.explain("passthrough") == mode_help.explain("passthru")


@pytest.mark.parametrize(
    ("word", "fix"),
    [
        (
            "bridg",
            "did you mean bridge? use one of private, vepa, bridge, passthru, source, nopromisc",
        ),
        ("x\x1b[2J", "use one of private, vepa, bridge, passthru, source, nopromisc"),
    ],
)
def test_a_word_that_is_no_mode_is_answered_with_those_there_are(word: str, fix: str) -> None:
    with pytest.raises(VmnetError, match="is not a macvtap mode") as raised:
        mode_help.explain(word)
    assert (raised.value.status, raised.value.fix) == (Exit.BAD_INPUT, fix)
    assert raised.value.what.isprintable()
