"""The page of a mode agrees with the table and with docs/modes, and fits a terminal."""

from pathlib import Path

import pytest

from provisioner.errors import Exit, VmnetError
from provisioner.reachability import mode_help
from provisioner.reachability.mode_help import TOPICS, mode_of

DOCS = Path(__file__).parents[3] / "docs"
VEPA = """\
vepa: every frame goes through the switch, which sends back what is for a neighbour

   guest a         guest b
      |               ^
   macvtap         macvtap
       \\             /
        +--[ NIC ]--+     host
            |   ^           as far away as the LAN
            v   |
         switch (802.1Qbg) ---- LAN
          sees, counts and filters every frame

                                a usual switch    a switch that reflects
  guest <-> guest in private    no                no
  guest <-> guest in vepa       no                yes
  guest <-> guest in bridge     no                yes
  guest <-> guest in source     no                yes (its list)
  guest <-> host                no                yes
  guest <-> LAN                 yes               yes
  receives its own broadcasts   no                no

What it needs of the switch: that it lets foreign MACs pass, and for guest <->
guest that it reflects frames (802.1Qbg, hairpin).

Note:
  * few switches reflect: ask yours with `vmnet modes --uplink NIC`, or let
    vmnet make one with switch: {hairpin: true}
  * on a switch that does not, vepa is like private

In a plan:  lab: {switch: {hairpin: true}, mode: vepa, subnet: 10.77.0.0/24}

More: docs/explanation/modes/vepa.md. Measured on this kernel: vmnet modes"""


def test_a_page_has_drawing_table_needs_notes_and_a_plan() -> None:
    assert mode_help.explain("vepa") == VEPA


def test_each_mode_reaches_what_the_table_says() -> None:
    reached = {topic: list(mode_help.rows(mode_of(topic))) for topic in TOPICS}
    alone = [
        ("guest <-> guest", "no other there", "no other there"),
        ("guest <-> host", "no", "no"),
        ("guest <-> LAN", "yes", "yes"),
        ("receives its own broadcasts", "no", "yes"),
    ]
    assert reached == {
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


@pytest.mark.parametrize("topic", TOPICS)
def test_every_page_has_the_same_parts_and_fits_a_terminal(topic: str) -> None:
    page = mode_help.explain(topic)
    title, drawing, table, needs, note, plan, more = page.split("\n\n")
    assert [text.partition(":")[0] for text in (title, needs, note, plan, more)] == [
        topic,
        "What it needs of the switch",
        "Note",
        "In a plan",
        "More",
    ]
    assert "[ NIC ]" in drawing
    assert "guest <-> LAN" in table
    assert max(map(len, page.splitlines())) <= 90
    assert page.isascii()


@pytest.mark.parametrize("topic", TOPICS)
def test_the_document_of_a_mode_has_its_drawing_and_its_table(topic: str) -> None:
    _, drawing, *_, more = mode_help.explain(topic).split("\n\n")
    document = more.removeprefix("More: docs/").partition(". ")[0]
    text = (DOCS / document).read_text()
    assert drawing in text
    for row in mode_help.rows(mode_of(topic)):
        assert f"| {' | '.join(row)} |" in text


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
